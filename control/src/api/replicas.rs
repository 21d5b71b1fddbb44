//! The handlers of `/v1/replicas` and `/v1/audit`: what runs, and who changed what.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use portico_core::record::{AuditRecord, Kind as DocumentKind};
use portico_core::session::{Name, Timestamp};
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::problem::Problem;
use super::request::{page_limit, query};
use super::wire::rfc3339;
use crate::replica::Replica;
use crate::store::{AuditQuery, Position, StoreError};

type Answer = Result<Response, Problem>;

pub async fn list(State(api): State<Arc<Api>>, _: By) -> Answer {
    let documents = api.store.documents(DocumentKind::Replica).await?;
    let beating = api.store.beating().await?;
    let mut items = Vec::with_capacity(documents.len());
    for document in documents {
        let replica = Replica::decode(&document.body).map_err(StoreError::from)?;
        items.push(json!({
            "id": document.key.name.as_str(),
            "role": replica.role.as_str(),
            "version": replica.version,
            "host": replica.host,
            "alive": beating.contains(&document.key.name),
            "started_at": rfc3339(Timestamp(replica.started_at_ms)),
        }));
    }
    Ok(Json(json!({ "items": items })).into_response())
}

/// As pages of JSON, or, where `application/x-ndjson` is accepted, as lines of it.
pub async fn audit(State(api): State<Arc<Api>>, by: By, uri: Uri, headers: HeaderMap) -> Answer {
    by.require_unbounded()?;
    let mut fields = query(&uri)?;
    let after = fields.checked("cursor", |text| {
        text.parse().map_err(|_| "is not a next_cursor of a page before")
    });
    let sought =
        AuditQuery { after: Position(after.unwrap_or(0)), items_max: page_limit(&mut fields) };
    if !fields.complete("is not a parameter of the audit log") {
        return Err(fields.into_problem());
    }
    let page = api.store.audit(sought).await?;
    let items: Vec<_> =
        page.items.iter().map(|(position, record)| line(*position, record)).collect();
    const LINES: &str = "application/x-ndjson";
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains(LINES)) {
        let text: String = items.iter().map(|item| format!("{item}\n")).collect();
        return Ok(([(header::CONTENT_TYPE, LINES)], Body::from(text)).into_response());
    }
    let next = page.next.map(|position| position.0.to_string());
    Ok(Json(json!({ "items": items, "next_cursor": next })).into_response())
}

fn line(position: Position, record: &AuditRecord) -> Value {
    json!({
        "position": position.0,
        "at": rfc3339(record.at),
        "actor": record.actor.as_str(),
        "address": record.address,
        "action": record.action,
        "subject": record.subject,
        "workspace": record.workspace.as_ref().map(Name::as_str),
        "detail": record.detail,
    })
}
