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
use super::request::{page_limit, position, query};
use super::schema::{answered, count, flag, list as list_of, name, nullable, page, time};
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
            "alive": beating.iter().any(|beat| beat.name == document.key.name),
            "started_at": rfc3339(Timestamp(replica.started_at_ms)),
        }));
    }
    Ok(Json(json!({ "items": items })).into_response())
}

/// As pages of JSON, or, where `application/x-ndjson` is accepted, as lines of it.
pub async fn audit(State(api): State<Arc<Api>>, by: By, uri: Uri, headers: HeaderMap) -> Answer {
    by.require_unbounded()?;
    let page = api.store.audit(read(&uri)?).await?;
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

pub fn read(uri: &Uri) -> Result<AuditQuery, Problem> {
    let mut fields = query(uri)?;
    let after = fields
        .checked("cursor", |text| position(text).ok_or("is not a next_cursor of a page before"));
    let sought =
        AuditQuery { after: after.unwrap_or_default(), items_max: page_limit(&mut fields) };
    if !fields.complete("is not a parameter of the audit log") {
        return Err(fields.into_problem());
    }
    Ok(sought)
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

pub fn schemas() -> Vec<(&'static str, Value)> {
    let text = |description: &str, example: &str| {
        let example = [example];
        json!({ "type": "string", "description": description, "examples": example })
    };
    let replica = json!({
        "id": name("Drawn when it starts.", "3f0c2a86"),
        "role": { "type": "string", "enum": ["all", "proxy", "control"] },
        "version": text("The version of Portico that it runs.", "0.1.0"),
        "host": text("The name of its machine.", "edge-1"),
        "alive": flag("Whether it was heard of lately."),
        "started_at": time("When it started."),
    });
    let record = json!({
        "position": count("Its place in the log; also a `cursor`."),
        "at": time("When."),
        "actor": name("Whose token; `portico` for what it did by itself.", "platform"),
        "address": nullable(text("From where.", "192.0.2.7")),
        "action": text("What was done.", "session.created"),
        "subject": text("To what.", "sessions/3e8370e7"),
        "workspace": nullable(name("The workspace of a session.", "genomics")),
        "detail": nullable(text("What changed, in words.", "state starting to running")),
    });
    vec![
        ("Replica", answered("One running Portico.", replica, &[])),
        ("Replicas", list_of("All replicas.", "Replica")),
        ("AuditRecord", answered("Who changed what, when, and from where.", record, &[])),
        ("AuditPage", page("The audit log, oldest first.", "AuditRecord")),
    ]
}
