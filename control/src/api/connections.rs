//! The handler of `/v1/sessions/{id}/connections`: who is on a session now, put together from what
//! each replica says of itself with its heartbeat.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::problem::Problem;
use super::request::TextPath;
use super::schema::{answered, count, flag, name, reference, time};
use super::sessions;
use super::wire::rfc3339;
use crate::replica::present::{self, Present};

pub async fn list(
    State(api): State<Arc<Api>>,
    by: By,
    path: TextPath,
) -> Result<Response, Problem> {
    let id = sessions::id(path)?;
    sessions::current(&api, &by, &id).await?;
    let (mut items, mut complete) = (Vec::new(), true);
    for beat in api.store.beating().await? {
        let told = present::of_session(&beat.note, id.as_str());
        complete &= told.complete;
        for Present { user, connections, since, .. } in told.present {
            items.push(json!({
                "user": user.as_str(),
                "connections": connections,
                "replica": beat.name.as_str(),
                "since": rfc3339(since),
            }));
        }
    }
    Ok(Json(json!({ "items": items, "complete": complete })).into_response())
}

pub fn schemas() -> Vec<(&'static str, Value)> {
    let connected = json!({
        "user": name("Who.", "ada@example.com"),
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
