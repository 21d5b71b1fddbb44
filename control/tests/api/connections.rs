//! Who is connected to a session, as replicas say with their heartbeats.

use std::time::Duration;

use portico_control::store::Beat;
use serde_json::json;

use crate::world::World;

fn beat(world: &World, name: &str, note: impl Into<Vec<u8>>) {
    let beat = Beat { name: name.parse().unwrap(), note: note.into() };
    world.block_on(world.store.beat(beat, Duration::from_secs(60))).unwrap();
}

#[test]
fn all_replicas_say_who_is_connected() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    let mut seen = || client.get("/v1/sessions/one/connections").json();
    assert_eq!(seen(), json!({ "items": [], "complete": true }));
    let note = |user: &str, truncated: bool| {
        let connected = json!([{ "user": user, "connections": 3, "since_ms": 1_000 }]);
        json!({ "v": 1, "truncated": truncated, "sessions": { "one": connected, "other": [] } })
            .to_string()
    };
    beat(&world, "edge-2", note("bob", false));
    beat(&world, "edge-1", note("ada", false));
    beat(&world, "silent", "");
    let item = |user: &str, replica: &str| {
        json!({ "user": user, "connections": 3, "replica": replica,
                "since": "1970-01-01T00:00:01.000Z" })
    };
    let both = json!([item("ada", "edge-1"), item("bob", "edge-2")]);
    assert_eq!(seen(), json!({ "items": both, "complete": true }));
    // What one cannot say, or says in words that are not known here, is missing.
    beat(&world, "edge-2", note("bob", true));
    assert_eq!(seen(), json!({ "items": both, "complete": false }));
    beat(&world, "edge-2", r#"{"v":2,"truncated":false,"sessions":{}}"#);
    assert_eq!(seen(), json!({ "items": [item("ada", "edge-1")], "complete": false }));
    let none = client.get("/v1/sessions/none/connections");
    none.assert_problem(404, "unknown-session", &[]);
}

#[test]
fn who_is_in_another_workspace_is_not_told() {
    let world = World::start();
    let mut admin = world.client();
    admin.create(r#""id":"one""#);
    let bounds = r#""scopes":["sessions:read"],"workspaces":["imaging"]"#;
    let mut bounded = admin.make_token(&world, "bounded", bounds);
    let refused = bounded.get("/v1/sessions/one/connections");
    refused.assert_problem(404, "unknown-session", &[]);
}
