//! A new session: may its workspace have it, can its tool be reached as asked, and under which id.

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Request;
use data_encoding::HEXLOWER;
use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::record::Record;
use portico_core::session::{Name, Routing, Session};
use portico_core::template::Image;

use super::super::Api;
use super::super::auth::By;
use super::super::problem::{Kind, Problem};
use super::super::wire::Draft;
use super::{internal, no_random};
use crate::clock;
use crate::store::{Conflict, Expected, Once, Stored, Write};

pub struct Inserted {
    pub record: Record,
    /// The same request had made it before.
    pub repeated: bool,
}

/// Stores a new session, under an id of its own choice or a random one that is free.
pub async fn insert(
    api: &Api,
    by: &By,
    draft: &Draft,
    once: Option<Once>,
) -> Result<Inserted, Problem> {
    by.require_workspace(&draft.workspace)?;
    let rules = api.settings.rules.now();
    if !rules.allowed.list.allows(&draft.workspace) {
        let detail = format!("{} is not on the list of allowed workspaces", draft.workspace);
        return Err(Problem::new(Kind::WorkspaceNotAllowed, detail));
    }
    let room = rules.limits.get(&draft.workspace).and_then(|limits| limits.sessions_max);
    for _ in 0..limits::SESSION_ID_TRIES_MAX {
        let id = match &draft.id {
            Some(id) => id.clone(),
            None => SessionId::from_random(getrandom::u32().map_err(no_random)?),
        };
        let label = draft.label.clone().unwrap_or_else(|| Label::of(&id));
        if api.settings.domains.is_reserved(&label) {
            // A given one was checked before; a drawn one is drawn again.
            continue;
        }
        let wished = api.settings.default_routing;
        let mut session = Box::new(draft.session(id, label, wished, clock::now()));
        match check_template(api, &session) {
            // Nobody asked for what its tool cannot do.
            Err(_) if draft.routing.is_none() && wished == Routing::Both => {
                session.routing = Routing::Subdomain;
                check_template(api, &session)?;
            }
            checked => checked?,
        }
        let write = Write::Put { session, expected: Expected::Absent, once: once.clone(), room };
        match api.store.write(write, by.author()).await?.map(Stored::into_session) {
            Ok(record) => return Ok(Inserted { record, repeated: false }),
            Err(Conflict::IdTaken) if draft.id.is_none() => {}
            Err(Conflict::LabelTaken) if draft.id.is_none() && draft.label.is_none() => {}
            Err(Conflict::Done { id, fingerprint }) => {
                return repeated(api, id, &fingerprint, once.as_ref(), &draft.workspace).await;
            }
            Err(conflict) => return Err(conflict.into()),
        }
    }
    Err(internal("no free session id was found"))
}

/// What each tool can do decides on which URLs its session may be.
pub fn check_template(api: &Api, session: &Session) -> Result<(), Problem> {
    // Stored images were parsed when they came.
    let image = session.image.as_deref().and_then(|image| Image::parse(image).ok());
    let catalogue = &api.settings.rules.now().catalogue;
    catalogue
        .check(&session.tool, image.as_ref(), session.routing)
        .map_err(|refusal| Problem::new(Kind::RoutingRefused, refusal.to_string()))
}

async fn repeated(
    api: &Api,
    id: SessionId,
    fingerprint: &str,
    once: Option<&Once>,
    workspace: &Name,
) -> Result<Inserted, Problem> {
    if once.is_none_or(|once| once.fingerprint != fingerprint) {
        let detail = "another body was sent with this Idempotency-Key: use a new key";
        return Err(Problem::new(Kind::KeyReused, detail));
    }
    // Another session may have the id by now, also one of a workspace that the caller cannot reach.
    match api.store.fetch(id.clone()).await?.filter(|record| record.session.workspace == *workspace)
    {
        Some(record) => Ok(Inserted { record, repeated: true }),
        None => {
            let detail = format!("this request made the session {id}, which is deleted by now");
            Err(Problem::new(Kind::UnknownSession, detail))
        }
    }
}

/// `Idempotency-Key`: text without control characters, of a bounded length.
pub fn idempotency_key(request: &Request) -> Result<Option<String>, Problem> {
    let mut given = request.headers().get_all("idempotency-key").iter();
    let key = match (given.next(), given.next()) {
        (None, _) => return Ok(None),
        (Some(key), None) => key.to_str().ok().map(str::trim),
        (Some(_), Some(_)) => None,
    };
    match key {
        Some(key) if (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) => {
            Ok(Some(key.to_owned()))
        }
        _ => {
            let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
            let detail = format!("Idempotency-Key must be one field of 1 to {max} characters");
            Err(Problem::new(Kind::InvalidRequest, detail))
        }
    }
}

/// Two callers with the same key do not meet.
pub fn once(by: &By, key: &str, body: &[u8]) -> Once {
    let key = format!("{}/{key}", by.caller.name);
    Once { key, fingerprint: HEXLOWER.encode(digest(&SHA256, body).as_ref()) }
}
