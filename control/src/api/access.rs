//! The handlers of `/v1/access`: the keys that grants are signed with, and taking grants back. What
//! is secret of a key is in no answer.

pub mod schema;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use portico_core::access::{Key, KeyId, LoginId, Revocation, Revoked};
use portico_core::limits;
use portico_core::record::{Document, DocumentKey, Kind as DocumentKind};
use portico_core::session::Name;
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::fields::{Fields, Null};
use super::problem::{Kind, Problem};
use super::request::json_body;
use super::sessions::{internal, no_random};
use super::wire::rfc3339;
use super::workspaces::refused;
use crate::access::{key_document, key_of, revocation_name};
use crate::clock;
use crate::store::{Conflict, Expected, Write};

type Answer = Result<Response, Problem>;

pub async fn keys(State(api): State<Arc<Api>>, by: By) -> Answer {
    by.require_unbounded()?;
    let documents = api.store.documents(DocumentKind::SigningKey).await?;
    let mut keys: Vec<_> = documents.iter().filter_map(key_of).collect();
    keys.sort_by_key(|key| key.id);
    let items: Vec<_> = keys.iter().map(shown).collect();
    Ok(Json(json!({ "items": items })).into_response())
}

/// The id after the largest one. Two who ask at the same time make two keys.
pub async fn add_key(State(api): State<Arc<Api>>, by: By) -> Answer {
    by.require_unbounded()?;
    let mut secret = [0; Key::BYTES];
    getrandom::fill(&mut secret).map_err(no_random)?;
    for _ in 0..limits::CHANGE_TRIES_MAX {
        let documents = api.store.documents(DocumentKind::SigningKey).await?;
        let count = documents.len();
        if count >= limits::SIGNING_KEYS_MAX {
            let detail = format!(
                "there are {count} keys, as many as there may be: old ones go by \
                                  themselves when nothing that they signed is left"
            );
            return Err(Problem::new(Kind::Exists, detail));
        }
        // Also of one that cannot be read: its name is taken.
        let largest = documents.iter().filter_map(number).max().unwrap_or(0);
        let id = largest.checked_add(1).map(KeyId).ok_or_else(|| internal("no key id is left"))?;
        let key = Key::new(id, secret, clock::now().plus(limits::KEY_LEAD));
        let write = Write::PutDocument {
            key: key_document(id),
            body: key.encode(),
            expected: Some(Expected::Absent),
        };
        let author = by.author().saying(format!("signs from {}", rfc3339(key.signs_from)));
        match api.store.write(write, author).await? {
            Ok(_) => return Ok((StatusCode::CREATED, Json(shown(&key))).into_response()),
            Err(Conflict::Exists) => {}
            Err(conflict) => return Err(refused(conflict)),
        }
    }
    Err(Problem::new(Kind::Exists, "others made keys each time: look at what there is"))
}

pub async fn revoke(State(api): State<Arc<Api>>, by: By, request: Request) -> Answer {
    by.require_unbounded()?;
    let body = json_body(request, limits::API_BODY_BYTES_MAX).await?;
    let of = read(&body)?;
    let (what, whose) = match &of {
        Revoked::User(user) => ("user", user.to_string()),
        Revoked::Login(login) => ("login", login.to_string()),
    };
    let name = revocation_name(&of);
    let revocation = Revocation { of, before: clock::now() };
    let write = Write::PutDocument {
        key: DocumentKey { kind: DocumentKind::Revocation, name },
        body: revocation.encode(),
        expected: None,
    };
    let author = by.author().saying(format!("of the {what} {whose}"));
    api.store.write(write, author).await?.map_err(refused)?;
    let answer = json!({ what: whose, "before": rfc3339(revocation.before) });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub(super) fn read(body: &[u8]) -> Result<Revoked, Problem> {
    let mut fields = Fields::from_json(body, Null::Absent)?;
    let user: Option<Name> = fields.parsed("user");
    let login: Option<LoginId> = fields.parsed("login");
    if fields.complete("is not a field of a revocation") {
        match (user, login) {
            (Some(user), None) => return Ok(Revoked::User(user)),
            (None, Some(login)) => return Ok(Revoked::Login(login)),
            (Some(_), Some(_)) => fields.invalid::<()>("login", "cannot be given beside `user`"),
            (None, None) => fields.invalid("user", "is required, or else `login`"),
        };
    }
    Err(fields.into_problem())
}

fn shown(key: &Key) -> Value {
    json!({ "id": key.id.0, "signs_from": rfc3339(key.signs_from) })
}

fn number(document: &Document) -> Option<u32> {
    document.key.name.as_str().parse().ok()
}
