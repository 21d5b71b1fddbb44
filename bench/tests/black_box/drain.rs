//! The end of a process: what was accepted is finished, WebSockets live until the drain time, and
//! who asks twice is not kept waiting.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portico_bench::world::client::Client;
use portico_bench::world::process::Signal;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{World, eventually};
use serde_json::json;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::{Io, options, world};

on_both_io!(
    a_drain_under_load_fails_no_accepted_request,
    requests_in_flight_are_finished,
    a_second_signal_ends_at_once,
    a_signal_after_post_drain_leaves_websockets_their_time,
    an_idle_process_ends_soon,
);

const WEBSOCKETS: usize = 200;

fn a_drain_under_load_fails_no_accepted_request(io: Io) {
    let mut world = World::start(options(io).set("PORTICO_PROXY__DRAIN_TIMEOUT", "5s"));
    let (echo, tool) = (Upstream::websocket_echo(), Upstream::echo());
    let host = world.session(&echo).host;
    let mut sockets: Vec<_> =
        (0..WEBSOCKETS).map(|_| world.client().websocket(&host, "/", &[])).collect();
    let load_host = world.session(&tool).host;
    let (answered, failed, over) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let signalled = std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| load(&world, &load_host, &answered, &failed, &over));
        }
        eventually("the load runs", || (answered.load(Ordering::SeqCst) > 500).then_some(()));
        world.signal(Signal::SIGTERM);
        let signalled = Instant::now();
        eventually("no connection is accepted any more", || {
            TcpStream::connect(world.http).is_err().then_some(())
        });
        for socket in &mut sockets {
            round_trip(socket, "in the drain");
        }
        assert!(signalled.elapsed() < Duration::from_secs(5), "too slow to tell");
        over.store(true, Ordering::SeqCst);
        signalled
    });
    assert_eq!(failed.load(Ordering::SeqCst), 0, "of {answered:?} requests");
    for socket in &mut sockets {
        expect_going_away(socket);
    }
    let lived = signalled.elapsed();
    assert!(lived > Duration::from_millis(4_500) && lived < Duration::from_secs(9), "{lived:?}");
    assert_eq!(world.process.ended().code(), Some(0));
}

/// A client that is told so comes back at once.
#[track_caller]
fn expect_going_away(socket: &mut WebSocket<Client>) {
    let closed = socket.read().expect("it is told that the edge ends");
    let Message::Close(Some(frame)) = closed else { panic!("not a close frame: {closed}") };
    assert_eq!(frame.code, CloseCode::Away);
}

/// GETs in a closed loop. A new connection that is never answered was not accepted; one that has
/// been answered before must be answered again, unless it was told that it ends.
fn load(
    world: &World,
    host: &str,
    answered: &AtomicUsize,
    failed: &AtomicUsize,
    over: &AtomicBool,
) {
    while !over.load(Ordering::SeqCst) {
        let Ok(tcp) = TcpStream::connect(world.http) else { return };
        drop(tcp);
        let Ok(mut client) = std::panic::catch_unwind(|| Client::connect(world.http)) else {
            return;
        };
        let mut new = true;
        loop {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let sent = client.try_send(request);
            match sent.and_then(|()| client.try_response()) {
                Ok(response) if response.status == 200 => {
                    answered.fetch_add(1, Ordering::SeqCst);
                    new = false;
                    if response.field("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"))
                    {
                        break;
                    }
                }
                Err(_) if new => return,
                other => {
                    eprintln!("a request failed: {other:?}");
                    failed.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        }
    }
}

fn requests_in_flight_are_finished(io: Io) {
    let mut world = world(io);
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let upstream = Upstream::scripted(move |connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            let _ = tell.send(());
            let _ = gate.lock().expect("no script has failed").recv();
            connection.send(" last");
        }
    });
    let session = world.session(&upstream);
    let mut client = world.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", session.host));
    told.recv().expect("the request is in flight");
    world.signal(Signal::SIGTERM);
    eventually("no connection is accepted any more", || {
        TcpStream::connect(world.http).is_err().then_some(())
    });
    go.send(()).expect("the upstream waits");
    assert_eq!(client.response().text(), "first last");
    client.expect_close();
    assert_eq!(world.process.ended().code(), Some(0));
}

fn a_second_signal_ends_at_once(io: Io) {
    let mut world = World::start(options(io).set("PORTICO_PROXY__DRAIN_TIMEOUT", "60s"));
    let upstream = Upstream::websocket_echo();
    let host = world.session(&upstream).host;
    let mut socket = world.client().websocket(&host, "/", &[]);
    world.signal(Signal::SIGTERM);
    eventually("no connection is accepted any more", || {
        TcpStream::connect(world.http).is_err().then_some(())
    });
    round_trip(&mut socket, "in the drain");
    assert!(world.process.exited().is_none());
    let asked = Instant::now();
    world.signal(Signal::SIGINT);
    world.process.ended();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    expect_going_away(&mut socket);
}

/// As Kubernetes ends a pod whose preStop hook drains it. All the while `/readyz` says so.
fn a_signal_after_post_drain_leaves_websockets_their_time(io: Io) {
    let mut world = World::start(options(io).set("PORTICO_PROXY__DRAIN_TIMEOUT", "60s"));
    let upstream = Upstream::websocket_echo();
    let host = world.session(&upstream).host;
    let mut socket = world.client().websocket(&host, "/", &[]);
    let request = "POST /drain HTTP/1.1\r\nHost: m\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(Client::connect(world.management).exchange(request).status, 202);
    expect_not_ready(&world);
    world.signal(Signal::SIGTERM);
    eventually("the signal is seen", || {
        world.process.stderr().contains("draining already").then_some(())
    });
    round_trip(&mut socket, "after the signal");
    expect_not_ready(&world);
    assert!(world.process.exited().is_none());
    let asked = Instant::now();
    world.signal(Signal::SIGTERM);
    world.process.ended();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    expect_going_away(&mut socket);
}

#[track_caller]
fn expect_not_ready(world: &World) {
    let ready = eventually("the process is not ready", || {
        let ready = Client::connect(world.management).get("m", "/readyz");
        (ready.status == 503).then_some(ready)
    });
    assert_eq!(ready.json()["draining"], true);
    assert_eq!(Client::connect(world.management).get("m", "/healthz").status, 200);
}

fn an_idle_process_ends_soon(io: Io) {
    let mut world = World::start(options(io).set("PORTICO_PROXY__DRAIN_TIMEOUT", "60s"));
    let upstream = Upstream::echo();
    let session = world.session_with(json!({ "upstream": upstream.url() }));
    // Kept alive and idle: no reason to wait for the drain time.
    let mut client = world.client();
    assert_eq!(client.get(&session.host, "/").status, 200);
    let asked = Instant::now();
    world.signal(Signal::SIGTERM);
    assert_eq!(world.process.ended().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}
