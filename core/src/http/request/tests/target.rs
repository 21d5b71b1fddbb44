//! What is asked for, and of whom: forms of targets and hosts as tables. Knows nothing of bodies.

use super::*;

fn target_of(method: &str, target: &str) -> Result<String, Refusal> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: Host.example:8080\r\n\r\n");
    judged(head.as_bytes(), |request| {
        assert_eq!(request.path(), request.target.split('?').next().unwrap());
        request.target.to_owned()
    })
}

#[test]
fn targets_are_in_origin_form_or_brought_into_it() {
    for (target, expected) in [
        ("/", "/"),
        ("/a?b?c", "/a?b?c"),
        ("//a", "//a"),
        ("/a;b=c/%00'\"<>[]{}|\\^`", "/a;b=c/%00'\"<>[]{}|\\^`"),
        ("/http://other/", "/http://other/"),
        ("http://Host.example:8080", "/"),
        ("http://host.EXAMPLE:8080/a?b", "/a?b"),
        ("HTTPS://host.example:8080/a://b", "/a://b"),
    ] {
        assert_eq!(target_of("GET", target).as_deref(), Ok(expected), "{target}");
    }
    assert_eq!(target_of("OPTIONS", "*").as_deref(), Ok("*"));
}

#[test]
fn other_targets_are_refused() {
    for (method, target, refusal) in [
        ("GET", "a", Refusal::Target),
        ("GET", "*", Refusal::Target),
        ("OPTIONS", "**", Refusal::Target),
        ("GET", "?a", Refusal::Target),
        ("GET", "/a#b", Refusal::Target),
        ("GET", "/#", Refusal::Target),
        ("GET", "/\u{e9}", Refusal::Target),
        ("GET", "\\a", Refusal::Target),
        ("GET", "host.example:8080", Refusal::Target),
        ("GET", "ftp://host.example:8080/", Refusal::Target),
        ("GET", "ws://host.example:8080/", Refusal::Target),
        ("GET", "://host.example:8080/", Refusal::Target),
        ("GET", "http:/host.example:8080/", Refusal::Target),
        ("GET", "http://host.example:8080?a", Refusal::Target),
        ("GET", "http://", Refusal::HostMismatch),
        ("GET", "http:///a", Refusal::HostMismatch),
        ("GET", "http://other/", Refusal::HostMismatch),
        ("GET", "http://host.example/", Refusal::HostMismatch),
        ("GET", "http://host.example:80/", Refusal::HostMismatch),
        ("GET", "http://user@host.example:8080/", Refusal::HostMismatch),
        ("GET", "http://host.example:8080\\@other/", Refusal::HostMismatch),
        ("CONNECT", "host.example:8080", Refusal::Method),
        ("CONNECT", "/", Refusal::Method),
        ("TRACE", "/", Refusal::Method),
    ] {
        assert_eq!(target_of(method, target), Err(refusal), "{method} {target}");
    }
}

#[test]
fn a_host_is_a_name_or_an_address_and_a_port() {
    for (authority, host) in [
        ("a", "a"),
        ("A.example:1", "A.example"),
        ("under_score.example.", "under_score.example."),
        ("10.0.0.1:65535", "10.0.0.1"),
        ("[::1]", "[::1]"),
        ("[2001:DB8::1]:443", "[2001:DB8::1]"),
        ("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]"),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        let seen = judged(head.as_bytes(), |r| (r.authority.to_owned(), r.host.to_owned()));
        assert_eq!(seen, Ok((authority.to_owned(), host.to_owned())));
    }
    let long = "a".repeat(255);
    for bad in [
        "",
        ":80",
        "a:",
        "a:x",
        "a:-1",
        "a:+1",
        "a:65536",
        "a:000080",
        "a:80:80",
        "a:80 ",
        "a b",
        "a,b",
        "a, a",
        "user@a",
        "user:word@a",
        "a/",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a%2eb",
        "\u{e9}",
        "'a'",
        "a;b",
        "*",
        "[::1",
        "::1",
        "[]",
        "[::1]x",
        "[::1]80",
        "[::1]:",
        "[a]",
        "[10.0.0.1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[v1.a]",
        "[::1]]",
        "[[::1]]",
        "http://a",
        &long,
    ] {
        // White space at the end is not part of the value.
        let expected = if bad == "a:80 " { NONE } else { Err(Refusal::HostInvalid) };
        let head = format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n");
        assert_eq!(body_of(&head), expected, "{bad}");
    }
}

#[test]
fn there_is_one_host_and_it_is_the_targets() {
    for (head, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", Err(Refusal::HostMissing)),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Err(Refusal::HostMissing)),
        ("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", Err(Refusal::HostMissing)),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Err(Refusal::HostRepeated)),
        ("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", Err(Refusal::HostRepeated)),
        ("GET / HTTP/1.1\r\nHost:\r\nHost: b\r\n\r\n", Err(Refusal::HostRepeated)),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Err(Refusal::HostRepeated)),
        ("GET / HTTP/1.0\r\nHost:\r\n\r\n", Err(Refusal::HostInvalid)),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", Err(Refusal::HostMismatch)),
        ("GET http://a/ HTTP/1.0\r\n\r\n", Err(Refusal::HostMismatch)),
        ("GET http://a/ HTTP/1.0\r\nHost: A\r\n\r\n", NONE),
        ("GET / HTTP/1.0\r\n\r\n", NONE),
    ] {
        assert_eq!(body_of(head), expected, "{}", head.escape_debug());
    }
    let hostless = judged(b"GET / HTTP/1.0\r\n\r\n", |r| (r.host.len(), r.authority.len()));
    assert_eq!(hostless, Ok((0, 0)), "no session has this name");
}
