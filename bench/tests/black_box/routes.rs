//! Changes to routes: seen at once, kept over a crash, and felt by nobody else.

use std::time::{Duration, Instant};

use portico_bench::world::World;
use portico_bench::world::api::api_request;
use portico_bench::world::client::Client;
use portico_bench::world::upstream::Upstream;
use serde_json::{Value, json};

use crate::{Io, options, world};

on_both_io!(
    ten_thousand_changes_close_none_of_a_thousand_connections,
    a_new_session_is_routable_at_once,
    acknowledged_sessions_survive_a_kill,
);

const CONNECTIONS: usize = 1_000;
const ROUTES: usize = 10_000;

fn ten_thousand_changes_close_none_of_a_thousand_connections(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        if connection.head().is_some() {
            connection.upgrade_and_echo();
        }
    });
    let host = world.session(&upstream).host;
    let request =
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    // Each at once after it connected: a client has ten seconds for its first head.
    let upgraded = || {
        let mut client = world.client();
        client.send(&request);
        assert_eq!(client.head().status, 101);
        client
    };
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| upgraded()).collect();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let world = &world;
            scope.spawn(move || add_and_remove(world, thread, ROUTES / 8));
        }
    });
    world.expect_metric("portico_routes", "", 1.0);
    for (number, client) in clients.iter_mut().enumerate() {
        let message = format!("message {number}");
        client.send(&message);
        assert_eq!(client.read_exactly(message.len()), message.as_bytes());
    }
    world.expect_metric("portico_relays_open", "", CONNECTIONS as f64);
    assert_eq!(upstream.accepted(), CONNECTIONS);
}

/// Over one connection, in batches, so that the store can write many at once.
fn add_and_remove(world: &World, thread: usize, count: usize) {
    let mut client = Client::connect(world.control);
    let ids: Vec<String> = (0..count).map(|i| format!("{thread}x{i}")).collect();
    for batch in ids.chunks(50) {
        let create = |id: &String| {
            let body: Value = json!({
                "id": id, "workspace": "w", "owner": "o", "tool": "t",
                "upstream": "http://127.0.0.1:9"
            });
            api_request("POST", "/v1/sessions", Some(&body))
        };
        let delete = |id: &String| api_request("DELETE", &format!("/v1/sessions/{id}"), None);
        client.send(batch.iter().map(create).collect::<String>());
        for id in batch {
            assert_eq!(client.response().status, 201, "{id}");
        }
        client.send(batch.iter().map(delete).collect::<String>());
        for id in batch {
            assert_eq!(client.response().status, 204, "{id}");
        }
    }
}

fn a_new_session_is_routable_at_once(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let mut waits = Vec::new();
    for _ in 0..20 {
        let response = world.create(&json!({ "upstream": upstream.url() }));
        let created = Instant::now();
        let label = response.json()["label"].as_str().expect("a label").to_owned();
        let mut client = world.client();
        let target = format!("/_studio/{label}");
        while client.get("connect.example.com", &target).status != 308 {
            assert!(created.elapsed() < Duration::from_secs(5), "not routable");
        }
        waits.push(created.elapsed());
    }
    waits.sort();
    println!("from the API's answer to a route: median {:?}, worst {:?}", waits[10], waits[19]);
    // The design says 5 ms; a busy machine gets some more for a test.
    assert!(waits[10] < Duration::from_millis(50), "{waits:?}");
}

fn acknowledged_sessions_survive_a_kill(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let kept: Vec<_> = (0..20).map(|_| world.session(&upstream)).collect();
    let deleted = world.session(&upstream);
    world.delete(&deleted);
    world.patch(&kept[0], &json!({ "state": "stopped", "reason": "out of quota" }));
    let world = world.killed_and_restarted(options(io));
    // Loaded before the listeners open: there is nothing to wait for.
    for session in &kept[1..] {
        assert_eq!(world.client().get(&session.host, "/").status, 200, "{}", session.label);
    }
    assert_eq!(world.client().get(&kept[0].host, "/").status, 503);
    assert_eq!(world.client().get(&deleted.host, "/").status, 410);
}
