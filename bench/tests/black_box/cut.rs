//! Messages that end in the middle: who gets a part of one must not take it for the whole, and who
//! is still sending is told why nobody wants the rest.

use std::io::Read;

use portico_bench::world::client::Client;
use portico_bench::world::upstream::Upstream;

use crate::{Io, world};

on_both_io!(
    a_reset_answer_without_a_length_is_no_whole_one,
    a_cut_answer_is_no_whole_one_to_an_old_client,
);

/// Without a length only the kind of the end tells the whole from a part.
fn a_reset_answer_without_a_length_is_no_whole_one(io: Io) {
    let world = world(io);
    let (seen, wait) = std::sync::mpsc::sync_channel(1);
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\n\r\npart");
            let _ = wait.lock().expect("no script has failed").recv();
            connection.reset();
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.read_exactly(4), b"part");
    seen.send(()).expect("the upstream waits");
    expect_reset(&mut client);
}

/// HTTP/1.0 has no chunks: the answer that loses them loses its end as well.
fn a_cut_answer_is_no_whole_one_to_an_old_client(io: Io) {
    let world = world(io);
    let (seen, wait) = std::sync::mpsc::sync_channel(1);
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
            let _ = wait.lock().expect("no script has failed").recv();
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"));
    assert_eq!(client.head().status, 200);
    assert_eq!(client.read_exactly(4), b"part");
    seen.send(()).expect("the upstream waits");
    expect_reset(&mut client);
}

#[track_caller]
fn expect_reset(client: &mut Client) {
    let end = client.read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
}
