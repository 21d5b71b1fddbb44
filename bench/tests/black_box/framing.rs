//! Where one HTTP/1.1 message ends and the next begins, when both sides do as they should.

use std::time::Duration;

use portico_bench::world::client::Client;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::wire::Framing;
use serde_json::json;

use crate::{Io, world};

on_both_io!(
    a_connection_is_kept_on_both_sides,
    pipelined_requests_are_answered_in_order,
    a_request_may_be_split_at_every_byte,
    request_bodies_arrive_whole,
    answers_of_every_framing_arrive_whole,
    trailers_cross_both_ways,
    expect_continue_is_the_upstreams_to_answer,
    an_expectation_may_be_refused,
    head_has_no_body,
    interim_answers_pass,
    old_clients_get_what_they_understand,
    connection_close_is_obeyed,
);

fn a_connection_is_kept_on_both_sides(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    let mut client = world.client();
    for target in ["/one", "/two?x=1", "/three"] {
        let response = client.get(&session.host, target);
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.json()["target"], target);
    }
    assert_eq!(upstream.accepted(), 1);
}

fn pipelined_requests_are_answered_in_order(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!(
        "GET /1 HTTP/1.1\r\nHost: {host}\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc\
         GET /3 HTTP/1.1\r\nHost: {host}\r\n\r\n"
    ));
    for (target, body) in [("/1", ""), ("/2", "abc"), ("/3", "")] {
        let seen = client.response().json();
        assert_eq!((&seen["target"], &seen["body"]), (&json!(target), &json!(body)));
    }
}

fn a_request_may_be_split_at_every_byte(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let bytes = format!(
        "POST /1 HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nChecked: yes\r\n\r\n\
         PUT /2 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nfg"
    )
    .into_bytes();
    for at in 1..bytes.len() {
        let mut client = world.client();
        client.send(&bytes[..at]);
        // Only to make two arrivals likely; one arrival must give the same.
        std::thread::sleep(Duration::from_millis(1));
        client.send(&bytes[at..]);
        for (target, body) in [("/1", "abcde"), ("/2", "fg")] {
            let seen = client.response().json();
            let wanted = (&json!(target), &json!(body));
            assert_eq!((&seen["target"], &seen["body"]), wanted, "split at {at}");
        }
    }
}

fn request_bodies_arrive_whole(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let mut client = world.client();
    for (fields, sent, body) in [
        ("Content-Length: 5", "hello", "hello"),
        ("Content-Length: 0", "", ""),
        ("Transfer-Encoding: chunked", "0\r\n\r\n", ""),
        (
            "Transfer-Encoding: chunked",
            "1\r\na\r\n00A;q=\"1\"\r\nbcdefghijk\r\n0\r\n\r\n",
            "abcdefghijk",
        ),
        ("transfer-encoding: Chunked", "1\r\na\r\n0\r\n\r\n", "a"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n{sent}");
        let response = client.exchange(request);
        assert_eq!(response.status, 200, "{fields} {sent:?}: {response:?}");
        assert_eq!(response.json()["body"], body, "{fields} {sent:?}");
    }
}

fn answers_of_every_framing_arrive_whole(io: Io) {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let world = world(io);
    for (answer, status, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(), 200, "hello"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(), 200, ""),
        (format!("{CHUNKED}5\r\nhello\r\n6;x\r\n world\r\n0\r\n\r\n"), 200, "hello world"),
        (format!("{CHUNKED}0\r\n\r\n"), 200, ""),
        ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), 204, ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_owned(), 304, ""),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno".to_owned(), 404, "no"),
        ("HTTP/1.1 299\r\nContent-Length: 2\r\n\r\nok".to_owned(), 299, "ok"),
    ] {
        let upstream = Upstream::answering(answer.clone());
        let host = world.session(&upstream).host;
        let mut client = world.client();
        for _ in 0..2 {
            let response = client.get(&host, "/");
            assert_eq!((response.status, response.text().as_str()), (status, body), "{answer:?}");
        }
    }
    for answer in ["HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.0 200 OK\r\n\r\nto the end"] {
        let upstream = Upstream::scripted(move |connection| {
            connection.request();
            connection.send(answer);
        });
        let host = world.session(&upstream).host;
        let response = world.client().get(&host, "/");
        assert_eq!((response.status, response.text().as_str()), (200, "to the end"), "{answer:?}");
        assert!(matches!(response.framing, Framing::Chunked | Framing::Close), "{response:?}");
    }
}

fn trailers_cross_both_ways(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            assert_eq!(request.trailers, [("Checksum".to_owned(), "one".to_owned())]);
            connection.send(
                "HTTP/1.1 200 OK\r\nTrailer: Checksum\r\nTransfer-Encoding: chunked\r\n\r\n\
                 2\r\nok\r\n0\r\nChecksum: two\r\n\r\n",
            );
        }
    });
    let host = world.session(&upstream).host;
    let response = world.client().exchange(format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\
         Trailer: Checksum\r\n\r\n2\r\nhi\r\n0\r\nChecksum: one\r\n\r\n"
    ));
    assert_eq!(response.text(), "ok");
    assert_eq!(response.trailers, [("Checksum".to_owned(), "two".to_owned())]);
}

fn expect_continue_is_the_upstreams_to_answer(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while let Some(mut request) = connection.head() {
            assert_eq!(request.field("expect").as_deref(), Some("100-continue"));
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert!(connection.body(&mut request).is_some(), "the body follows");
            connection.answer("text/plain", &request.text());
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    for body in ["first", "other"] {
        client.send(format!(
            "PUT / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        ));
        assert_eq!(client.head().status, 100);
        client.send(body);
        assert_eq!(client.response().text(), body);
    }
}

fn an_expectation_may_be_refused(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        if connection.head().is_some() {
            connection.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
            connection.read_to_close();
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ));
    assert_eq!(client.response().status, 417);
}

fn head_has_no_body(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let body = if request.method == "HEAD" { "" } else { "hello" };
            connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"));
        }
    });
    let host = world.session(&upstream).host;
    let mut client = world.client();
    client.send(format!("HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let response = client.response_to_head();
    assert_eq!(response.field("content-length").as_deref(), Some("5"));
    // What follows on the same connection is the next answer, not a body.
    assert_eq!(client.get(&host, "/").text(), "hello");
    assert_eq!(upstream.accepted(), 1);
}

fn interim_answers_pass(io: Io) {
    let world = world(io);
    let upstream = Upstream::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let host = world.session(&upstream).host;
    let mut client = world.client();
    for _ in 0..2 {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let hints = client.head();
        assert_eq!((hints.status, hints.field("link").as_deref()), (103, Some("</a.css>")));
        assert_eq!(client.head().status, 102);
        assert_eq!(client.response().text(), "ok");
    }
}

/// HTTP/1.0 knows neither interim answers nor chunks, and closes by default.
fn old_clients_get_what_they_understand(io: Io) {
    let world = world(io);
    let upstream = Upstream::answering(
        "HTTP/1.1 103 Early Hints\r\n\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let host = world.session(&upstream).host;
    let mut client = world.client();
    let response = client.exchange(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n"));
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    assert_eq!(response.framing, Framing::Close, "{response:?}");
    client.expect_close();
}

fn connection_close_is_obeyed(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let mut client: Client = world.client();
    let response =
        client.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    assert_eq!(response.status, 200);
    assert_eq!(response.field("connection").map(|c| c.to_lowercase()).as_deref(), Some("close"));
    client.expect_close();
}
