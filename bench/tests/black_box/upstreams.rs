//! The connections to a session: reused, replaced when stale, retried only where nothing can happen
//! twice, and left alone for a moment when they cannot be made.

use std::time::Duration;

use portico_bench::world::eventually;
use portico_bench::world::upstream::{Connection, Upstream};
use serde_json::json;

use crate::{Io, world};

on_both_io!(
    a_get_on_a_stale_connection_is_tried_once_more,
    a_post_on_a_stale_connection_is_not_tried_again,
    a_put_that_came_whole_is_tried_once_more,
    a_put_that_was_not_begun_is_tried_once_more,
    a_put_in_pieces_is_not_tried_again,
    a_new_connection_that_breaks_is_not_tried_again,
    a_half_sent_answer_is_not_tried_again,
    a_connection_closed_while_idle_is_replaced,
    nothing_is_left_over_for_the_next_user_of_a_connection,
    a_dead_upstream_is_502_until_it_lives,
);

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers the first request of each connection, reads a second one and then breaks.
fn goes_stale(connection: &mut Connection) {
    if connection.request().is_some() {
        connection.send(OK);
        connection.request();
    }
}

fn a_get_on_a_stale_connection_is_tried_once_more(io: Io) {
    let (world, upstream) = (world(io), Upstream::scripted(goes_stale));
    let host = world.session(&upstream).host;
    let mut client = world.client();
    assert_eq!(client.get(&host, "/1").status, 200);
    assert_eq!(client.get(&host, "/2").status, 200);
    let targets: Vec<_> = upstream.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(targets, ["/1", "/2", "/2"]);
    world.expect_metric("portico_upstream_retries_total", "", 1.0);
}

fn a_post_on_a_stale_connection_is_not_tried_again(io: Io) {
    let (world, upstream) = (world(io), Upstream::scripted(goes_stale));
    let host = world.session(&upstream).host;
    let mut client = world.client();
    assert_eq!(client.get(&host, "/1").status, 200);
    let post = format!("POST /2 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.exchange(post).status, 502);
    assert_eq!(upstream.requests().len(), 2);
}

/// How an editor saves: small, and at any moment after the tool closed its idle connection.
fn a_put_that_came_whole_is_tried_once_more(io: Io) {
    let (world, upstream) = (world(io), Upstream::scripted(goes_stale));
    let host = world.session(&upstream).host;
    let mut client = world.client();
    let body = "x".repeat(8_000);
    for (number, between) in [(1, false), (2, true)] {
        assert_eq!(client.get(&host, "/get").status, 200);
        let head =
            format!("PUT /{number} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 8000\r\n\r\n");
        if between {
            client.send(head);
            std::thread::sleep(Duration::from_millis(50));
            client.send(&body);
        } else {
            client.send(head + &body);
        }
        assert_eq!(client.response().status, 200);
        let requests = upstream.requests();
        let [.., first, second] = &requests[..] else { panic!("{requests:?}") };
        for request in [first, second] {
            assert_eq!(
                (request.target.as_str(), request.text()),
                (&*format!("/{number}"), body.clone())
            );
        }
        upstream.break_connections();
    }
    world.expect_metric("portico_upstream_retries_total", "", 2.0);
}

/// With `Expect: 100-continue` the client still has all of its body.
fn a_put_that_was_not_begun_is_tried_once_more(io: Io) {
    let upstream = Upstream::scripted(|connection| {
        while let Some(mut request) = connection.head() {
            if request.method == "GET" {
                connection.send(OK);
            } else if connection.number == 0 {
                return;
            } else {
                connection.send("HTTP/1.1 100 Continue\r\n\r\n");
                connection.body(&mut request);
                connection.answer("text/plain", &request.text());
            }
        }
    });
    let world = world(io);
    let host = world.session(&upstream).host;
    let mut client = world.client();
    assert_eq!(client.get(&host, "/").status, 200);
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ));
    assert_eq!(client.head().status, 100);
    client.send("hello");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.get(&host, "/").status, 200, "both connections are in order");
    assert_eq!(upstream.accepted(), 2);
}

/// What went with the first try is gone.
fn a_put_in_pieces_is_not_tried_again(io: Io) {
    let (world, upstream) = (world(io), Upstream::scripted(goes_stale));
    let host = world.session(&upstream).host;
    let mut client = world.client();
    assert_eq!(client.get(&host, "/1").status, 200);
    client.send(format!("PUT /2 HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\n"));
    client.send("x".repeat(100_000));
    assert_eq!(client.response().status, 502);
    assert_eq!(upstream.requests().len(), 2);
}

fn a_new_connection_that_breaks_is_not_tried_again(io: Io) {
    let upstream = Upstream::scripted(|connection| {
        connection.request();
    });
    let world = world(io);
    let host = world.session(&upstream).host;
    assert_eq!(world.client().get(&host, "/").status, 502);
    assert_eq!(upstream.requests().len(), 1);
}

fn a_half_sent_answer_is_not_tried_again(io: Io) {
    let upstream = Upstream::scripted(|connection| {
        connection.request();
        connection.send(OK);
        connection.request();
        connection.send("HTTP/1.1 20");
    });
    let world = world(io);
    let host = world.session(&upstream).host;
    let mut client = world.client();
    assert_eq!(client.get(&host, "/1").status, 200);
    assert_eq!(client.get(&host, "/2").status, 502);
    assert_eq!(upstream.requests().len(), 2);
}

fn a_connection_closed_while_idle_is_replaced(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let mut client = world.client();
    let post = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.exchange(&post).status, 200);
    upstream.break_connections();
    // Even for a POST, once the close has arrived; until then it may be seen too late.
    eventually("a POST gets a new connection", || {
        (client.exchange(&post).status == 200).then_some(())
    });
}

/// Bytes behind an answer belong to nobody: the connection is not used again.
fn nothing_is_left_over_for_the_next_user_of_a_connection(io: Io) {
    let upstream = Upstream::scripted(|connection| {
        while connection.request().is_some() {
            connection.send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
        }
    });
    let world = world(io);
    let host = world.session(&upstream).host;
    let mut client = world.client();
    for _ in 0..3 {
        assert_eq!(client.get(&host, "/").text(), "ok");
    }
}

fn a_dead_upstream_is_502_until_it_lives(io: Io) {
    let world = world(io);
    let gone = Upstream::echo().address;
    let session = world.session_with(json!({ "upstream": format!("http://{gone}") }));
    let mut client = world.client();
    assert_eq!(client.get(&session.host, "/").status, 502);
    assert!(world.metric("portico_upstream_connect_errors_total", "reason=\"refused\"") >= 1.0);
    let upstream = Upstream::echo();
    world.patch(&session, &json!({ "upstream": upstream.url() }));
    eventually("the new upstream answers", || {
        (client.get(&session.host, "/").status == 200).then_some(())
    });
}
