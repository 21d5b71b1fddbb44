//! The handler of `/v1/sessions/{id}/tickets`: the platform, which knows its user already, sends
//! the user straight into a session. A ticket is in the one answer that makes it and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portico_core::access::{LoginId, LoginProof, Ticket};
use portico_core::limits;
use portico_core::record::Record;
use portico_core::session::{Name, Session, Timestamp};
use serde_json::{Map, Value, json};

use super::Api;
use super::auth::By;
use super::fields::{Fields, Null};
use super::problem::{Kind, Problem};
use super::request::{TextPath, json_body};
use super::schema::{answered, flag, name, nullable, sent, time};
use super::sessions;
use super::wire::rfc3339;
use crate::clock;
use crate::store::Write;

/// Who is to be let in, and where they go.
pub struct Draft {
    user: Name,
    to: String,
    member: bool,
    lifetime: Duration,
}

pub async fn create(
    State(api): State<Arc<Api>>,
    by: By,
    path: TextPath,
    request: Request,
) -> Result<Response, Problem> {
    let id = sessions::id(path)?;
    let body = json_body(request, limits::API_BODY_BYTES_MAX).await?;
    let draft = read(&body)?;
    let Record { session, .. } = sessions::current(&api, &by, &id).await?;
    let ticket = draft.ticket(&session, api.settings.login_lifetime, clock::now())?;
    let token = {
        let access = api.settings.access.load();
        let key = access.keys.signing(ticket.issued_at).ok_or_else(|| {
            let detail = "the store has not said yet with which key to sign: try again in a moment";
            Problem::new(Kind::StoreUnavailable, detail)
        })?;
        ticket.token(key)
    };
    // What is not written down is not given out.
    let note = Write::Note {
        action: "ticket.created".to_owned(),
        subject: format!("sessions/{}", session.id),
        workspace: Some(session.workspace.clone()),
    };
    let author = by.author().saying(format!("for {}", ticket.user));
    api.store.write(note, author).await?.map_err(super::workspaces::refused)?;
    let answer = json!({
        "ticket": token,
        "urls": urls(&api, &session, &token),
        "expires_at": rfc3339(ticket.expires_at),
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

impl Draft {
    /// The sign-in that it stands for begins now and is nobody else's, so that it can be taken back
    /// by itself.
    fn ticket(
        &self,
        session: &Session,
        login: Duration,
        now: Timestamp,
    ) -> Result<Ticket, Problem> {
        Ok(Ticket {
            id: random()?,
            user: self.user.clone(),
            session: session.id.clone(),
            session_created_at: session.created_at,
            login: LoginProof { id: LoginId(random()?), at: now },
            member: self.member,
            recheck: false,
            until: now.plus(login),
            issued_at: now,
            expires_at: now.plus(self.lifetime),
            binding: None,
            to: self.to.as_str().into(),
        })
    }
}

pub fn read(body: &[u8]) -> Result<Draft, Problem> {
    let mut fields = Fields::from_json(body, Null::Absent)?;
    fields.require("user");
    let user = fields.parsed("user");
    let to = fields.checked("to", |text| match is_path(text) {
        true => Ok(text.to_owned()),
        false => Err(NO_PATH),
    });
    let member = fields.boolean("member").unwrap_or(false);
    let lifetime = fields.number("expires_in_seconds", |seconds| match seconds {
        1..=SECONDS_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be 1 to {SECONDS_MAX}")),
    });
    match (fields.complete("is not a field of a ticket"), user) {
        (true, Some(user)) => Ok(Draft {
            user,
            to: to.unwrap_or_else(|| "/".to_owned()),
            member,
            lifetime: lifetime.unwrap_or(limits::TICKET_LIFETIME_MAX),
        }),
        _ => Err(fields.into_problem()),
    }
}

const SECONDS_MAX: u64 = limits::TICKET_LIFETIME_MAX.as_secs();
const NO_PATH: &str = "is not a path on the session: one `/`, and then visible ASCII without `\\` \
                       and `#`; write other characters as %XX";

/// What the redeemer takes: nothing that a browser reads as the start of a host (WHATWG URL). What
/// it does not take would lead to the session's root without a word.
fn is_path(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#');
    let is_one = text.starts_with('/') && !text.starts_with("//");
    plain && is_one && text.len() <= limits::SIGN_IN_TARGET_BYTES_MAX
}

/// Where a browser takes the ticket to, for each kind of URL that the session has.
fn urls(api: &Api, session: &Session, ticket: &str) -> Map<String, Value> {
    let domains = &api.settings.domains;
    let (subdomain, path) = domains.urls(&session.label, session.routing);
    let subdomain = subdomain.map(|root| json!(format!("{root}_portico/open?ticket={ticket}")));
    let path = path.map(|_| {
        let open = format!("{}/_portico/open", domains.connect);
        json!(format!("{open}?session={}&ticket={ticket}", session.label))
    });
    let named = [("subdomain", subdomain), ("path", path)];
    named.into_iter().filter_map(|(name, url)| Some((name.to_owned(), url?))).collect()
}

fn random() -> Result<[u8; 16], Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(sessions::no_random)?;
    Ok(bytes)
}

pub fn schemas() -> Vec<(&'static str, Value)> {
    let to = json!({
        "type": ["string", "null"],
        "description": "Where to go on the session: a path, with a query if need be.",
        "maxLength": limits::SIGN_IN_TARGET_BYTES_MAX,
        "pattern": r"^/([\x21\x22\x24-\x2E\x30-\x5B\x5D-\x7E][\x21\x22\x24-\x5B\x5D-\x7E]*)?$",
        "default": "/",
        "examples": ["/lab/tree/plot.ipynb"],
    });
    let seconds = json!({
        "type": ["integer", "null"],
        "format": "int64",
        "description": "How long it can be used, once.",
        "minimum": 1,
        "maximum": SECONDS_MAX,
        "default": SECONDS_MAX,
    });
    let mut member = nullable(flag("Whether the user is of the session's workspace."));
    member["default"] = json!(false);
    let new = json!({
        "user": name("Who is to be let in.", "bob@example.com"),
        "to": to,
        "member": member,
        "expires_in_seconds": seconds,
    });
    let url = |example: &str| json!({ "type": "string", "format": "uri", "examples": [example] });
    let urls = json!({
        "subdomain": url("https://a3e8370e7.connect.example.com/_portico/open?ticket=AQ"),
        "path": url("https://connect.example.com/_portico/open?session=a3e8370e7&ticket=AQ"),
    });
    let ticket = json!({
        "ticket": { "type": "string", "description": "It is shown this once." },
        "urls": answered("Where to send the user's browser.", urls, &["subdomain", "path"]),
        "expires_at": time("Until when it can be used."),
    });
    vec![
        ("NewTicket", sent("A ticket to be made.", new, &["user"])),
        ("Ticket", answered("Lets one user into one session, once.", ticket, &[])),
    ]
}
