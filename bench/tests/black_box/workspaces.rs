//! Workspaces at the edge: those that may not have sessions, and those that have used up what they
//! may.

use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{World, eventually};
use serde_json::{Value, json};

use crate::{Io, world};

on_both_io!(
    a_workspace_that_leaves_the_list_loses_its_routes_until_it_returns,
    open_connections_are_bounded,
    requests_a_second_are_bounded,
    bytes_a_second_are_bounded,
);

fn allow(world: &World, allowed: &Value) {
    let response = world.api("PUT", "/v1/workspaces", Some(&json!({ "allowed": allowed })));
    assert_eq!(response.status, 200, "{}", response.text());
}

fn limit(world: &World, limits: &Value) {
    let response = world.api("PUT", "/v1/workspaces/genomics", Some(limits));
    assert_eq!(response.status, 200, "{}", response.text());
}

fn a_workspace_that_leaves_the_list_loses_its_routes_until_it_returns(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let mine = world.session(&upstream);
    let other = json!({ "upstream": upstream.url(), "workspace": "imaging" });
    let other = world.session_with(other);
    // One connection from before: it is not trusted to stay allowed.
    let mut client = world.client();
    assert_eq!(client.get(&mine.host, "/").status, 200);

    allow(&world, &json!(["imaging"]));
    eventually("it is refused", || (client.get(&mine.host, "/").status == 403).then_some(()));
    let page = world
        .client()
        .exchange(format!("GET / HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\n\r\n", mine.host));
    assert_eq!(page.status, 403);
    assert!(page.text().contains("The workspace genomics is not on the list"), "{}", page.text());
    let problem = world.client().get("connect.example.com", &mine.prefix);
    assert_eq!(problem.json()["type"], "/problems/workspace-not-allowed");
    assert_eq!(world.client().get(&other.host, "/").status, 200);
    assert!(world.metric("portico_requests_refused_total", "workspace_not_allowed") >= 2.0);
    assert_eq!(world.create(&json!({})).status, 403, "nor are new ones made");

    allow(&world, &json!([]));
    eventually("all are", || (client.get(&other.host, "/").status == 403).then_some(()));
    allow(&world, &Value::Null);
    eventually("it is back", || (client.get(&mine.host, "/").status == 200).then_some(()));
}

fn open_connections_are_bounded(io: Io) {
    let (world, upstream) = (world(io), Upstream::websocket_echo());
    let session = world.session(&upstream);
    limit(&world, &json!({ "connections_max": 3 }));
    eventually("the limit is known", || {
        let shown = world.api("GET", "/v1/workspaces/genomics", None).json();
        (shown["connections_max"] == 3).then_some(())
    });
    // A moment for the feed: what was opened before it is not counted.
    let mut sockets = Vec::new();
    eventually("a fourth is refused", || {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            session.host
        );
        let mut client = world.client();
        client.send(&request);
        let head = client.head();
        match head.status {
            101 => sockets.push(client),
            429 => {
                assert_eq!(head.field("retry-after").as_deref(), Some("1"));
                return Some(());
            }
            other => panic!("{other}"),
        }
        assert!(sockets.len() < 200, "nothing is refused");
        None
    });
    assert!(world.metric("portico_requests_refused_total", "workspace_connections") >= 1.0);
    drop(sockets);
    let mut socket = eventually("there is room again", || {
        world.client().try_websocket(&session.host, "/", &[]).ok()
    });
    round_trip(&mut socket, "within the limit");
}

fn requests_a_second_are_bounded(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    limit(&world, &json!({ "requests_per_second_max": 5 }));
    let mut client = world.client();
    let refused = eventually("the rate is kept", || {
        let response = client.get(&session.host, "/");
        (response.status == 429).then_some(response)
    });
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    assert_eq!(refused.json()["type"], "/problems/workspace-limit");
    // The connection is kept, and a second later there is room.
    eventually("there is room again", || {
        (client.get(&session.host, "/").status == 200).then_some(())
    });
    limit(&world, &json!({}));
    eventually("without a limit all pass", || {
        let all = (0..50).all(|_| client.get(&session.host, "/").status == 200);
        all.then_some(())
    });
}

fn bytes_a_second_are_bounded(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while connection.request().is_some() {
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}",
                "x".repeat(100_000)
            ));
        }
    });
    let session = world.session(&upstream);
    limit(&world, &json!({ "bytes_per_second_max": 50_000 }));
    let mut client = world.client();
    let refused = eventually("bytes are paid for", || {
        let response = client.get(&session.host, "/");
        (response.status == 429).then_some(response)
    });
    let seconds: u64 = refused.field("retry-after").and_then(|s| s.parse().ok()).unwrap_or(0);
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert!(world.metric("portico_requests_refused_total", "workspace_byte_rate") >= 1.0);
}
