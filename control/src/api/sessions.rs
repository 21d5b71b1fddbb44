//! The handlers of `/v1/sessions`. Each reads its request, asks the store, and answers; shapes are
//! in `wire`, refusals in `problem`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::record::{Record, Version};

use super::Api;
use super::problem::{Kind, Problem};
use super::wire::{self, Draft, Patch};
use crate::store::{Conflict, Expected, StoreError};

type Answer = Result<Response, Problem>;

pub async fn create(State(api): State<Arc<Api>>, request: Request) -> Answer {
    let body = json_body(request).await?;
    let draft = Draft::parse(&body, &api.settings)?;
    let record = insert(&api, &draft).await?;
    let location = format!("/v1/sessions/{}", record.session.id);
    let location = HeaderValue::try_from(location).map_err(|_| internal("a session id"))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], one(&api, &record)).into_response())
}

pub async fn fetch(State(api): State<Arc<Api>>, path: IdPath) -> Answer {
    Ok(one(&api, &current(&api, &id(path)?).await?))
}

pub async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Answer {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri)
        .map_err(|error| Problem::new(Kind::InvalidRequest, error.body_text()))?;
    let page = api.store.list(wire::query(pairs)?).await?;
    Ok(Json(wire::page(&page, &api.settings.domains)).into_response())
}

/// Without `If-Match` a change that others overtook is made again on what they left.
pub async fn change(State(api): State<Arc<Api>>, path: IdPath, request: Request) -> Answer {
    let id = id(path)?;
    let wanted = Wanted::of(request.headers());
    let body = json_body(request).await?;
    let patch = Patch::parse(&body, &api.settings)?;
    for _ in 0..limits::CHANGE_TRIES_MAX {
        let record = current(&api, &id).await?;
        wanted.check(record.version)?;
        let Some(session) = patch.apply(&record.session, wire::now()) else {
            return Ok(one(&api, &record));
        };
        match api.store.put(session, Expected::Version(record.version)).await? {
            Ok(record) => return Ok(one(&api, &record)),
            Err(Conflict::Changed(now)) => wanted.check(now)?,
            Err(conflict) => return Err(conflict.into()),
        }
    }
    Err(Problem::new(Kind::ChangedMeanwhile, "others changed it each time: try again"))
}

pub async fn delete(State(api): State<Arc<Api>>, path: IdPath, headers: HeaderMap) -> Answer {
    let id = id(path)?;
    let expected = match Wanted::of(&headers) {
        Wanted::Any => None,
        wanted => {
            let version = current(&api, &id).await?.version;
            wanted.check(version)?;
            Some(version)
        }
    };
    match api.store.delete(id, expected).await? {
        Ok(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(conflict) => Err(conflict.into()),
    }
}

type IdPath = Result<Path<String>, axum::extract::rejection::PathRejection>;

/// What cannot be an id is the id of no session.
fn id(path: IdPath) -> Result<SessionId, Problem> {
    path.ok()
        .and_then(|Path(text)| SessionId::parse(&text).ok())
        .ok_or_else(|| Conflict::Missing.into())
}

async fn current(api: &Api, id: &SessionId) -> Result<Record, Problem> {
    api.store.fetch(id.clone()).await?.ok_or_else(|| Conflict::Missing.into())
}

/// Stores a new session, under an id of its own choice or a random one that is free.
async fn insert(api: &Api, draft: &Draft) -> Result<Record, Problem> {
    for _ in 0..limits::SESSION_ID_TRIES_MAX {
        let id = match &draft.id {
            Some(id) => id.clone(),
            None => SessionId::from_random(getrandom::u32().map_err(|error| {
                tracing::error!(error = %error, "this machine gives no random numbers");
                internal("this machine gives no random numbers")
            })?),
        };
        let label = draft.label.clone().unwrap_or_else(|| Label::of(&id));
        if api.settings.domains.is_reserved(&label) {
            // A given one was checked before; a drawn one is drawn again.
            continue;
        }
        let session = draft.session(id, label, wire::now());
        match api.store.put(session, Expected::Absent).await? {
            Ok(record) => return Ok(record),
            Err(Conflict::IdTaken) if draft.id.is_none() => {}
            Err(Conflict::LabelTaken) if draft.id.is_none() && draft.label.is_none() => {}
            Err(conflict) => return Err(conflict.into()),
        }
    }
    Err(internal("no free session id was found"))
}

/// A body of JSON, bounded in size and time.
async fn json_body(request: Request) -> Result<Bytes, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !media_type.is_some_and(is_json) {
        let detail = "send the body with `Content-Type: application/json`";
        return Err(Problem::new(Kind::WrongMediaType, detail));
    }
    let body = Bytes::from_request(request, &());
    match tokio::time::timeout(limits::API_BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("a body has at most {} bytes", limits::API_BODY_BYTES_MAX);
            Err(Problem::new(Kind::LargeBody, detail))
        }
        Ok(Err(error)) => Err(Problem::new(Kind::MalformedBody, error.body_text())),
        Err(_) => {
            let seconds = limits::API_BODY_TIMEOUT.as_secs();
            Err(Problem::new(Kind::SlowBody, format!("it had {seconds} seconds to arrive")))
        }
    }
}

/// `application/json` or a type built on it (RFC 6839 §3.1), such as
/// `application/merge-patch+json`.
fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type.split(|b| *b == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json"
        || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
}

/// `If-Match` (RFC 9110 §13.1.1).
enum Wanted {
    Any,
    /// One of these entity tags; what is not one of ours matches nothing.
    OneOf(Vec<Version>),
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Self {
        let fields: Vec<_> = headers.get_all(header::IF_MATCH).iter().collect();
        if fields.is_empty() {
            return Self::Any;
        }
        let tags = fields.iter().filter_map(|field| field.to_str().ok());
        let tags: Vec<_> = tags.flat_map(|field| field.split(',')).map(str::trim).collect();
        if tags.contains(&"*") {
            return Self::Any;
        }
        let version = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        Self::OneOf(tags.into_iter().filter_map(version).map(Version).collect())
    }

    fn check(&self, now: Version) -> Result<(), Problem> {
        match self {
            Self::Any => Ok(()),
            Self::OneOf(versions) if versions.contains(&now) => Ok(()),
            Self::OneOf(_) => {
                let detail = format!("the session's entity tag is \"{}\"", now.0);
                Err(Problem::new(Kind::VersionMismatch, detail))
            }
        }
    }
}

fn one(api: &Api, record: &Record) -> Response {
    let tag: [(HeaderName, String); 1] = [(header::ETAG, format!("\"{}\"", record.version.0))];
    (tag, Json(wire::session(record, &api.settings.domains))).into_response()
}

fn internal(detail: &str) -> Problem {
    Problem::new(Kind::Internal, detail)
}

impl From<Conflict> for Problem {
    fn from(conflict: Conflict) -> Self {
        let kind = match conflict {
            Conflict::IdTaken => Kind::IdTaken,
            Conflict::LabelTaken => Kind::LabelTaken,
            Conflict::Missing => Kind::UnknownSession,
            Conflict::Changed(_) => Kind::VersionMismatch,
            // The API never sends another label.
            Conflict::LabelFixed => Kind::Internal,
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
