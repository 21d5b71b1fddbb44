//! Clients that take their time: bounded where they hold something, left alone where they do not.
//! These tests wait for real time limits; most of their time they are idle.

use std::io::Write;
use std::time::{Duration, Instant};

use portico_bench::world::upstream::Upstream;

use crate::{Io, world};

on_both_io!(a_head_has_ten_seconds, a_body_has_a_least_rate, an_idle_websocket_is_left_alone);

fn a_head_has_ten_seconds(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    // Never a byte, half a head, and a head that drips.
    let (mut silent, mut half, mut drip) = (world.client(), world.client(), world.client());
    half.send("GET / HTTP/1.1\r\nHo");
    drip.send("GET / HTTP/1.1\r\n");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        if drip.try_send("X: y\r\n").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(began.elapsed() > Duration::from_secs(9), "ended after {:?}", began.elapsed());
    assert_eq!(half.response().status, 408);
    half.expect_close();
    // Without a byte there is no request to answer.
    let answer = String::from_utf8_lossy(&silent.read_to_close()).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = String::from_utf8_lossy(&drip.read_to_close()).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(16), "ended after {:?}", began.elapsed());
    assert_eq!(world.client().get(&host, "/").status, 200);
    assert!(world.metric("portico_limit_reached_total", "limit=\"head_timeout\"") >= 2.0);
}

/// Whether nothing comes or a byte now and then. Who waits to be told to begin is not slow.
fn a_body_has_a_least_rate(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        let Some(mut request) = connection.head() else { return };
        if request.field("expect").is_some() {
            std::thread::sleep(Duration::from_millis(21_500));
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        }
        if connection.body(&mut request).is_some() {
            connection.answer("text/plain", &request.text());
        }
    });
    let host = world.session(&upstream).host;
    let mut clients = [world.client(), world.client(), world.client()];
    let began = Instant::now();
    for (client, expect) in clients.iter_mut().zip(["", "", "Expect: 100-continue\r\n"]) {
        client.tcp().set_read_timeout(Some(Duration::from_secs(40))).expect("a timeout can be set");
        client
            .send(format!("PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n{expect}\r\n"));
    }
    let [silent, drip, waiting] = &mut clients;
    silent.send("abc");
    let mut tcp = drip.tcp().try_clone().expect("a socket can be shared");
    let dripping = std::thread::spawn(move || {
        while tcp.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    for client in [silent, drip] {
        assert_eq!(client.response().status, 408);
        let took = began.elapsed();
        assert!(took > Duration::from_secs(15) && took < Duration::from_secs(30), "{took:?}");
        client.expect_close();
    }
    assert_eq!(waiting.head().status, 100);
    waiting.send("x".repeat(100));
    assert_eq!(waiting.response().body.len(), 100);
    dripping.join().expect("the connection ends");
}

fn an_idle_websocket_is_left_alone(io: Io) {
    let (world, upstream) = (world(io), Upstream::websocket_echo());
    let host = world.session(&upstream).host;
    let mut socket = world.client().websocket(&host, "/", &[]);
    std::thread::sleep(Duration::from_secs(30));
    portico_bench::world::websocket::round_trip(&mut socket, "after a while");
}
