//! The handlers of `/v1/workspaces`: which workspaces may have sessions, and what each may use.

pub mod schema;

use std::num::NonZeroU64;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use portico_core::limits;
use portico_core::record::{Document, DocumentKey, Kind as DocumentKind, Version};
use portico_core::session::Name;
use portico_core::workspace::{AllowList, Limits, Origin, StoredAllowList};
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::fields::{Fields, Null};
use super::problem::{Kind, Problem};
use super::request::{TextPath, Wanted, json_body, name};
use crate::store::{Conflict, Expected, Write};

type Answer = Result<Response, Problem>;

/// Of what nobody put: the log's positions, which versions are, begin behind it.
const UNSTORED: Version = Version(0);

/// Names with their quotes and commas.
const _: () = assert!(
    limits::ALLOWED_WORKSPACES_MAX * (limits::NAME_BYTES_MAX + 4) < limits::BULK_BODY_BYTES_MAX,
    "the longest list fits a body"
);

/// The list, and every workspace that has limits.
pub async fn list(State(api): State<Arc<Api>>, by: By) -> Answer {
    let (allowed, version) = allow_list(&api).await?;
    let documents = api.store.documents(DocumentKind::Workspace).await?;
    let reached = documents.iter().filter(|document| by.caller.reaches(&document.key.name));
    let items: Result<Vec<Value>, Problem> =
        reached.map(|document| workspace(document, &allowed.list)).collect();
    let shown = Json(json!({
        "allowed": words(&allowed.list, &by),
        "origin": origin(allowed.origin),
        "items": items?,
    }));
    Ok((tag(version), shown).into_response())
}

/// `{"allowed": null | [workspace, …]}`: all, or only those; an empty list is none.
pub async fn put_list(State(api): State<Arc<Api>>, by: By, request: Request) -> Answer {
    by.require_unbounded()?;
    let wanted = Wanted::of(request.headers());
    let body = json_body(request, limits::BULK_BODY_BYTES_MAX).await?;
    let list = read_list(&body)?;
    let expected = wanted.expected(allow_list_version(&api)).await?.map(stored);
    let detail = match &list {
        AllowList::All => "all workspaces are allowed".to_owned(),
        AllowList::Only(names) => format!("{} workspaces are allowed", names.len()),
    };
    let body = StoredAllowList { list, origin: Origin::Api }.encode();
    let write = Write::PutDocument { key: allow_list_key(), body, expected };
    let written = api.store.write(write, by.author().saying(detail)).await?;
    written.map_err(refused)?;
    list_answer(&api, by).await
}

/// Back to the list of the settings.
pub async fn delete_list(State(api): State<Arc<Api>>, by: By, headers: HeaderMap) -> Answer {
    by.require_unbounded()?;
    let expected = Wanted::of(&headers).expected(allow_list_version(&api)).await?;
    let write = Write::DeleteDocument { key: allow_list_key(), expected };
    match api.store.write(write, by.author()).await? {
        Ok(_) | Err(Conflict::Missing) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(conflict) => Err(refused(conflict)),
    }
}

pub async fn fetch(State(api): State<Arc<Api>>, by: By, path: TextPath) -> Answer {
    let name = name(path)?;
    by.require_workspace(&name)?;
    let (allowed, _) = allow_list(&api).await?;
    let document = api.store.document(key(&name)).await?;
    one(&document.unwrap_or_else(|| unlimited(&name)), &allowed.list)
}

/// All limits of one workspace; those that are not given are none.
pub async fn put(State(api): State<Arc<Api>>, by: By, path: TextPath, request: Request) -> Answer {
    let name = name(path)?;
    by.require_workspace(&name)?;
    let wanted = Wanted::of(request.headers());
    let body = json_body(request, limits::API_BODY_BYTES_MAX).await?;
    let new = read_limits(&body)?;
    let now = async {
        let document = api.store.document(key(&name)).await?;
        Ok(document.map_or(UNSTORED, |document| document.version))
    };
    let expected = wanted.expected(now).await?.map(stored);
    let write = Write::PutDocument { key: key(&name), body: new.encode(), expected };
    let written = api.store.write(write, by.author()).await?.map_err(refused)?;
    let (allowed, _) = allow_list(&api).await?;
    one(&written.into_document(), &allowed.list)
}

pub async fn delete(
    State(api): State<Arc<Api>>,
    by: By,
    path: TextPath,
    headers: HeaderMap,
) -> Answer {
    let name = name(path)?;
    by.require_workspace(&name)?;
    let now = async {
        let document = api.store.document(key(&name)).await?;
        document.map(|document| document.version).ok_or_else(|| refused(Conflict::Missing))
    };
    let expected = Wanted::of(&headers).expected(now).await?;
    let write = Write::DeleteDocument { key: key(&name), expected };
    api.store.write(write, by.author()).await?.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list_answer(api: &Arc<Api>, by: By) -> Answer {
    list(State(api.clone()), by).await
}

/// From the store and not from what is in force here, so that a writer reads what it wrote.
async fn allow_list(api: &Api) -> Result<(StoredAllowList, Version), Problem> {
    match api.store.document(allow_list_key()).await? {
        Some(Document { body, version, .. }) => {
            let stored = StoredAllowList::decode(&body).map_err(crate::store::StoreError::from)?;
            Ok((stored, version))
        }
        None => {
            let list = api.settings.allowed_workspaces.clone();
            Ok((StoredAllowList { list, origin: Origin::Settings }, UNSTORED))
        }
    }
}

async fn allow_list_version(api: &Api) -> Result<Version, Problem> {
    Ok(allow_list(api).await?.1)
}

fn stored(version: Version) -> Expected {
    if version == UNSTORED { Expected::Absent } else { Expected::Version(version) }
}

pub(super) fn read_list(body: &[u8]) -> Result<AllowList, Problem> {
    let mut fields = Fields::from_json(body, Null::Refused)?;
    let list = match fields.is_null("allowed") {
        true => Some(AllowList::All),
        false => {
            fields.require("allowed");
            fields.words("allowed", |words| match words.len() {
                0..=limits::ALLOWED_WORKSPACES_MAX => {
                    AllowList::of_words(words).map_err(|error| format!("a name {error}"))
                }
                _ => Err(format!("has more than {} names", limits::ALLOWED_WORKSPACES_MAX)),
            })
        }
    };
    match (fields.complete("is not a field of the allow-list"), list) {
        (true, Some(list)) => Ok(list),
        _ => Err(fields.into_problem()),
    }
}

pub(super) fn read_limits(body: &[u8]) -> Result<Limits, Problem> {
    const MAX: u64 = limits::WORKSPACE_LIMIT_MAX;
    let mut fields = Fields::from_json(body, Null::Absent)?;
    let mut limit = |field| {
        fields.number(field, |number| {
            let bounded = NonZeroU64::new(number).filter(|number| number.get() <= MAX);
            bounded.ok_or_else(|| format!("must be 1 to {MAX}, or null"))
        })
    };
    let limits = Limits {
        sessions_max: limit("sessions_max"),
        connections_max: limit("connections_max"),
        requests_per_second_max: limit("requests_per_second_max"),
        bytes_per_second_max: limit("bytes_per_second_max"),
    };
    if fields.complete("is not a limit of a workspace") {
        Ok(limits)
    } else {
        Err(fields.into_problem())
    }
}

fn workspace(document: &Document, allowed: &AllowList) -> Result<Value, Problem> {
    let limits = Limits::decode(&document.body).map_err(crate::store::StoreError::from)?;
    Ok(json!({
        "workspace": document.key.name.as_str(),
        "allowed": allowed.allows(&document.key.name),
        "sessions_max": limits.sessions_max,
        "connections_max": limits.connections_max,
        "requests_per_second_max": limits.requests_per_second_max,
        "bytes_per_second_max": limits.bytes_per_second_max,
    }))
}

fn one(document: &Document, allowed: &AllowList) -> Answer {
    Ok((tag(document.version), Json(workspace(document, allowed)?)).into_response())
}

fn unlimited(name: &Name) -> Document {
    Document { key: key(name), version: UNSTORED, body: Limits::NONE.encode() }
}

/// A caller that is bounded sees its own part of the list.
fn words(list: &AllowList, by: &By) -> Value {
    match list {
        AllowList::All => Value::Null,
        AllowList::Only(names) => {
            let reached = names.iter().filter(|name| by.caller.reaches(name));
            reached.map(|name| json!(name.as_str())).collect()
        }
    }
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Settings => "settings",
        Origin::Api => "api",
    }
}

fn tag(version: Version) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{}\"", version.0))]
}

fn key(name: &Name) -> DocumentKey {
    DocumentKey { kind: DocumentKind::Workspace, name: name.clone() }
}

pub fn allow_list_key() -> DocumentKey {
    let name = "all".parse().expect("a constant that is a name");
    DocumentKey { kind: DocumentKind::AllowList, name }
}

/// A write of a document that was not done.
pub fn refused(conflict: Conflict) -> Problem {
    let kind = match conflict {
        Conflict::Missing => Kind::Unknown,
        Conflict::Exists => Kind::Exists,
        Conflict::Changed(_) => Kind::VersionMismatch,
        other => return other.into(),
    };
    Problem::new(kind, conflict.to_string())
}
