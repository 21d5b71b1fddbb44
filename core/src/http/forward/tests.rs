//! What the session's tool gets to see of a request: each rule with what an attacker would send.
//! Heads are compared as a whole where it matters that nothing else is in them.

use std::sync::Arc;

use super::*;
use crate::access::Access;
use crate::http::head;
use crate::label::{Label, SessionId};
use crate::session::{Routing, State, Timestamp};
use crate::workspace::Workspace;

const STRANGER: &str = "203.0.113.7";
const BALANCER: &str = "10.1.2.3";
const BY_PATH: By = By::Path { prefix: "/_studio/a1".len() };

fn route(host_header: HostHeader, prefix: Prefix) -> Route {
    Route {
        label: Label::parse("a1").unwrap(),
        id: Some(SessionId::parse("a1").unwrap()),
        workspace: Arc::new(Workspace::unlimited("w".parse().unwrap())),
        tool: "jupyter".parse().unwrap(),
        kind: Default::default(),
        is_watched: false,
        state: State::Running,
        reason: None,
        upstream: "http://10.0.0.1:8888".parse().unwrap(),
        routing: Routing::Both,
        host_header,
        prefix,
        owner: "ada".parse().unwrap(),
        access: Access::default(),
        created_at: Timestamp(0),
    }
}

fn client(address: &str) -> Client {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let address = address.parse().unwrap();
    Client::new(std::net::SocketAddr::new(address, 4711), Scheme::Https, &trusted)
}

/// The forwarded head of a request, whose line ends are written `|`.
fn forwarded(head: &str, route: &Route, by: By, client: &Client) -> String {
    let head = format!("{head}|").replace('|', "\r\n");
    let mut space = head::field_space();
    let request = Request::parse(head.as_bytes(), 0, &mut space).unwrap().unwrap();
    let mut out = Vec::new();
    write_request_head(&mut out, &request, route, by, client, Identity::default());
    // Whatever came in, one well-formed head goes out.
    let mut space = head::field_space();
    let again = Request::parse(&out, 0, &mut space).unwrap().unwrap();
    assert_eq!(
        (again.bytes, again.body, again.upgrade),
        (out.len(), request.body, request.upgrade)
    );
    String::from_utf8(out).unwrap().replace("\r\n", "|").strip_suffix('|').unwrap().to_owned()
}

/// The fields (without `Host` and the four that are always written) of a GET with these fields.
fn passed(fields: &str, address: &str) -> String {
    let route = route(HostHeader::Preserve, Prefix::Keep);
    let head = format!("GET / HTTP/1.1|Host: a1.example|{fields}");
    let out = forwarded(&head, &route, By::Subdomain, &client(address));
    let ours = ["Host: ", "X-Forwarded-For: ", "X-Forwarded-Proto: ", "X-Forwarded-Host: "];
    out.split_terminator('|')
        .skip(1)
        .filter(|line| !ours.iter().any(|ours| line.starts_with(ours)))
        .filter(|line| !line.starts_with("Forwarded: "))
        .flat_map(|line| [line, "|"])
        .collect()
}

/// The value of the one field of this name.
fn field<'a>(head: &'a str, name: &str) -> &'a str {
    let mut found =
        head.split('|').filter_map(|line| line.split_once(": ")).filter(|f| f.0 == name);
    let value = found.next().unwrap_or_else(|| panic!("no {name} in {head}")).1;
    assert!(found.next().is_none(), "{name} twice in {head}");
    value
}

#[test]
fn a_request_goes_on_with_the_edge_named_in_it() {
    let route = route(HostHeader::Preserve, Prefix::Keep);
    let head = "GET /lab?x=1 HTTP/1.0|Host: A1.example:8443|Accept: */*|Connection: keep-alive|";
    assert_eq!(
        forwarded(head, &route, By::Subdomain, &client(STRANGER)),
        "GET /lab?x=1 HTTP/1.1|Host: A1.example:8443|Accept: */*|\
         X-Forwarded-For: 203.0.113.7|X-Forwarded-Proto: https|\
         X-Forwarded-Host: A1.example:8443|\
         Forwarded: for=203.0.113.7;proto=https|"
    );
}

#[test]
fn what_a_stranger_says_about_himself_is_not_passed_on() {
    for spoofed in [
        "X-Forwarded-For: 127.0.0.1|",
        "x-forwarded-for: 127.0.0.1|X-FORWARDED-FOR: ::1|",
        "X-Forwarded-Proto: http|X-Forwarded-Host: evil|X-Forwarded-Port: 1|",
        "X-Forwarded-Prefix: //evil|X-Forwarded-User: root|X-Forwarded-Uri: /|X-Forwarded-: a|",
        "X-Forwarded: for=127.0.0.1|Forwarded: for=127.0.0.1;host=evil|",
        "X-Real-IP: 127.0.0.1|X-Client-IP: 127.0.0.1|X-Cluster-Client-IP: 127.0.0.1|",
        "True-Client-IP: 127.0.0.1|X-Original-URL: /admin|X-Rewrite-URL: /admin|",
        "X-Original-Forwarded-For: 127.0.0.1|X-Scheme: http|X-Script-Name: //evil|",
        "X-Portico-User: root|x-portico-: a|X-Connect-Sub: root|X-CONNECT-x: y|",
        "X-RStudio-Root-Path: //evil|",
        "X_Forwarded_For: 127.0.0.1|X_Connect_Sub: root|X-Portico_User: root|X_REAL-IP: ::1|",
        "X_RStudio_Root_Path: //evil|Content_Length: 5|Transfer_Encoding: chunked|",
        "Proxy: http://evil|Proxy-Authorization: Basic eA==|Proxy-Authenticate: Basic|",
    ] {
        assert_eq!(passed(spoofed, STRANGER), "", "{spoofed}");
    }
    let route = route(HostHeader::Preserve, Prefix::Keep);
    let head = "GET / HTTP/1.1|Host: a1.example|X-Forwarded-For: ::1|X-Forwarded-Proto: http|\
                X-Forwarded-Host: evil|Forwarded: for=evil|";
    let out = forwarded(head, &route, By::Subdomain, &client(STRANGER));
    assert_eq!(field(&out, "X-Forwarded-For"), STRANGER);
    assert_eq!(field(&out, "X-Forwarded-Proto"), "https");
    assert_eq!(field(&out, "X-Forwarded-Host"), "a1.example");
    let forwarded = format!("for={STRANGER};host=a1.example;proto=https");
    assert_eq!(field(&out, "Forwarded"), forwarded);
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to() {
    let route = route(HostHeader::Preserve, Prefix::Keep);
    let head = "GET / HTTP/1.1|Host: a1.example|X-Forwarded-For: 192.0.2.1, 192.0.2.2|\
                X-Forwarded-For: 192.0.2.3|X-Forwarded-For:|X-Forwarded-Proto: HTTP, https|\
                X-Forwarded-Host: outer.example, inner|Forwarded: for=\"[2001:db8::1]\"|\
                Forwarded: for=b|";
    let out = forwarded(head, &route, By::Subdomain, &client(BALANCER));
    assert_eq!(field(&out, "X-Forwarded-For"), "192.0.2.1, 192.0.2.2, 192.0.2.3, 10.1.2.3");
    assert_eq!(field(&out, "X-Forwarded-Proto"), "http", "one clean word");
    assert_eq!(field(&out, "X-Forwarded-Host"), "outer.example");
    assert_eq!(
        field(&out, "Forwarded"),
        "for=\"[2001:db8::1]\", for=b, for=10.1.2.3;host=a1.example;proto=https"
    );
    let others = "X-Real-IP: 192.0.2.1|X-Forwarded-Port: 443|";
    assert_eq!(passed(others, BALANCER), others);
    // Nobody speaks for the edge or for the prefix, and nonsense is not passed on as a scheme.
    for never in [
        "X-Portico-User: root|X-Connect-Sub: root|X_Connect_Sub: root|",
        "X-Forwarded-Prefix: /x|X-RStudio-Root-Path: /x|",
    ] {
        assert_eq!(passed(never, BALANCER), "", "{never}");
    }
    let head = "GET / HTTP/1.1|Host: a1.example|X-Forwarded-Proto: javascript|";
    let out = forwarded(head, &route, By::Subdomain, &client(BALANCER));
    assert_eq!(field(&out, "X-Forwarded-Proto"), "https");
}

#[test]
fn addresses_are_written_as_each_field_wants_them() {
    let route = route(HostHeader::Preserve, Prefix::Keep);
    for (address, plain, node) in [
        ("2001:db8::7", "2001:db8::7", "\"[2001:db8::7]\""),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.7"),
    ] {
        let head = "GET / HTTP/1.1|Host: [2001:db8::1]:8443|";
        let out = forwarded(head, &route, By::Subdomain, &client(address));
        assert_eq!(field(&out, "X-Forwarded-For"), plain);
        let expected = format!("for={node};proto=https");
        assert_eq!(field(&out, "Forwarded"), expected);
    }
    // A mapped address is the IPv4 one also where trust is asked.
    assert_eq!(client("::ffff:10.1.2.3").trust, Trust::Proxy);
    assert_eq!(client("::ffff:11.1.2.3").trust, Trust::Stranger);
}

#[test]
fn fields_for_one_hop_end_here() {
    for hop in [
        "Connection: close|",
        "Connection: keep-alive|Keep-Alive: timeout=5|",
        "Proxy-Connection: keep-alive|TE: trailers, gzip|",
        "Connection: X-One, x-two|X-One: 1|X-Two: 2|X-ONE: 3|",
        "Connection: close, ,X-One|Connection: X-Two|X-Two: 2|X-One: 1|",
        "Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABkAARAAAAA|",
        "Upgrade: websocket|",
        "Connection: Upgrade|Upgrade: websocket, h2c|",
    ] {
        assert_eq!(passed(hop, STRANGER), "", "{hop}");
    }
    assert_eq!(passed("Connection: X|XY: 1|", STRANGER), "XY: 1|");
}

#[test]
fn what_a_session_relies_on_cannot_be_listed_away() {
    let kept = "Cookie: a=1|Authorization: Bearer x|Origin: https://a|Accept: */*|\
                Content-Type: a/b|Content-Length: 0|User-Agent: x|Sec-WebSocket-Key: x|\
                Sec-WebSocket-Version: 13|";
    for list in [
        "Host, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded",
        "Cookie, Authorization, Origin, Accept, Content-Type, Content-Length, User-Agent",
        "content-length, transfer-encoding, SEC-WEBSOCKET-KEY, sec-websocket-version",
    ] {
        let route = route(HostHeader::Preserve, Prefix::Strip);
        let head = format!("GET /_studio/a1/ HTTP/1.1|Host: a1.example|Connection: {list}|{kept}");
        let out = forwarded(&head, &route, BY_PATH, &client(STRANGER));
        for line in kept.split_terminator('|') {
            assert!(out.contains(line), "{line} is not in {out}");
        }
        assert_eq!(field(&out, "Host"), "a1.example");
        assert_eq!(field(&out, "X-Forwarded-For"), STRANGER);
        assert_eq!(field(&out, "X-Forwarded-Prefix"), "/_studio/a1");
    }
    // What a trusted proxy says cannot be taken away by who is behind it.
    assert_eq!(passed("Connection: X-Real-IP|X-Real-IP: ::1|", BALANCER), "X-Real-IP: ::1|");
    let body = "POST / HTTP/1.1|Host: a|Connection: Transfer-Encoding|Transfer-Encoding: chunked|";
    let route = route(HostHeader::Preserve, Prefix::Keep);
    let out = forwarded(body, &route, By::Subdomain, &client(STRANGER));
    assert_eq!(field(&out, "Transfer-Encoding"), "chunked");
}

#[test]
fn our_cookies_stay_here() {
    for (sent, expected) in [
        ("Cookie: __Host-portico-grant=x|", ""),
        ("Cookie: a=1; __Host-portico-grant=x; b=2|", "Cookie: a=1; b=2|"),
        ("Cookie: a=1|Cookie: PORTICO_x=1|Cookie: b=2|", "Cookie: a=1|Cookie: b=2|"),
        ("Cookie: a=\"x; __Host-portico-grant=y; z\"|", "Cookie: a=\"x; z\"|"),
        ("Cookie: a=1;  b=2|", "Cookie: a=1;  b=2|"),
    ] {
        assert_eq!(passed(sent, STRANGER), expected, "{sent}");
    }
}

#[test]
fn a_prefix_is_kept_or_stripped_and_always_told() {
    for (prefix, target, expected) in [
        (Prefix::Keep, "/_studio/a1/lab?x", "/_studio/a1/lab?x"),
        (Prefix::Strip, "/_studio/a1/lab?x", "/lab?x"),
        (Prefix::Strip, "/_studio/a1/", "/"),
        (Prefix::Strip, "/_studio/A1/?x=/_studio/a1/", "/?x=/_studio/a1/"),
        (Prefix::Strip, "http://c.example/_studio/a1/x", "/x"),
    ] {
        let head = format!("GET {target} HTTP/1.1|Host: c.example|");
        let route = route(HostHeader::Preserve, prefix);
        let out = forwarded(&head, &route, BY_PATH, &client(STRANGER));
        assert!(out.starts_with(&format!("GET {expected} HTTP/1.1|")), "{out}");
        for name in ["X-Forwarded-Prefix", "X-RStudio-Root-Path"] {
            assert!(field(&out, name).eq_ignore_ascii_case("/_studio/a1"), "{out}");
        }
    }
    let route = route(HostHeader::Preserve, Prefix::Strip);
    let head = "GET /_studio/a1/x HTTP/1.1|Host: a1.c.example|";
    let out = forwarded(head, &route, By::Subdomain, &client(STRANGER));
    assert!(out.starts_with("GET /_studio/a1/x HTTP/1.1|"), "no prefix on a subdomain: {out}");
    assert!(!out.contains("X-Forwarded-Prefix") && !out.contains("X-RStudio-Root-Path"));
}

#[test]
fn the_host_is_the_browsers_or_the_upstreams() {
    let head = "GET / HTTP/1.1|Host: a1.example|";
    let route = route(HostHeader::Upstream, Prefix::Keep);
    let out = forwarded(head, &route, By::Subdomain, &client(STRANGER));
    assert_eq!(field(&out, "Host"), "10.0.0.1:8888");
    assert_eq!(field(&out, "X-Forwarded-Host"), "a1.example");
}

#[test]
fn framing_and_expectation_are_written_once() {
    for (sent, expected) in [
        ("Content-Length: 5|", "Content-Length: 5|"),
        (
            "transfer-encoding:  Chunked|Trailer: X-Sum|",
            "Trailer: X-Sum|Transfer-Encoding: chunked|",
        ),
        ("Expect: 100-continue|Content-Length: 5|", "Expect: 100-continue|Content-Length: 5|"),
    ] {
        assert_eq!(passed(sent, STRANGER), expected, "{sent}");
    }
    let head = "POST / HTTP/1.0|Host: a|Expect: 100-continue|Content-Length: 5|";
    let route = route(HostHeader::Preserve, Prefix::Keep);
    let out = forwarded(head, &route, By::Subdomain, &client(STRANGER));
    assert!(!out.contains("Expect"), "HTTP/1.0 knows none: {out}");
}

#[test]
fn an_upgrade_is_asked_for_anew() {
    let socket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 13|";
    let sent = format!("Connection: keep-alive, Upgrade|Upgrade: websocket|{socket}");
    let expected = format!("{socket}Connection: Upgrade|Upgrade: websocket|");
    assert_eq!(passed(&sent, STRANGER), expected);
    let list =
        "Connection: Upgrade, Sec-WebSocket-Key, X-A|X-A: 1|Upgrade: h2c|Upgrade: websocket|";
    let expected = format!("{socket}Connection: Upgrade|Upgrade: websocket|");
    assert_eq!(passed(&format!("{list}{socket}"), STRANGER), expected);
}

#[test]
fn messages_that_tell_who_is_there_are_not_compressed() {
    let extensions = "Sec-WebSocket-Extensions: permessage-deflate";
    let head =
        format!("GET /x HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket|{extensions}|");
    let mut route = route(HostHeader::Preserve, Prefix::Keep);
    let has = |route: &Route| {
        forwarded(&head, route, By::Subdomain, &client(STRANGER)).contains(extensions)
    };
    assert!(has(&route));
    route.is_watched = true;
    assert!(has(&route), "jupyter's messages are not looked into");
    route.kind = crate::template::ToolKind::Vscode;
    assert!(!has(&route));
    route.is_watched = false;
    assert!(has(&route), "nobody asks");
}
