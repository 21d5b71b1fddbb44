//! The handler of `/v1/sessions/{id}/connections`: who is on a session now, put together from what
//! each replica says of itself with its heartbeat.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use portico_core::session::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::problem::Problem;
use super::request::TextPath;
use super::schema::{answered, count, flag, name, nullable, reference, time};
use super::sessions;
use super::wire::rfc3339;

/// What a replica says of who is connected to it.
#[derive(Deserialize)]
struct Note {
    v: u32,
    /// Whether there were more than it has room for.
    truncated: bool,
    sessions: HashMap<String, Vec<Connected>>,
}

#[derive(Deserialize)]
struct Connected {
    /// None of a session that asks nobody.
    user: Option<String>,
    connections: u64,
    since_ms: u64,
}

const FORM: u32 = 1;

pub async fn list(
    State(api): State<Arc<Api>>,
    by: By,
    path: TextPath,
) -> Result<Response, Problem> {
    let id = sessions::id(path)?;
    sessions::current(&api, &by, &id).await?;
    let (mut items, mut complete) = (Vec::new(), true);
    for beat in api.store.beating().await? {
        // One without workers, or one that has not counted yet, says nothing.
        if beat.note.is_empty() {
            continue;
        }
        let note = serde_json::from_slice::<Note>(&beat.note).ok().filter(|note| note.v == FORM);
        let Some(mut note) = note else {
            // A replica of another version: what it has is not known here.
            complete = false;
            continue;
        };
        complete &= !note.truncated;
        for connected in note.sessions.remove(id.as_str()).unwrap_or_default() {
            items.push(json!({
                "user": connected.user,
                "connections": connected.connections,
                "replica": beat.name.as_str(),
                "since": rfc3339(Timestamp(connected.since_ms)),
            }));
        }
    }
    Ok(Json(json!({ "items": items, "complete": complete })).into_response())
}

pub fn schemas() -> Vec<(&'static str, Value)> {
    let connected = json!({
        "user": nullable(name("Who; null where nobody was asked.", "ada@example.com")),
        "connections": count("How many connections."),
        "replica": name("To which replica.", "3f0c2a86"),
        "since": time("When the oldest of them began."),
    });
    let items = json!({ "type": "array", "items": reference("Connected") });
    let complete = flag("Whether every replica said all that it has.");
    let connections = json!({ "items": items, "complete": complete });
    vec![
        ("Connected", answered("A user's connections to one replica.", connected, &[])),
        ("Connections", answered("Who is connected to the session.", connections, &[])),
    ]
}
