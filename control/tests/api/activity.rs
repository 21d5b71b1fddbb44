//! When a session was last used, as replicas have written it down.

use std::time::Duration;

use portico_control::store::{Beat, UsageBatch};
use portico_core::activity::{Activity, Open, SessionActivity};
use portico_core::label::SessionId;
use portico_core::session::Timestamp;
use portico_core::usage::Reading;
use serde_json::json;

use crate::world::World;

fn tell(world: &World, writer: &str, activity: Activity) {
    let session = SessionId::parse("one").unwrap();
    let activity = vec![SessionActivity { session, activity }];
    let reading = Reading { activity, ..Reading::default() };
    let batch =
        UsageBatch { writer: writer.parse().unwrap(), number: 1, at: Timestamp(1), reading };
    world.block_on(world.store.add_usage(batch)).unwrap();
}

#[test]
fn clocks_are_of_all_and_connections_of_those_that_live() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    let quiet = client.get("/v1/sessions/one/activity").json();
    let none = json!({ "requests": 0, "websockets": 0, "upgrades": 0 });
    assert_eq!((&quiet["replicas"], &quiet["open"]), (&json!([]), &none));
    assert!(quiet["client_data_at"].is_null() && quiet["idle_seconds"].as_u64().unwrap() < 60);

    let open = Open { requests: 1, websockets: 2, upgrades: 3 };
    let late = Some(Timestamp(4_102_444_800_000));
    let alive = Activity { ping_at: Some(Timestamp(1_000)), open, ..Activity::default() };
    tell(&world, "edge-1", alive);
    tell(&world, "edge-2", Activity { client_data_at: late, open, ..Activity::default() });
    let beat = Beat { name: "edge-1".parse().unwrap(), note: Vec::new() };
    world.block_on(world.store.beat(beat, Duration::from_secs(60))).unwrap();
    let some = json!({ "requests": 1, "websockets": 2, "upgrades": 3 });
    let (ping, data) = ("1970-01-01T00:00:01.000Z", "2100-01-01T00:00:00.000Z");
    assert_eq!(
        client.get("/v1/sessions/one/activity").json(),
        json!({
            "session": "one", "client_data_at": data, "session_data_at": null, "ping_at": ping,
            "idle_seconds": 0, "open": some,
            "replicas": [
                { "replica": "edge-1", "alive": true, "client_data_at": null,
                  "session_data_at": null, "ping_at": ping, "open": some },
                { "replica": "edge-2", "alive": false, "client_data_at": data,
                  "session_data_at": null, "ping_at": null, "open": none },
            ],
        })
    );
}

#[test]
fn only_who_sees_the_session_is_told() {
    let world = World::start();
    let mut admin = world.client();
    admin.create(r#""id":"one""#);
    let unknown = admin.get("/v1/sessions/none/activity");
    unknown.assert_problem(404, "unknown-session", &[]);
    for (name, scope) in [("reader", "sessions:read"), ("counter", "usage:read")] {
        let mut client = admin.make_token(&world, name, &format!(r#""scopes":["{scope}"]"#));
        assert_eq!(client.get("/v1/sessions/one/activity").status, 200);
    }
    let bounds = r#""scopes":["usage:read"],"workspaces":["imaging"]"#;
    let mut bounded = admin.make_token(&world, "bounded", bounds);
    let refused = bounded.get("/v1/sessions/one/activity");
    refused.assert_problem(404, "unknown-session", &[]);
}
