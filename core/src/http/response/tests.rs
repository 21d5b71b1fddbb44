//! Answers as tables: how they may be framed, what the client gets to see of their fields, and
//! where redirects and cookies lead. Knows nothing of requests but what `Rules` and `Delivery` say.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::upstream::Host;

type Verdict = Result<BodyLength, GatewayFault>;

const HEAD: Verdict = Err(GatewayFault::Head);
const FRAMING: Verdict = Err(GatewayFault::Framing);
const CHUNKED: Verdict = Ok(BodyLength::Chunked);
const UNTIL_CLOSE: Verdict = Ok(BodyLength::UntilClose);
const NONE: Verdict = Ok(BodyLength::None);

/// Parses a head whose line ends are written `|`, whole and in two pieces at every cut.
fn judged<T: PartialEq + std::fmt::Debug>(
    head: &str,
    look: impl Fn(&Response<'_, '_>) -> T,
) -> Result<T, GatewayFault> {
    let head = format!("{head}|").replace('|', "\r\n");
    let parse = |scanned| {
        let mut space = head::field_space();
        let response = Response::parse(head.as_bytes(), scanned, &mut space)?;
        Ok(look(&response.expect("a whole head was given")))
    };
    let whole = parse(0);
    for cut in (0..head.len()).step_by((head.len() / 256).max(1)) {
        let mut space = head::field_space();
        match Response::parse(&head.as_bytes()[..cut], 0, &mut space) {
            Ok(None) => assert_eq!(parse(cut), whole, "cut at {cut} of {head}"),
            Ok(Some(_)) => panic!("complete at {cut}: {head}"),
            Err(_) => assert!(whole.is_err(), "refused at {cut}: {head}"),
        }
    }
    whole
}

fn body_of(head: &str) -> Verdict {
    judged(head, |response| response.body)
}

#[test]
fn the_end_of_an_answer_is_said_in_one_way_or_it_is_refused() {
    for (head, expected) in [
        ("HTTP/1.1 200 OK|", UNTIL_CLOSE),
        ("HTTP/1.0 200 OK|", UNTIL_CLOSE),
        ("HTTP/1.1 200 OK|Content-Length: 5|", Ok(BodyLength::Bytes(5))),
        ("HTTP/1.0 200 OK|Content-Length: 5|", Ok(BodyLength::Bytes(5))),
        ("HTTP/1.1 200 OK|Content-Length: 0|", Ok(BodyLength::Bytes(0))),
        ("HTTP/1.1 205 Reset Content|Content-Length: 0|", Ok(BodyLength::Bytes(0))),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|", CHUNKED),
        ("HTTP/1.1 200 OK|transfer-encoding: CHUNKED|", CHUNKED),
        ("HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 5|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length: 5|Content-Length: 6|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length: 5, 5|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length: +5|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length: -1|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length:|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length: 9223372036854775808|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length: 18446744073709551621|", FRAMING),
        ("HTTP/1.1 200 OK|Content-Length: 5|Transfer-Encoding: chunked|", FRAMING),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Content-Length: 5|", FRAMING),
        ("HTTP/1.0 200 OK|Transfer-Encoding: chunked|", FRAMING),
        ("HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked|", FRAMING),
        ("HTTP/1.1 200 OK|Transfer-Encoding: identity|", FRAMING),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked, chunked|", FRAMING),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: chunked|", FRAMING),
        // No content by status, whatever the fields say; but what they say must still make sense.
        ("HTTP/1.1 100 Continue|", NONE),
        ("HTTP/1.1 101 Switching Protocols|Content-Length: 5|", NONE),
        ("HTTP/1.1 103 Early Hints|Link: </a>|", NONE),
        ("HTTP/1.1 204 No Content|Content-Length: 5|", NONE),
        ("HTTP/1.1 204 No Content|Transfer-Encoding: chunked|", NONE),
        ("HTTP/1.1 304 Not Modified|Content-Length: 5|", NONE),
        ("HTTP/1.1 304 Not Modified|Content-Length: 5|Content-Length: 6|", FRAMING),
        ("HTTP/1.1 204 No Content|Content-Length: 5|Transfer-Encoding: chunked|", FRAMING),
    ] {
        assert_eq!(body_of(head), expected, "{head}");
    }
}

#[test]
fn heads_are_read_to_the_letter() {
    for (head, expected) in [
        ("HTTP/1.1 200|", UNTIL_CLOSE),
        ("HTTP/1.1 200 |", UNTIL_CLOSE),
        ("HTTP/1.1 200 Tr\u{e8}s bien|", UNTIL_CLOSE),
        ("HTTP/1.1 599 x|", UNTIL_CLOSE),
        ("HTTP/1.1 200 OK|X: a| b|", HEAD),
        ("HTTP/1.1 200 OK|Content-Length:| 5|", HEAD),
        ("HTTP/1.1 200 OK|Content-Length : 5|", HEAD),
        ("HTTP/1.1 200 OK| X: a|", HEAD),
        ("HTTP/1.1 200 OK|: a|", HEAD),
        ("HTTP/1.1 200 OK|NoColon|", HEAD),
        ("HTTP/1.1 200 OK|X: a\rb|", HEAD),
        ("HTTP/1.1 200 OK|X: a\r|", HEAD),
        ("HTTP/1.1 200 OK\n|", HEAD),
        ("HTTP/1.1 200 OK|X: a\n|", HEAD),
        ("HTTP/1.1 200 OK|X: \0|", HEAD),
        ("HTTP/1.1 200 O\0K|", HEAD),
        ("HTTP/1.1 200 a\rb|", HEAD),
        ("HTTP/1.1  200 OK|", HEAD),
        ("HTTP/1.1 20 OK|", HEAD),
        ("HTTP/1.1 2000 OK|", HEAD),
        ("HTTP/1.1 200OK|", HEAD),
        ("HTTP/1.1 099 x|", HEAD),
        ("HTTP/1.1 600 x|", HEAD),
        ("HTTP/1.1 +20 x|", HEAD),
        ("HTTP/1.2 200 OK|", HEAD),
        ("HTTP/2.0 200 OK|", HEAD),
        ("HTTP/2 200|", HEAD),
        ("http/1.1 200 OK|", HEAD),
        ("ICY 200 OK|", HEAD),
        (" HTTP/1.1 200 OK|", HEAD),
        ("|HTTP/1.1 200 OK|", HEAD),
        ("SSH-2.0-OpenSSH_9.2|", HEAD),
        ("<html>|", HEAD),
    ] {
        assert_eq!(body_of(head), expected, "{}", head.escape_debug());
    }
}

#[test]
fn a_head_is_bounded() {
    let fault = Err(GatewayFault::HeadTooLarge);
    let field = |bytes| body_of(&format!("HTTP/1.1 200 OK|X: {}|", "a".repeat(bytes)));
    let others = "HTTP/1.1 200 OK\r\nX: \r\n\r\n".len();
    assert_eq!(field(limits::HEAD_BYTES_MAX - others), UNTIL_CLOSE);
    assert_eq!(field(limits::HEAD_BYTES_MAX - others + 1), fault);
    let fields = |count| body_of(&format!("HTTP/1.1 200 OK|{}", "X: y|".repeat(count)));
    assert_eq!(fields(limits::HEAD_FIELDS_MAX), UNTIL_CLOSE);
    assert_eq!(fields(limits::HEAD_FIELDS_MAX + 1), fault);
    let reason = "a".repeat(limits::REQUEST_LINE_BYTES_MAX);
    assert_eq!(body_of(&format!("HTTP/1.1 200 {reason}|")), fault);
}

#[test]
fn an_upstream_is_kept_as_its_version_and_options_say() {
    for (head, persistent) in [
        ("HTTP/1.1 200 OK|Content-Length: 0|", true),
        ("HTTP/1.1 200 OK|Connection: close|", false),
        ("HTTP/1.1 200 OK|Connection: keep-alive, Close|", false),
        ("HTTP/1.0 200 OK|Content-Length: 0|", false),
        ("HTTP/1.0 200 OK|Connection: Keep-Alive|Content-Length: 0|", true),
        ("HTTP/1.1 304 Not Modified|Content-Length: 5|", true),
        // A tool that says so may well send it.
        ("HTTP/1.1 204 No Content|Content-Length: 5|", false),
        ("HTTP/1.1 204 No Content|Transfer-Encoding: chunked|", false),
        ("HTTP/1.1 204 No Content|Content-Length: 0|", true),
    ] {
        assert_eq!(judged(head, |response| response.persistent), Ok(persistent), "{head}");
    }
}

static UPSTREAM: Upstream =
    Upstream { host: Host::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))), port: 8888 };

const SUBDOMAIN: Rules<'_> = Rules {
    authority: "a1.example:8443",
    host: "a1.example",
    upstream: &UPSTREAM,
    prefix: None,
    stripped: false,
    guard: None,
};
const KEPT: Rules<'_> =
    Rules { authority: "c.example", host: "c.example", prefix: Some("/_studio/a1"), ..SUBDOMAIN };
const STRIPPED: Rules<'_> = Rules { stripped: true, ..KEPT };
const OPEN: Delivery =
    Delivery { client: Version::Http11, persistent: true, bare: false, upgrade: false };

/// What the client gets of a head, and how many cookies it does not get (by domain, by name).
fn written(head: &str, rules: &Rules<'_>, delivery: Delivery) -> (String, u32, u32) {
    let (out, dropped) = judged(head, |response| {
        let mut out = Vec::new();
        let dropped = response.write(&mut out, rules, delivery);
        (out, dropped)
    })
    .unwrap();
    let mut space = head::field_space();
    let again = Response::parse(&out, 0, &mut space).unwrap().expect("one whole head goes out");
    assert_eq!(again.bytes, out.len());
    let text = String::from_utf8(out).unwrap().replace("\r\n", "|");
    let text = text.strip_suffix('|').unwrap().to_owned();
    (text, dropped.cookies_by_domain, dropped.cookies_by_name)
}

/// The fields that the client gets of a 200 with these.
fn fields(fields: &str, rules: &Rules<'_>) -> String {
    let (text, ..) = written(&format!("HTTP/1.1 200 OK|{fields}"), rules, OPEN);
    text.strip_prefix("HTTP/1.1 200 OK|").unwrap().to_owned()
}

#[test]
fn fields_for_one_hop_end_here() {
    for (sent, expected) in [
        ("Connection: keep-alive|Keep-Alive: timeout=5|", ""),
        ("Connection: X-One, close|X-One: 1|X-Two: 2|", "X-Two: 2|"),
        ("Connection: x-one|Connection: X-TWO|X-One: 1|X-Two: 2|", ""),
        ("Proxy-Authenticate: Basic|Proxy-Connection: close|Upgrade: h2|TE: x|", ""),
        ("X-Portico-User: a|X-Connect-Sub: b|X_Portico_User: c|", ""),
        ("Content_Length: 5|Transfer_Encoding: chunked|", ""),
        ("Trailer: X-Sum|Server: x|", "Trailer: X-Sum|Server: x|"),
        // A session cannot take away by a list what frames or guards its answer.
        ("Connection: Content-Length|Content-Length: 5|", "Content-Length: 5|"),
        (
            "Connection: Transfer-Encoding|Transfer-Encoding: chunked|",
            "Transfer-Encoding: chunked|",
        ),
        ("Connection: Set-Cookie|Set-Cookie: a=1|", "Set-Cookie: a=1|"),
    ] {
        assert_eq!(fields(sent, &SUBDOMAIN), expected, "{sent}");
    }
}

#[test]
fn the_client_is_told_about_its_own_connection() {
    let closing = Delivery { persistent: false, ..OPEN };
    let old = Delivery { client: Version::Http10, ..OPEN };
    let bare = Delivery { persistent: false, bare: true, ..old };
    let upgrade = Delivery { upgrade: true, ..OPEN };
    for (head, delivery, expected) in [
        ("HTTP/1.1 200 OK|Connection: close|Content-Length: 1|", OPEN, "200 OK|Content-Length: 1|"),
        ("HTTP/1.0 200 OK|Content-Length: 1|", OPEN, "200 OK|Content-Length: 1|"),
        ("HTTP/1.1 200 OK|", closing, "200 OK|Connection: close|"),
        ("HTTP/1.1 200|Content-Length: 0|", old, "200 |Content-Length: 0|Connection: keep-alive|"),
        ("HTTP/1.1 200 OK|Transfer-Encoding: chunked|", bare, "200 OK|Connection: close|"),
        (
            "HTTP/1.1 200 OK|Transfer-Encoding: Chunked|",
            closing,
            "200 OK|Transfer-Encoding: chunked|Connection: close|",
        ),
        ("HTTP/1.1 100 Continue|Connection: close|", closing, "100 Continue|"),
        (
            "HTTP/1.1 101 Switching Protocols|Upgrade: websocket|Connection: upgrade, X-A|X-A: 1|\
             Sec-WebSocket-Accept: x|Transfer-Encoding: chunked|",
            upgrade,
            "101 Switching Protocols|Sec-WebSocket-Accept: x|Connection: Upgrade|\
             Upgrade: websocket|",
        ),
        // A length where there is no content would be read as content by a careless client.
        ("HTTP/1.1 101 x|Content-Length: 5|", upgrade, "101 x|Connection: Upgrade|"),
        ("HTTP/1.1 103 x|Content-Length: 5|Link: a|", OPEN, "103 x|Link: a|"),
        ("HTTP/1.1 204 x|Content-Length: 5|", OPEN, "204 x|"),
        ("HTTP/1.1 204 x|Transfer-Encoding: chunked|", OPEN, "204 x|"),
        ("HTTP/1.1 304 x|Content-Length: 5|", OPEN, "304 x|Content-Length: 5|"),
        ("HTTP/1.1 304 x|Transfer-Encoding: chunked|", OPEN, "304 x|"),
        ("HTTP/1.1 200 Tr\u{e8}s bien|Content-Length: 0|", OPEN, "200 |Content-Length: 0|"),
    ] {
        let (text, ..) = written(head, &SUBDOMAIN, delivery);
        assert_eq!(text, format!("HTTP/1.1 {expected}"), "{head}");
    }
}

#[test]
fn redirects_lead_to_where_the_session_is_for_the_browser() {
    for (rules, location, expected) in [
        (&SUBDOMAIN, "/lab", "/lab"),
        (&SUBDOMAIN, "lab?x", "lab?x"),
        (&SUBDOMAIN, "https://elsewhere.example/", "https://elsewhere.example/"),
        (&SUBDOMAIN, "http://10.0.0.1:8888/lab?x#y", "/lab?x#y"),
        (&SUBDOMAIN, "https://10.0.0.1:8888", "/"),
        (&SUBDOMAIN, "http://10.0.0.1:8888?x", "/?x"),
        (&SUBDOMAIN, "http://10.0.0.1:88889/", "http://10.0.0.1:88889/"),
        (&SUBDOMAIN, "http://10.0.0.1:8888.evil/", "http://10.0.0.1:8888.evil/"),
        (&SUBDOMAIN, "http://10.0.0.1:8888@evil/", "http://10.0.0.1:8888@evil/"),
        // What was a path behind a host must not become a host.
        (&SUBDOMAIN, "http://10.0.0.1:8888//evil/x", "/.//evil/x"),
        (&SUBDOMAIN, "http://10.0.0.1:8888/\\evil/x", "/./\\evil/x"),
        (&SUBDOMAIN, "http://10.0.0.1:8888/\t/evil/x", "/./\t/evil/x"),
        (&KEPT, "/lab", "/lab"),
        (&KEPT, "http://10.0.0.1:8888/_studio/a1/lab", "/_studio/a1/lab"),
        (&KEPT, "https://c.example/lab", "https://c.example/lab"),
        (&STRIPPED, "/lab", "/_studio/a1/lab"),
        (&STRIPPED, "/", "/_studio/a1/"),
        (&STRIPPED, "lab", "lab"),
        (&STRIPPED, "?x", "?x"),
        (&STRIPPED, "//other.example/", "//other.example/"),
        (&STRIPPED, "https://C.example/lab", "/_studio/a1/lab"),
        (&STRIPPED, "https://c.example", "/_studio/a1/"),
        (&STRIPPED, "http://10.0.0.1:8888//evil/", "/_studio/a1//evil/"),
        (&STRIPPED, "https://elsewhere.example/", "https://elsewhere.example/"),
        // The tool knows the prefix after all.
        (&STRIPPED, "/_studio/a1/lab", "/_studio/a1/lab"),
        (&STRIPPED, "https://c.example/_studio/a1/lab", "/_studio/a1/lab"),
        (&STRIPPED, "/_studio/a12/lab", "/_studio/a1/_studio/a12/lab"),
    ] {
        for name in ["Location", "Content-Location"] {
            let out = fields(&format!("{name}: {location}|"), rules);
            assert_eq!(out, format!("{name}: {expected}|"), "{location}");
        }
    }
}

#[test]
fn cookies_reach_no_further_than_their_session() {
    for (rules, cookie, expected, dropped) in [
        (&SUBDOMAIN, "a=1; Path=/", Some("a=1; Path=/"), (0, 0)),
        (&SUBDOMAIN, "a=1; Domain=a1.example", Some("a=1; Domain=a1.example"), (0, 0)),
        (&SUBDOMAIN, "a=1; Domain=example", None, (1, 0)),
        (&SUBDOMAIN, "a=1; DOMAIN = .example", None, (1, 0)),
        (&SUBDOMAIN, "__Host-portico-grant=1; Secure; Path=/", None, (0, 1)),
        (&SUBDOMAIN, "portico=1; Domain=example", None, (0, 1)),
        (&SUBDOMAIN, "=portico=1", None, (0, 1)),
        (&KEPT, "a=1; Path=/", Some("a=1; Path=/_studio/a1/"), (0, 0)),
        (&KEPT, "a=1; Path=/_studio/a1/x", Some("a=1; Path=/_studio/a1/x"), (0, 0)),
        (&KEPT, "a=1; Path=/_studio/a1/; Path=/", Some("a=1; Path=/_studio/a1/"), (0, 0)),
        (&KEPT, "a=1; Domain=c.example", None, (1, 0)),
        (&STRIPPED, "a=1; Path=/x; Secure", Some("a=1; Secure; Path=/_studio/a1/x"), (0, 0)),
        (&STRIPPED, "a=1", Some("a=1; Path=/_studio/a1/"), (0, 0)),
        (&STRIPPED, "a=1; Path=x", Some("a=1; Path=/_studio/a1/"), (0, 0)),
    ] {
        let head = format!("HTTP/1.1 200 OK|Set-Cookie: {cookie}|Content-Length: 0|");
        let line = expected.map(|cookie| format!("Set-Cookie: {cookie}|")).unwrap_or_default();
        let (text, by_domain, by_name) = written(&head, rules, OPEN);
        assert_eq!(text, format!("HTTP/1.1 200 OK|{line}Content-Length: 0|"), "{cookie}");
        assert_eq!((by_domain, by_name), dropped, "{cookie}");
    }
    let two = "HTTP/1.1 200 OK|Set-Cookie: portico=1|Set-Cookie: a=1|Set-Cookie: b=1; Domain=x|";
    let (text, by_domain, by_name) = written(two, &SUBDOMAIN, OPEN);
    assert_eq!(text, "HTTP/1.1 200 OK|Set-Cookie: a=1|", "each is judged alone");
    assert_eq!((by_domain, by_name), (1, 1));
}
