//! Messages that end in the middle: who gets a part of one must not take it for the whole, and who
//! is still sending is told why nobody wants the rest.

use std::io::Read;

use portico_bench::world::client::Client;
use portico_bench::world::upstream::Upstream;

use crate::tls::Secure;
use crate::{Io, world};

on_both_io!(
    an_upstream_that_dies_in_mid_upload_is_502,
    a_bad_chunk_in_mid_upload_is_400,
    a_bad_chunk_behind_an_early_answer_harms_nobody,
    a_reset_answer_without_a_length_is_no_whole_one,
    a_cut_answer_is_no_whole_one_to_an_old_client,
);

/// So much that the client is still sending when it is answered.
const LARGE: usize = 16 << 20;

fn an_upstream_that_dies_in_mid_upload_is_502(io: Io) {
    let secure = Secure::start(io);
    let world = &secure.world;
    let upstream = Upstream::scripted(|connection| {
        if connection.head().is_some() {
            connection.read_exactly(1 << 20);
        }
    });
    let host = world.session(&upstream).host;
    for mut client in [world.client(), secure.client(&host)] {
        let head = format!("PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LARGE}\r\n\r\n");
        client.send(head);
        client.send(vec![b'x'; LARGE]);
        assert_eq!(client.response().status, 502);
        client.close_write();
        expect_orderly_end(&mut client);
    }
    world.expect_metric("portico_upstream_connections_open", "", 0.0);
    world.expect_metric("portico_connections_open", "", 0.0);
}

fn a_bad_chunk_in_mid_upload_is_400(io: Io) {
    let world = world(io);
    let (seen, wait) = std::sync::mpsc::sync_channel(1);
    let upstream = Upstream::scripted(move |connection| {
        connection.head();
        assert!(connection.read_exactly(10).is_some(), "a good chunk");
        seen.send(()).expect("the client waits");
        assert_eq!(connection.read_to_close(), None, "a reset: the body is not whole");
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"));
    client.send("5\r\nhello\r\n");
    wait.recv().expect("the upstream gets the chunk");
    client.send("no chunk");
    client.send(vec![b'x'; LARGE]);
    assert_eq!(client.response().status, 400);
    client.close_write();
    expect_orderly_end(&mut client);
}

fn a_bad_chunk_behind_an_early_answer_harms_nobody(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        if connection.head().is_some() {
            connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
            connection.read_to_close();
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"));
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "big"));
    client.send("no chunk");
    client.send(vec![b'x'; LARGE]);
    client.close_write();
    expect_orderly_end(&mut client);
}

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
fn expect_orderly_end(client: &mut Client) {
    let end = client.read(&mut [0; 64]);
    assert!(matches!(end, Ok(0)), "{end:?} instead of an end");
}

#[track_caller]
fn expect_reset(client: &mut Client) {
    let end = client.read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
}
