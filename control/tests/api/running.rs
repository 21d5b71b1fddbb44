//! What runs, and who changed what.

use std::time::Duration;

use portico_control::replica::{Replica, Role};
use portico_control::store::{Author, Beat, Write};
use portico_core::record::{DocumentKey, Kind};
use portico_core::session::Name;
use serde_json::{Value, json};

use crate::document::check_value;
use crate::world::World;

#[test]
fn replicas_are_shown_with_whether_they_live() {
    let world = World::start();
    assert_eq!(world.client().get("/v1/replicas").json(), json!({ "items": [] }));
    world.block_on(async {
        for (name, role) in [("one", Role::All), ("two", Role::Control)] {
            let name: Name = name.parse().unwrap();
            let host = "edge-1".to_owned();
            let replica = Replica { role, version: "0.1.0".to_owned(), host, started_at_ms: 0 };
            let key = DocumentKey { kind: Kind::Replica, name: name.clone() };
            let write = Write::PutDocument { key, body: replica.encode(), expected: None };
            world.store.write(write, Author::portico()).await.unwrap().unwrap();
        }
        let beat = Beat { name: "one".parse().unwrap(), note: Vec::new() };
        world.store.beat(beat, Duration::from_secs(60)).await.unwrap();
    });
    let items = world.client().get("/v1/replicas").json()["items"].clone();
    assert_eq!(
        items[0],
        json!({
            "id": "one", "role": "all", "version": "0.1.0", "host": "edge-1", "alive": true,
            "started_at": "1970-01-01T00:00:00.000Z",
        })
    );
    assert_eq!((&items[1]["id"], &items[1]["alive"]), (&json!("two"), &json!(false)));
}

/// Who, what, when, and from where.
#[test]
fn every_change_is_written_down() {
    let world = World::start();
    let mut admin = world.client();
    let mut platform = admin.make_token(&world, "platform", r#""scopes":["sessions:write"]"#);
    let before = std::time::SystemTime::now() - Duration::from_secs(1);
    platform.create(r#""id":"one","state":"starting""#);
    platform.patch("/v1/sessions/one", r#"{"state":"running"}"#);
    platform.patch("/v1/sessions/one", r#"{"state":"running"}"#);
    platform.create(r#""id":"one""#).assert_problem(409, "id-taken", &[]);
    platform.delete("/v1/sessions/one");
    admin.put("/v1/workspaces", r#"{"allowed":["a","b"]}"#);
    admin.send("POST", "/v1/tokens/platform/rotate", &[], None);
    let items = admin.get("/v1/audit").json()["items"].as_array().unwrap().clone();
    let told: Vec<_> = items
        .iter()
        .map(|item| {
            let text = |name: &str| item[name].as_str().unwrap_or("-").to_owned();
            let at = humantime::parse_rfc3339(&text("at")).unwrap();
            assert!(before <= at && at <= std::time::SystemTime::now());
            assert_eq!(text("address"), "127.0.0.1");
            [text("actor"), text("action"), text("subject"), text("workspace"), text("detail")]
                .join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "settings token.created tokens/platform - scopes {\"sessions:write\"}",
            "platform session.created sessions/one genomics -",
            "platform session.changed sessions/one genomics state starting to running",
            "platform session.deleted sessions/one genomics -",
            "settings workspaces.changed workspaces - 2 workspaces are allowed",
            "settings token.changed tokens/platform - rotated",
        ]
    );
}

#[test]
fn the_audit_log_has_pages_and_lines() {
    let world = World::start();
    let mut client = world.client();
    for number in 0..5 {
        client.create(&format!(r#""id":"s{number}""#));
    }
    let first = client.get("/v1/audit?limit=2").json();
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = client.get(&format!("/v1/audit?cursor={cursor}")).json();
    let rest_items = rest["items"].as_array().unwrap();
    assert_eq!((rest_items.len(), &rest["next_cursor"]), (3, &Value::Null));

    let lines = [("Accept", "application/x-ndjson")];
    let answer = client.send("GET", "/v1/audit?limit=2", &lines, None);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(answer.body).unwrap();
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.iter().for_each(|record| check_value("AuditRecord", record));
    assert_eq!(json!(records), first["items"]);
    // The position of the last line is where to go on.
    let path = format!("/v1/audit?cursor={}", records[1]["position"]);
    assert_eq!(client.get(&path).json(), rest);
    client.get("/v1/audit?cursor=x&limit=0&actor=a").assert_problem(
        400,
        "invalid-request",
        &["cursor", "limit", "actor"],
    );
}
