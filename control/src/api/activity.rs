//! The handler of `/v1/sessions/{id}/activity`: when a session was last used, put together from
//! what each replica has written down.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use portico_core::activity::{Activity, Open};
use portico_core::session::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::problem::Problem;
use super::request::TextPath;
use super::schema::{about, answered, count, flag, name, nullable, reference, session_id, time};
use super::sessions;
use super::wire::rfc3339;
use crate::clock;

/// Clocks are of all who ever saw the session; what is open is of those that live.
pub async fn read(
    State(api): State<Arc<Api>>,
    by: By,
    path: TextPath,
) -> Result<Response, Problem> {
    let id = sessions::id(path)?;
    let session = sessions::current(&api, &by, &id).await?.session;
    let (told, beats) = (api.store.activity(id).await?, api.store.beating().await?);
    let mut all = Activity::default();
    let mut replicas = Vec::with_capacity(told.len());
    for (writer, activity) in told {
        let alive = beats.iter().any(|beat| beat.name == writer);
        let open = if alive { activity.open } else { Open::default() };
        let activity = Activity { open, ..activity };
        all = all.merged(activity);
        let mut replica = shown(&activity);
        replica["replica"] = json!(writer.as_str());
        replica["alive"] = json!(alive);
        replicas.push(replica);
    }
    // As it is judged whether the session is idle.
    let begin = session.idle.map_or(session.created_at, |idle| idle.counts_from);
    let last = all.data_at().unwrap_or(begin).max(begin);
    let mut answer = shown(&all);
    answer["session"] = json!(session.id.as_str());
    answer["idle_seconds"] = json!(clock::now().since(last).as_secs());
    answer["replicas"] = json!(replicas);
    Ok(Json(answer).into_response())
}

fn shown(activity: &Activity) -> Value {
    let at = |time: Option<Timestamp>| time.map(rfc3339);
    let Open { requests, websockets, upgrades } = activity.open;
    json!({
        "client_data_at": at(activity.client_data_at),
        "session_data_at": at(activity.session_data_at),
        "ping_at": at(activity.ping_at),
        "open": { "requests": requests, "websockets": websockets, "upgrades": upgrades },
    })
}

pub fn schemas() -> Vec<(&'static str, Value)> {
    let shared = json!({
        "client_data_at": nullable(time(
            "The last data from a client: no ping, no status poll. Null if there was none.",
        )),
        "session_data_at": nullable(time("The last data from the session, likewise.")),
        "ping_at": nullable(time("The last ping, keep-alive or status poll of either side.")),
        "open": reference("OpenConnections"),
    });
    let with = |more: Value| {
        let (mut all, more) = (shared.clone(), more);
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        all
    };
    let session = with(json!({
        "session": about(session_id(), "The session."),
        "idle_seconds": count(
            "Seconds since the last data, or since it was created; with an `idle_timeout_seconds`, \
             since it took its state or was given that.",
        ),
        "replicas": { "type": "array", "items": reference("ReplicaActivity") },
    }));
    let replica = with(json!({
        "replica": name("Which replica.", "3f0c2a86"),
        "alive": flag("Whether it was heard of lately. Of one that was not, nothing is open."),
    }));
    let open = json!({
        "requests": count("Connections on which requests are answered."),
        "websockets": count("WebSockets."),
        "upgrades": count("Connections that switched to another protocol."),
    });
    vec![
        ("Activity", answered("When a session was last used.", session, &[])),
        ("ReplicaActivity", answered("What one replica saw of it.", replica, &[])),
        ("OpenConnections", answered("Open connections of clients, by kind.", open, &[])),
    ]
}
