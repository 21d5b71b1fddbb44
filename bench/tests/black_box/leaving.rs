//! Clients that leave while a tool takes its time, and those that only look as if they had: who has
//! gone frees both connections, who has merely said everything gets its answer.

use std::time::{Duration, Instant};

use portico_bench::world::World;
use portico_bench::world::client::Client;
use portico_bench::world::upstream::{Connection, Upstream};

use crate::tls::Secure;
use crate::{Io, world};

on_both_io!(
    a_client_that_leaves_frees_both_connections,
    a_client_that_leaves_frees_both_connections_under_tls,
    a_client_that_has_said_everything_gets_its_answer,
);

/// Longer than the interval at which clients are looked at.
const SLOW: Duration = Duration::from_millis(6_200);

fn reads_and_is_silent(connection: &mut Connection) {
    connection.request();
    // Until Portico ends it.
    connection.read_to_close();
}

/// `pipelined` lies unread in the client's connection and must not hide that it ended.
fn leaves(world: &World, mut client: Client, host: &str, pipelined: &str) {
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n{pipelined}"));
    world.expect_metric("portico_upstream_connections_open", "", 1.0);
    client.reset();
    let left = Instant::now();
    world.expect_metric("portico_upstream_connections_open", "", 0.0);
    world.expect_metric("portico_connections_open", "", 0.0);
    assert!(left.elapsed() < Duration::from_secs(7), "after {:?}", left.elapsed());
}

fn a_client_that_leaves_frees_both_connections(io: Io) {
    let (world, upstream) = (world(io), Upstream::scripted(reads_and_is_silent));
    let host = world.session(&upstream).host;
    leaves(&world, world.client(), &host, "GET");
}

fn a_client_that_leaves_frees_both_connections_under_tls(io: Io) {
    let (secure, upstream) = (Secure::start(io), Upstream::scripted(reads_and_is_silent));
    let host = secure.world.session(&upstream).host;
    leaves(&secure.world, secure.client(&host), &host, "GET");
}

/// `nc -N` and some old programs end their direction behind the request (RFC 9112 §9.6).
fn a_client_that_has_said_everything_gets_its_answer(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        let Some(request) = connection.request() else { return };
        if request.target == "/slow" {
            std::thread::sleep(SLOW);
            connection.answer("text/plain", "at last");
            return;
        }
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
        for byte in ["a", "t", " ", "l", "a", "s", "t"] {
            std::thread::sleep(SLOW / 7);
            connection.send(byte);
        }
    });
    let host = world.session(&upstream).host;
    let mut clients = [world.client(), world.client()];
    for (client, target) in clients.iter_mut().zip(["/slow", "/steady"]) {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.close_write();
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "at last");
    }
}
