//! Messages whose end two parties could read differently, and messages past a bound: refused with a
//! status and a close, and the tool never sees them. Answers of that kind from a tool are a 502.

use portico_bench::world::World;
use portico_bench::world::client::Response;
use portico_bench::world::upstream::Upstream;

use crate::{Io, world};

on_both_io!(
    ambiguous_heads_are_400,
    ambiguous_targets_and_hosts_are_400,
    bad_chunks_are_400,
    what_follows_a_refused_message_is_not_read,
    long_lines_are_414_and_large_heads_431,
    heads_within_the_bounds_pass,
    wrong_answers_are_502,
    broken_answers_are_not_passed_off_as_complete,
);

/// Sends bytes with `HOST` replaced; expects one answer and a close, and that no request arrived.
fn refused(world: &World, upstream: &Upstream, host: &str, bytes: &str) -> Response {
    let before = upstream.requests().len();
    let mut client = world.client();
    client.send(bytes.replace("HOST", host));
    let response = client.response();
    client.expect_close();
    assert_eq!(upstream.requests().len(), before, "{bytes:?} reached the upstream");
    response
}

fn all_are_400(io: Io, cases: &[&str]) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let mut wrong = Vec::new();
    for case in cases {
        let response = refused(&world, &upstream, &host, case);
        if response.status != 400 {
            wrong.push((response.first_line.clone(), *case));
        }
    }
    assert!(wrong.is_empty(), "not 400: {wrong:#?}");
}

fn ambiguous_heads_are_400(io: Io) {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: HOST\r\n{fields}\r\n\r\n");
    let mut cases: Vec<String> = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 0\r\nContent-Length: 0",
        "Content-Length: 0, 0",
        "Content-Length: +0",
        "Content-Length: -1",
        "Content-Length: 0x0",
        "Content-Length: 1 1",
        "Content-Length:",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "X-Folded: a\r\n b",
        "X-Folded: a\r\n\tContent-Length: 5",
        " X-Leading: space",
        "X-Space : a",
        "X Space: a",
        "X-Nothing",
        ": no name",
        "X-Null: a\0b",
        "X-Return: a\rb",
        "X-Bare: a\nX-Line: b",
        "X-Bare: a\n",
        "X-N\u{e4}me: a",
    ]
    .map(with)
    .to_vec();
    cases.extend(
        [
            "POST / HTTP/1.0\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\nHost: HOST\n\n",
            "GET / HTTP/1.1\r\nHost: HOST\n\r\n",
            "GET / HTTP/1.1\r\n Host: HOST\r\n\r\n",
        ]
        .map(str::to_owned),
    );
    all_are_400(io, &cases.iter().map(String::as_str).collect::<Vec<_>>());
}

fn ambiguous_targets_and_hosts_are_400(io: Io) {
    all_are_400(
        io,
        &[
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: HOST\r\nHost: HOST\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: HOST\r\nhost: other.connect.example.com\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: HOST, HOST\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: user@HOST\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: HOST/x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: HOST:port\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: HOST x\r\n\r\n",
            "GET http://other.connect.example.com/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET /\tx HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET x HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET HOST:80 HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET ftp://HOST/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET /\r\nHost: HOST\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: HOST\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: HOST\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: HOST\r\n\r\n",
            "GET / http/1.1\r\nHost: HOST\r\n\r\n",
            "GET / HTTP/11\r\nHost: HOST\r\n\r\n",
        ],
    );
}

fn bad_chunks_are_400(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let mut wrong = Vec::new();
    for chunks in [
        "g\r\n",
        "-1\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1;x\ny\r\na\r\n0\r\n\r\n",
        "11111111111111111\r\na",
        "0\r\nTrailer\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: y\n\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n";
        let response = refused(&world, &upstream, &host, &format!("{head}{chunks}"));
        if response.status != 400 {
            wrong.push((response.first_line.clone(), chunks));
        }
    }
    assert!(wrong.is_empty(), "not 400: {wrong:#?}");
}

fn what_follows_a_refused_message_is_not_read(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let smuggled = "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\
                    Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
                    GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n";
    assert_eq!(refused(&world, &upstream, &host, smuggled).status, 400);
    let mut client = world.client();
    assert_eq!(client.get(&host, "/after").json()["target"], "/after");
    assert_eq!(upstream.requests().len(), 1);
}

fn long_lines_are_414_and_large_heads_431(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: HOST\r\n\r\n", "a".repeat(20_000));
    assert_eq!(refused(&world, &upstream, &host, &long_line).status, 414);
    let large = "GET / HTTP/1.1\r\nHost: HOST\r\nX-Large: ".to_owned() + &"a".repeat(70_000);
    assert_eq!(refused(&world, &upstream, &host, &format!("{large}\r\n\r\n")).status, 431);
    let many: String = (0..200).map(|i| format!("X-{i}: a\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: HOST\r\n{many}\r\n");
    assert_eq!(refused(&world, &upstream, &host, &many).status, 431);
}

fn heads_within_the_bounds_pass(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let mut client = world.client();
    let target = format!("/{}", "a".repeat(8_000));
    assert_eq!(client.get(&host, &target).status, 200);
    let fields: String = (0..100).map(|i| format!("X-{i}: {}\r\n", "b".repeat(300))).collect();
    let response = client.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"));
    assert_eq!(response.status, 200);
    assert!(response.text().contains("X-99") || response.text().contains("x-99"));
}

fn wrong_answers_are_502(io: Io) {
    let world = world(io);
    let ok = "HTTP/1.1 200 OK\r\n";
    for answer in [
        "".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        "HTTP/1.1 abc OK\r\n\r\n".to_owned(),
        "HTTP/1.1 2000 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
        format!("{ok}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        format!("{ok}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{ok}Content-Length: -1\r\n\r\n"),
        format!("{ok}X-Space : a\r\n\r\n"),
        format!("{ok}X-Null: a\0b\r\n\r\n"),
        format!("{ok}X-Large: {}\r\n\r\n", "a".repeat(70_000)),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40),
    ] {
        let bytes = answer.clone();
        let upstream = Upstream::scripted(move |connection| {
            connection.request();
            connection.send(&bytes);
        });
        let host = world.session(&upstream).host;
        let response = world.client().get(&host, "/");
        let shown: String = answer.chars().take(80).collect();
        assert_eq!(response.status, 502, "{shown:?}");
    }
}

fn broken_answers_are_not_passed_off_as_complete(io: Io) {
    let world = world(io);
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n0\r\n\r\n",
    ] {
        let upstream = Upstream::scripted(move |connection| {
            connection.request();
            connection.send(answer);
        });
        let host = world.session(&upstream).host;
        let mut client = world.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let whole = client.try_response();
        assert!(!matches!(&whole, Ok(r) if r.status == 200), "{answer:?} became {whole:?}");
    }
}
