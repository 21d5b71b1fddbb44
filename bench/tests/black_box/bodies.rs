//! Bodies that are larger than any buffer: they arrive intact, and a side that does not read holds
//! the other side back instead of filling Portico's memory.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portico_bench::world::upstream::Upstream;

use crate::{Io, world};

on_both_io!(
    large_bodies_cross_intact,
    a_client_that_does_not_read_holds_the_upstream_back,
    an_upstream_that_does_not_read_holds_the_client_back,
    an_answer_before_the_end_of_the_request_passes,
);

const LARGE: usize = 64 << 20;
/// What the kernel's buffers on both hops may swallow of a stream that nobody reads.
const BUFFERED_MAX: usize = 40 << 20;
const RESIDENT_MAX: u64 = 128 << 20;

/// Bytes in which a lost, doubled or moved piece is seen.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

fn large_bodies_cross_intact(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let chunked = request.target == "/chunked";
            let body = &request.body;
            if !chunked {
                connection
                    .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
                connection.send(body);
                continue;
            }
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(77_777) {
                connection.send(format!("{:x}\r\n", piece.len()));
                connection.send(piece);
                connection.send("\r\n");
            }
            connection.send("0\r\n\r\n");
        }
    });
    let host = world.session(&upstream).host;
    let body = pattern(5_000_003);
    let mut client = world.client();
    for _ in 0..2 {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        client.send(&body);
        assert!(client.response().body == body, "by length");
        client.send(format!(
            "POST /chunked HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        for piece in body.chunks(33_333) {
            client.send(format!("{:X}\r\n", piece.len()));
            client.send(piece);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.response().body == body, "by chunks");
    }
}

/// Waits until a counter has stood still for half a second, and gives it.
fn at_rest(counter: &AtomicUsize) -> usize {
    let (mut seen, mut since) = (counter.load(Ordering::SeqCst), Instant::now());
    while since.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(20));
        let now = counter.load(Ordering::SeqCst);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    seen
}

fn a_client_that_does_not_read_holds_the_upstream_back(io: Io) {
    let world = world(io);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let upstream = Upstream::scripted(move |connection| {
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
        let piece = vec![b'x'; 64 << 10];
        while counter.load(Ordering::SeqCst) < LARGE && connection.try_send(&piece) {
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(client.head().status, 200);
    let buffered = at_rest(&sent);
    assert!(buffered < BUFFERED_MAX, "{buffered} bytes were taken for a client that does not read");
    let resident = world.process.resident_bytes();
    assert!(resident < RESIDENT_MAX, "{resident} bytes of memory");
    let mut rest = 0;
    let mut piece = vec![0; 1 << 20];
    while rest < LARGE {
        let count = client.read(&mut piece).expect("the download goes on");
        assert!(count > 0, "closed after {rest} bytes");
        rest += count;
    }
    assert_eq!(rest, LARGE);
}

fn an_upstream_that_does_not_read_holds_the_client_back(io: Io) {
    let world = world(io);
    let (start, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |connection| {
        let Some(mut request) = connection.head() else { return };
        let _ = wait.lock().expect("no script has failed").recv();
        if connection.body(&mut request).is_some() {
            connection.answer("text/plain", &request.body.len().to_string());
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LARGE}\r\n\r\n"));
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let mut tcp = client.tcp().try_clone().expect("a socket can be shared");
    let sender = std::thread::spawn(move || {
        let piece = vec![b'x'; 64 << 10];
        while counter.load(Ordering::SeqCst) < LARGE {
            tcp.write_all(&piece).expect("the upload goes on");
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let buffered = at_rest(&sent);
    assert!(buffered < BUFFERED_MAX, "{buffered} bytes were taken for a tool that does not read");
    let resident = world.process.resident_bytes();
    assert!(resident < RESIDENT_MAX, "{resident} bytes of memory");
    start.send(()).expect("the upstream waits");
    assert_eq!(client.response().text(), LARGE.to_string());
    sender.join().expect("all was sent");
}

/// A tool may refuse an upload by its head: the client gets the answer, not a reset.
fn an_answer_before_the_end_of_the_request_passes(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        if connection.head().is_some() {
            connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
            connection.close_write();
            connection.read_to_close();
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\n"));
    client.send(pattern(1_000));
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (413, "big"));
}
