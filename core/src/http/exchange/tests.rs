//! Single steps of an exchange that the simulator meets only by chance: who may be reused after
//! what, refused switches, floods, and what an HTTP/1.0 client is spared.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::upstream::{Host, Upstream};

static UPSTREAM: Upstream =
    Upstream { host: Host::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))), port: 8888 };

const RULES: Rules<'_> = Rules {
    authority: "a1.example",
    host: "a1.example",
    upstream: &UPSTREAM,
    prefix: None,
    stripped: false,
    guard: None,
};

/// An exchange for a request with these lines (`|` ends one).
fn exchange(head: &str) -> Exchange {
    let head = format!("{head}|").replacen('|', "|Host: a1.example|", 1).replace('|', "\r\n");
    let mut space = field_space();
    Exchange::new(&Request::parse(head.as_bytes(), 0, &mut space).unwrap().unwrap())
}

/// Feeds a head; gives its kind and what the client gets of it.
fn answer(exchange: &mut Exchange, head: &str) -> Result<(HeadKind, String), GatewayFault> {
    let head = head.replace('|', "\r\n");
    let mut out = Vec::new();
    let step = exchange.response_head(head.as_bytes(), 0, &RULES, false, &mut out)?;
    let text = String::from_utf8(out).unwrap().replace("\r\n", "|");
    Ok((step.expect("a whole head was given").kind, text))
}

/// Whether the client's connection and the upstream's may be used again.
fn reusable(exchange: &Exchange) -> (bool, bool) {
    (exchange.client_persistent(), exchange.upstream_persistent())
}

#[test]
fn connections_are_reused_after_a_clean_exchange_only() {
    const GET: &str = "GET / HTTP/1.1|";
    const OK: &str = "HTTP/1.1 200 OK|Content-Length: 0||";
    for (request, response, expected) in [
        (GET, OK, (true, true)),
        ("GET / HTTP/1.1|Connection: close|", OK, (false, true)),
        ("GET / HTTP/1.0|", OK, (false, true)),
        ("GET / HTTP/1.0|Connection: keep-alive|", OK, (true, true)),
        (GET, "HTTP/1.1 200 OK|Connection: close|Content-Length: 0||", (true, false)),
        (GET, "HTTP/1.0 200 OK|Content-Length: 0||", (true, false)),
        (GET, "HTTP/1.1 204 No Content||", (true, true)),
        (GET, "HTTP/1.1 304 Not Modified|Content-Length: 9||", (true, true)),
        ("HEAD / HTTP/1.1|", "HTTP/1.1 200 OK||", (true, true)),
        ("HEAD / HTTP/1.1|", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||", (true, true)),
        ("HEAD / HTTP/1.1|", "HTTP/1.1 200 OK|Content-Length: 9||", (true, true)),
        // Bytes where there can be none: whose are they?
        (GET, "HTTP/1.1 200 OK|Content-Length: 0||HTTP/1.1 200 OK|", (true, false)),
        (GET, "HTTP/1.1 204 No Content||x", (true, false)),
        (GET, "HTTP/1.1 304 Not Modified|Content-Length: 1||x", (true, false)),
        ("HEAD / HTTP/1.1|", "HTTP/1.1 200 OK|Content-Length: 1||x", (true, false)),
        // The upload is not over: its rest cannot be told from a next request.
        ("POST / HTTP/1.1|Content-Length: 1|", OK, (false, false)),
        ("POST / HTTP/1.1|Transfer-Encoding: chunked|", OK, (false, false)),
        // A refused switch: what the client has sent since may be in the other protocol.
        ("GET / HTTP/1.1|Connection: Upgrade|Upgrade: websocket|", OK, (false, true)),
    ] {
        let mut exchange = exchange(request);
        let (kind, text) = answer(&mut exchange, response).unwrap();
        assert_eq!(kind, HeadKind::Final);
        assert!(exchange.download_done(), "{response}");
        assert_eq!(reusable(&exchange), expected, "{request} {response}");
        assert_eq!(text.contains("Connection: close"), !expected.0, "{text}");
    }
}

#[test]
fn an_early_answer_closes_the_client_even_if_the_upload_ends() {
    let mut exchange = exchange("POST / HTTP/1.1|Content-Length: 5|");
    assert_eq!(exchange.upload(b"abc"), Ok(3));
    let (_, text) = answer(&mut exchange, "HTTP/1.1 413 x|Content-Length: 0||").unwrap();
    assert!(text.contains("Connection: close"), "{text}");
    assert_eq!(reusable(&exchange), (false, false));
    assert_eq!(exchange.upload(b"deGET"), Ok(2));
    assert_eq!(reusable(&exchange), (false, true), "the upstream has read all of it");
}

#[test]
fn a_drain_says_close() {
    let mut exchange = exchange("GET / HTTP/1.1|");
    let mut out = Vec::new();
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    exchange.response_head(head, 0, &RULES, true, &mut out).unwrap();
    assert!(out.ends_with(b"Connection: close\r\n\r\n"));
    assert_eq!(reusable(&exchange), (false, true));
}

#[test]
fn bodies_end_as_their_head_says() {
    for (head, body, forwarded, expected) in [
        ("HTTP/1.1 200 OK|Content-Length: 5||", "hello", "hello", (true, true)),
        ("HTTP/1.1 200 OK|Content-Length: 5||", "helloHTTP", "hello", (true, false)),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked||",
            "2;x\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
            "2;x\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
            (true, true),
        ),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked||",
            "0\r\n\r\nHTTP",
            "0\r\n\r\n",
            (true, false),
        ),
    ] {
        let mut exchange = exchange("GET / HTTP/1.1|");
        answer(&mut exchange, head).unwrap();
        let step = exchange.response_body(body.as_bytes()).unwrap();
        assert!(step.done && exchange.download_done());
        assert_eq!(&body[step.forward.0..step.forward.1], forwarded);
        assert_eq!(reusable(&exchange), expected, "{head} {body}");
    }
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    let mut exchange = exchange("GET / HTTP/1.1|");
    let (_, text) = answer(&mut exchange, "HTTP/1.1 200 OK||").unwrap();
    assert!(text.contains("Connection: close"), "{text}");
    let step = exchange.response_body(b"hello").unwrap();
    assert_eq!((step.forward, step.done), ((0, 5), false));
    assert_eq!(exchange.upstream_end(), Ok(()));
    assert_eq!(reusable(&exchange), (false, false));
}

#[test]
fn an_answer_that_stops_short_is_no_answer() {
    for (head, body) in [
        ("", ""),
        ("HTTP/1.1 200 OK|Content-Length: 5||", "hell"),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked||", "5\r\nhello\r\n0\r\n"),
        ("HTTP/1.1 100 Continue||", ""),
    ] {
        let mut exchange = exchange("GET / HTTP/1.1|");
        if !head.is_empty() {
            answer(&mut exchange, head).unwrap();
            exchange.response_body(body.as_bytes()).unwrap();
        }
        assert_eq!(exchange.upstream_end(), Err(GatewayFault::Truncated), "{head} {body}");
        assert_eq!(reusable(&exchange), (false, false));
    }
}

#[test]
fn bad_chunks_are_faults_of_who_sent_them() {
    let mut exchange = exchange("POST / HTTP/1.1|Transfer-Encoding: chunked|");
    assert_eq!(exchange.upload(b"5\r\nhelloX"), Err(Refusal::Chunk));
    answer(&mut exchange, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||").unwrap();
    assert_eq!(exchange.response_body(b"-1\r\n"), Err(GatewayFault::Chunk));
}

#[test]
fn a_switch_is_made_when_both_sides_want_it() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: x||";
    const ASKED: &str = "Connection: Upgrade|Upgrade: x|";
    let mut wanted = exchange(&format!("GET / HTTP/1.1|{ASKED}"));
    let (kind, text) = answer(&mut wanted, SWITCH).unwrap();
    assert_eq!(kind, HeadKind::Switched);
    assert_eq!(text, SWITCH);
    assert_eq!((wanted.upstream_end(), reusable(&wanted)), (Ok(()), (false, false)));
    for unasked in [
        "GET / HTTP/1.1|".to_owned(),
        "GET / HTTP/1.1|Upgrade: x|".to_owned(),
        "GET / HTTP/1.1|Connection: Upgrade|Upgrade: h2c|".to_owned(),
        format!("POST / HTTP/1.1|{ASKED}Content-Length: 1|"),
        format!("GET / HTTP/1.0|{ASKED}"),
    ] {
        let fault = answer(&mut exchange(&unasked), SWITCH).unwrap_err();
        assert_eq!(fault, GatewayFault::UnaskedUpgrade, "{unasked}");
    }
}

#[test]
fn interim_answers_pass_and_are_counted() {
    let mut new = exchange("GET / HTTP/1.1|");
    for _ in 0..limits::INTERIM_RESPONSES_MAX {
        let passed = answer(&mut new, "HTTP/1.1 103 Early Hints|Link: </a>||").unwrap();
        assert_eq!(passed, (HeadKind::Interim, "HTTP/1.1 103 Early Hints|Link: </a>||".into()));
        assert!(new.awaits_head());
    }
    assert_eq!(answer(&mut new, "HTTP/1.1 103 x||"), Err(GatewayFault::Interim));
    let mut old = exchange("GET / HTTP/1.0|");
    let passed = answer(&mut old, "HTTP/1.1 103 Early Hints|Link: </a>||").unwrap();
    assert_eq!(passed, (HeadKind::Interim, String::new()), "HTTP/1.0 has none");
}

#[test]
fn a_client_of_http_1_0_is_spared_chunks() {
    const CHUNKED: &str = "HTTP/1.1 200 OK|Transfer-Encoding: chunked||";
    let mut exchange_ = exchange("GET / HTTP/1.0|Connection: keep-alive|");
    let (_, text) = answer(&mut exchange_, CHUNKED).unwrap();
    assert_eq!(text, "HTTP/1.1 200 OK|Connection: close||");
    let body = b"2;x\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n";
    let (mut at, mut content) = (0, Vec::new());
    while !exchange_.download_done() {
        let step = exchange_.response_body(&body[at..]).unwrap();
        content.extend_from_slice(&body[at..][step.forward.0..step.forward.1]);
        at += step.consumed;
    }
    assert_eq!((at, content.as_slice()), (body.len(), &b"hello"[..]));
    assert_eq!(reusable(&exchange_), (false, true));

    let mut head = exchange("HEAD / HTTP/1.0|Connection: keep-alive|");
    let (_, text) = answer(&mut head, CHUNKED).unwrap();
    assert_eq!(text, "HTTP/1.1 200 OK|Connection: keep-alive||");
}

#[test]
fn a_request_is_sent_again_only_if_nothing_came_and_nothing_was_lost() {
    for kept in [false, true] {
        assert!(exchange("GET / HTTP/1.1|").may_retry(kept));
        assert!(!exchange("POST / HTTP/1.1|").may_retry(kept));
        assert!(!exchange("PATCH / HTTP/1.1|").may_retry(kept));
    }
    let mut put = exchange("PUT / HTTP/1.1|Content-Length: 5|");
    assert!(put.may_retry(false));
    put.upload(b"he").unwrap();
    assert!(!put.may_retry(false), "part of the body went with the first try");
    assert!(!put.may_retry(true), "the rest of it is not there yet");
    put.upload(b"llo").unwrap();
    assert!(!put.may_retry(false), "the body went with the first try");
    assert!(put.may_retry(true));
    let mut post = exchange("POST / HTTP/1.1|Content-Length: 5|");
    post.upload(b"hello").unwrap();
    assert!(!post.may_retry(true), "twice may be once too often");
    let mut get = exchange("GET / HTTP/1.1|");
    assert_eq!(get.response_head(b"H", 0, &RULES, false, &mut Vec::new()), Ok(None));
    assert!(!get.may_retry(true), "the upstream had begun to answer");
    let mut told = exchange("PUT / HTTP/1.1|Content-Length: 5|Expect: 100-continue|");
    answer(&mut told, "HTTP/1.1 100 Continue||").unwrap();
    assert!(!told.may_retry(true), "the client was told to begin");
}

#[test]
fn a_body_is_awaited_once_the_client_may_send_it() {
    const EXPECTS: &str = "PUT / HTTP/1.1|Expect: 100-continue|Content-Length: 5|";
    assert!(!exchange("PUT / HTTP/1.1|Content-Length: 5|").awaits_continue());
    let mut told = exchange(EXPECTS);
    assert!(told.awaits_continue());
    answer(&mut told, "HTTP/1.1 103 Early Hints||").unwrap();
    assert!(told.awaits_continue(), "another interim answer says nothing about the body");
    answer(&mut told, "HTTP/1.1 100 Continue||").unwrap();
    assert!(!told.awaits_continue());
    let mut impatient = exchange(EXPECTS);
    impatient.upload(b"h").unwrap();
    assert!(!impatient.awaits_continue(), "it did not wait");
    let mut refused = exchange(EXPECTS);
    answer(&mut refused, "HTTP/1.1 417 Expectation Failed|Content-Length: 9||").unwrap();
    assert!(refused.awaits_continue(), "it need not send anything any more");
}
