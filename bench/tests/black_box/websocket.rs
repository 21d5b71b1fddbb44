//! WebSockets and other upgrades: a relay begins with the upstream's 101 and not before, loses no
//! byte, and ends each direction when its sender does.

use std::io::Write;

use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{CONNECT_HOST, eventually};
use serde_json::json;
use tungstenite::Message;

use crate::{Io, world};

on_both_io!(
    messages_cross_on_both_routings,
    early_bytes_are_held_until_the_upgrade,
    bytes_behind_the_101_arrive,
    a_client_may_end_its_direction_first,
    an_upstream_may_end_its_direction_first,
    a_refused_upgrade_passes_through,
    a_refused_upgrade_is_not_a_tunnel,
    an_upgrade_without_an_upstream_is_502,
    other_protocols_upgrade_too,
    clear_text_http2_is_not_an_upgrade_that_we_pass,
    a_broken_upstream_ends_the_client,
    changes_to_a_session_leave_its_connections_alone,
    a_reader_that_stops_holds_the_sender_back,
);

fn upgrade(host: &str, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\n\
         Connection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"
    )
}

fn messages_cross_on_both_routings(io: Io) {
    let (world, upstream) = (world(io), Upstream::websocket_echo());
    let session = world.session(&upstream);
    let by_path = format!("{}api/kernels", session.prefix);
    for (host, target) in [(session.host.as_str(), "/api/kernels"), (CONNECT_HOST, &by_path)] {
        let mut socket = world.client().websocket(host, target, &[]);
        for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
            round_trip(&mut socket, &"x".repeat(size));
        }
        socket.close(None).expect("a close can be sent");
        while socket.read().is_ok() {}
    }
    world.expect_metric("portico_relays_open", "", 0.0);
    world.expect_metric("portico_upgrades_total", "", 2.0);
}

fn early_bytes_are_held_until_the_upgrade(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        if connection.head().is_some() {
            assert!(connection.wire().take_pending().is_empty(), "bytes before the 101");
            connection.upgrade_and_echo();
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(upgrade(&host, "/") + "early bytes");
    assert_eq!(client.head().status, 101);
    client.send(", late bytes");
    assert_eq!(client.read_exactly(23), b"early bytes, late bytes");
}

fn bytes_behind_the_101_arrive(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        connection.head();
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello",
        );
        connection.read_to_close();
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(upgrade(&host, "/"));
    assert_eq!(client.head().status, 101);
    assert_eq!(client.read_exactly(5), b"hello");
}

fn a_client_may_end_its_direction_first(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        connection.head();
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        let received = connection.read_to_close();
        assert_eq!(
            received.as_deref(),
            Some(&b"question"[..]),
            "the end of the client's direction"
        );
        connection.send(vec![b'a'; 1_000_000]);
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(upgrade(&host, "/"));
    assert_eq!(client.head().status, 101);
    client.send("question");
    client.close_write();
    assert_eq!(client.read_to_close().len(), 1_000_000);
}

fn an_upstream_may_end_its_direction_first(io: Io) {
    let world = world(io);
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |connection| {
        connection.head();
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nall",
        );
        connection.close_write();
        let _ = tell.send(connection.read_to_close());
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(upgrade(&host, "/"));
    assert_eq!(client.head().status, 101);
    assert_eq!(client.read_to_close(), b"all");
    client.send("still talking");
    client.close_write();
    let received = told.recv().expect("the upstream saw the end");
    assert_eq!(received.as_deref(), Some(&b"still talking"[..]));
}

fn a_refused_upgrade_passes_through(io: Io) {
    let world = world(io);
    let upstream = Upstream::answering(
        "HTTP/1.1 403 Forbidden\r\nX-Why: token\r\nContent-Length: 2\r\n\r\nno",
    );
    let host = world.session(&upstream).host;
    let mut client = world.client();
    let response = client.exchange(upgrade(&host, "/"));
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    assert_eq!(response.field("x-why").as_deref(), Some("token"));
}

/// Bytes that a client sent in the hope of a tunnel never reach the tool as a request.
fn a_refused_upgrade_is_not_a_tunnel(io: Io) {
    let world = world(io);
    let upstream = Upstream::answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno");
    let session = world.session(&upstream);
    let mut client = world.client();
    let inner = format!("GET /inner HTTP/1.1\r\nHost: none.{CONNECT_HOST}\r\n\r\n");
    client.send(upgrade(CONNECT_HOST, &session.prefix) + &inner);
    assert_eq!(client.response().status, 400);
    // Either the connection ends here, or what follows is read as a request of its own.
    let next = client.try_response();
    let targets: Vec<_> = upstream.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(targets, [session.prefix], "then came {next:?}");
}

fn an_upgrade_without_an_upstream_is_502(io: Io) {
    let world = world(io);
    let gone = Upstream::echo().url();
    let session = world.session_with(json!({ "upstream": gone }));
    let response = world.client().exchange(upgrade(&session.host, "/"));
    assert_eq!(response.status, 502);
}

fn other_protocols_upgrade_too(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        if let Some(request) = connection.head() {
            assert_eq!(request.field("upgrade").as_deref(), Some("echo"));
            let connection_field = request.field("connection").unwrap_or_default();
            assert!(connection_field.eq_ignore_ascii_case("upgrade"), "{connection_field}");
            connection.upgrade_and_echo();
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(upgrade(&host, "/"));
    let head = client.head();
    assert_eq!((head.status, head.field("upgrade").as_deref()), (101, Some("echo")));
    client.send("x".repeat(100_000));
    assert_eq!(client.read_exactly(100_000).len(), 100_000);
}

/// Inside such a tunnel every further request would go past Portico's rules.
fn clear_text_http2_is_not_an_upgrade_that_we_pass(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let response = world.client().exchange(format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    ));
    assert_eq!(response.status, 200, "{response:?}");
    let seen = upstream.requests()[0].clone();
    assert_eq!(seen.field("upgrade"), None);
    assert_eq!(seen.field("http2-settings"), None);
}

fn a_broken_upstream_ends_the_client(io: Io) {
    let (world, upstream) = (world(io), Upstream::websocket_echo());
    let host = world.session(&upstream).host;
    let mut socket = world.client().websocket(&host, "/", &[]);
    round_trip(&mut socket, "before");
    upstream.break_connections();
    assert!(socket.read().is_err());
}

fn changes_to_a_session_leave_its_connections_alone(io: Io) {
    let world = world(io);
    let (old, new) = (Upstream::websocket_echo(), Upstream::echo());
    let session = world.session(&old);
    let mut socket = world.client().websocket(&session.host, "/", &[]);
    world.patch(&session, &json!({ "upstream": new.url() }));
    eventually("new requests go to the new upstream", || {
        let response = world.client().get(&session.host, "/");
        (response.status == 200).then_some(())
    });
    round_trip(&mut socket, "still there");
}

fn a_reader_that_stops_holds_the_sender_back(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        connection.head();
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        // Never reads; held until the client goes.
        let (mut piece, mut sent) = (vec![b'x'; 1 << 16], 0_usize);
        while sent < 200 << 20 && connection.try_send(&piece) {
            sent += piece.len();
            piece.rotate_left(1);
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(upgrade(&host, "/"));
    assert_eq!(client.head().status, 101);
    let tcp = client.tcp();
    tcp.set_write_timeout(Some(std::time::Duration::from_secs(1))).expect("a timeout can be set");
    let mut tcp = tcp.try_clone().expect("a socket can be shared");
    let (piece, mut sent) = (vec![b'y'; 1 << 16], 0_usize);
    while sent < 64 << 20 && tcp.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    assert!(sent < 40 << 20, "{sent} bytes were taken for a tool that does not read");
    let resident = world.process.resident_bytes();
    assert!(resident < 128 << 20, "{resident} bytes of memory");
}

/// One message stays one message, whatever its kind.
#[test]
fn kinds_of_messages_survive() {
    let (world, upstream) = (world(Io::Epoll), Upstream::websocket_echo());
    let host = world.session(&upstream).host;
    let mut socket = world.client().websocket(&host, "/", &[]);
    for message in [Message::text("text"), Message::binary(vec![0, 159, 146, 150])] {
        socket.send(message.clone()).expect("a message can be sent");
        assert_eq!(socket.read().expect("it comes back"), message);
    }
    socket.send(Message::Ping(vec![1, 2].into())).expect("a ping can be sent");
    assert_eq!(socket.read().expect("the pong"), Message::Pong(vec![1, 2].into()));
}
