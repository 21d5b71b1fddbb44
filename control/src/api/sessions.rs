//! The handlers of `/v1/sessions`. Each reads its request, asks the store, and answers; shapes are
//! in `wire`, what a new session needs in `insert`, refusals in `problem`.

pub mod bulk;
mod insert;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::record::Record;

use super::Api;
use super::auth::By;
use super::problem::{Kind, Problem};
use super::request::{TextPath, Wanted, json_body, query};
use super::wire::{self, Draft, Patch};
use crate::clock;
use crate::store::{Conflict, Expected, StoreError};

pub use bulk::bulk;

type Answer = Result<Response, Problem>;

pub async fn create(State(api): State<Arc<Api>>, by: By, request: Request) -> Answer {
    let key = insert::idempotency_key(&request)?;
    let body = json_body(request, limits::API_BODY_BYTES_MAX).await?;
    let draft = Draft::parse(&body, &api.settings)?;
    let once = key.map(|key| insert::once(&by, &key, &body));
    let insert::Inserted { record, repeated } = insert::insert(&api, &by, &draft, once).await?;
    let location = format!("/v1/sessions/{}", record.session.id);
    let location = HeaderValue::try_from(location).map_err(|_| internal("a session id"))?;
    let mut response = one(&api, &record);
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::LOCATION, location);
    if repeated {
        const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

pub async fn fetch(State(api): State<Arc<Api>>, by: By, path: TextPath) -> Answer {
    Ok(one(&api, &current(&api, &by, &id(path)?).await?))
}

pub async fn list(State(api): State<Arc<Api>>, by: By, uri: Uri) -> Answer {
    let mut sought = wire::query(query(&uri)?)?;
    sought.within = by.caller.workspaces.clone();
    let page = api.store.list(sought).await?;
    Ok(Json(wire::page(&page, &api.settings.domains)).into_response())
}

/// Without `If-Match` a change that others overtook is made again on what they left.
pub async fn change(
    State(api): State<Arc<Api>>,
    by: By,
    path: TextPath,
    request: Request,
) -> Answer {
    let id = id(path)?;
    let wanted = Wanted::of(request.headers());
    let body = json_body(request, limits::API_BODY_BYTES_MAX).await?;
    let patch = Patch::parse(&body, &api.settings)?;
    for _ in 0..limits::CHANGE_TRIES_MAX {
        let record = current(&api, &by, &id).await?;
        wanted.check(record.version)?;
        let Some(session) = patch.apply(&record.session, clock::now())? else {
            return Ok(one(&api, &record));
        };
        // A catalogue that has changed must not keep a session from being ended.
        if (session.routing, &session.image) != (record.session.routing, &record.session.image) {
            insert::check_template(&api, &session)?;
        }
        let author = by.author().saying(wire::difference(&record.session, &session));
        match api.store.put_by(session, Expected::Version(record.version), author).await? {
            Ok(record) => return Ok(one(&api, &record)),
            Err(Conflict::Changed(now)) => wanted.check(now)?,
            Err(conflict) => return Err(conflict.into()),
        }
    }
    Err(overtaken())
}

pub async fn delete(
    State(api): State<Arc<Api>>,
    by: By,
    path: TextPath,
    headers: HeaderMap,
) -> Answer {
    remove(&api, &by, id(path)?, &Wanted::of(&headers)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A caller that is bounded deletes the version that it could see: another session may have the id
/// a moment later.
async fn remove(api: &Api, by: &By, id: SessionId, wanted: &Wanted) -> Result<(), Problem> {
    for _ in 0..limits::CHANGE_TRIES_MAX {
        let now = async { Ok(current(api, by, &id).await?.version) };
        let expected = match &by.caller.workspaces {
            None => wanted.expected(now).await?,
            Some(_) => {
                let now = now.await?;
                wanted.check(now)?;
                Some(now)
            }
        };
        match api.store.delete_by(id.clone(), expected, by.author()).await? {
            Ok(_) => return Ok(()),
            Err(Conflict::Changed(now)) => wanted.check(now)?,
            Err(conflict) => return Err(conflict.into()),
        }
    }
    Err(overtaken())
}

fn overtaken() -> Problem {
    Problem::new(Kind::ChangedMeanwhile, "others changed it each time: try again")
}

/// What cannot be an id is the id of no session.
pub(super) fn id(path: TextPath) -> Result<SessionId, Problem> {
    let id = path.ok().and_then(|Path(text)| SessionId::parse(&text).ok());
    id.ok_or_else(|| Conflict::Missing.into())
}

/// A session that the caller cannot reach is none.
pub(super) async fn current(api: &Api, by: &By, id: &SessionId) -> Result<Record, Problem> {
    let record = api.store.fetch(id.clone()).await?;
    let reached = record.filter(|record| by.caller.reaches(&record.session.workspace));
    reached.ok_or_else(|| Conflict::Missing.into())
}

fn one(api: &Api, record: &Record) -> Response {
    let tag: [(HeaderName, String); 1] = [(header::ETAG, format!("\"{}\"", record.version.0))];
    (tag, Json(wire::session(record, &api.settings.domains))).into_response()
}

pub(super) fn internal(detail: &str) -> Problem {
    Problem::new(Kind::Internal, detail)
}

pub(super) fn no_random(error: getrandom::Error) -> Problem {
    tracing::error!(error = %error, "this machine gives no random numbers");
    internal("this machine gives no random numbers")
}

impl From<Conflict> for Problem {
    /// Of a write of a session.
    fn from(conflict: Conflict) -> Self {
        let kind = match conflict {
            Conflict::IdTaken => Kind::IdTaken,
            Conflict::LabelTaken => Kind::LabelTaken,
            Conflict::Missing => {
                return Problem::new(Kind::UnknownSession, "no session has this id");
            }
            Conflict::Exists => Kind::Exists,
            Conflict::Changed(_) => Kind::VersionMismatch,
            // The API never sends another label.
            Conflict::Fixed => Kind::Internal,
            Conflict::Done { .. } => Kind::KeyReused,
            Conflict::WorkspaceFull(_) => {
                return Problem::new(Kind::WorkspaceFull, conflict.to_string())
                    .retry_after(limits::WORKSPACE_FULL_RETRY_AFTER);
            }
        };
        Problem::new(kind, conflict.to_string())
    }
}

impl From<StoreError> for Problem {
    /// The client learns that the store failed; how is for the log.
    fn from(error: StoreError) -> Self {
        tracing::error!(error = crate::with_causes(&error), "the API cannot use the store");
        if let StoreError::Record(_) = error {
            // No retry helps, and the client is the one who can.
            return internal(&error.to_string());
        }
        Problem::new(
            Kind::StoreUnavailable,
            "look whether the change was made before you try again",
        )
    }
}
