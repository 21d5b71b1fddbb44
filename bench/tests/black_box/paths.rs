//! Path routing: the session's prefix cannot be left, and is kept for the tool or taken off with
//! what the tool answers put right.

use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, World};
use serde_json::json;

use crate::{Io, world};

on_both_io!(
    the_prefix_without_its_slash_redirects,
    the_prefix_is_kept_for_the_tool,
    a_stripped_prefix_is_put_back_in_answers,
    dot_segments_do_not_leave_the_prefix,
    a_session_answers_only_on_its_routing,
    each_request_of_a_connection_is_routed_anew,
    absolute_targets_are_routed_like_others,
    letter_case_and_ports_do_not_matter,
);

fn the_prefix_without_its_slash_redirects(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    let bare = session.prefix.trim_end_matches('/');
    for (target, location) in [
        (bare.to_owned(), session.prefix.clone()),
        (format!("{bare}?a=b%20c"), format!("{}?a=b%20c", session.prefix)),
    ] {
        let response = world.client().get(CONNECT_HOST, &target);
        assert_eq!(response.status, 308, "{response:?}");
        let to = response.field("location").unwrap_or_default();
        assert!(to == location || to == format!("http://{CONNECT_HOST}{location}"), "{to}");
    }
    assert_eq!(upstream.accepted(), 0);
}

fn the_prefix_is_kept_for_the_tool(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    for rest in ["", "lab/tree?x=1", "a/../b", "a%2Fb/c", "//x"] {
        let target = format!("{}{rest}", session.prefix);
        let response = world.client().get(CONNECT_HOST, &target);
        assert_eq!(response.status, 200, "{target}: {response:?}");
        assert_eq!(response.json()["target"], target);
    }
}

fn a_stripped_prefix_is_put_back_in_answers(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            connection.send(format!(
                "HTTP/1.1 302 Found\r\nContent-Length: {}\r\n\
                 Set-Cookie: a=1; Path=/; Secure\r\n\
                 Set-Cookie: b=1; path=/sub\r\nSet-Cookie: c=1\r\n\r\n{}",
                request.target.len(),
                request.target
            ));
        }
    });
    let fields = json!({ "upstream": upstream.url(), "strip_prefix": true });
    let session = world.session_with(fields);
    let prefix = session.prefix.trim_end_matches('/');
    let response = world.client().get(CONNECT_HOST, &session.prefix);
    assert_eq!(response.text(), "/");
    let response = world.client().get(CONNECT_HOST, &format!("{prefix}/lab/x?y"));
    assert_eq!(response.text(), "/lab/x?y");
    let cookies = response.values("set-cookie").join("\n");
    for path in [format!("Path={prefix}/"), format!("Path={prefix}/sub")] {
        assert!(cookies.lines().any(|cookie| cookie.ends_with(&path)), "{path}: {cookies}");
    }
    assert!(cookies.contains("Secure"), "{cookies}");
    redirects_are_rewritten(&world);
}

fn redirects_are_rewritten(world: &World) {
    for (from_tool, to_browser) in [
        ("/login?next=%2F", "PREFIX/login?next=%2F"),
        ("/", "PREFIX/"),
        ("relative", "relative"),
        ("../up", "../up"),
        ("?only=query", "?only=query"),
        ("http://connect.example.com/abs", "PREFIX/abs"),
        ("https://elsewhere.example.org/x", "https://elsewhere.example.org/x"),
        ("//elsewhere.example.org/x", "//elsewhere.example.org/x"),
    ] {
        let upstream = Upstream::answering(format!(
            "HTTP/1.1 302 Found\r\nLocation: {from_tool}\r\nContent-Length: 0\r\n\r\n"
        ));
        let fields = json!({ "upstream": upstream.url(), "strip_prefix": true });
        let session = world.session_with(fields);
        let response = world.client().get(CONNECT_HOST, &session.prefix);
        let wanted = to_browser.replace("PREFIX", session.prefix.trim_end_matches('/'));
        assert_eq!(response.field("location"), Some(wanted), "{from_tool}");
        // The session's own host has no prefix to put back.
        let response = world.client().get(&session.host, "/");
        assert_eq!(response.field("location").as_deref(), Some(from_tool));
    }
}

fn dot_segments_do_not_leave_the_prefix(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    for rest in ["..", "../other/", "%2e%2e/x", "a/../../x", "..%2fx", "..%5cx", "..\\x", ".%2E/"] {
        let response = world.client().get(CONNECT_HOST, &format!("{}{rest}", session.prefix));
        assert_eq!(response.status, 400, "{rest}: {response:?}");
    }
    for target in ["/_studio/", "/_studio/../x/", "/_studio/a%2fb/"] {
        let status = world.client().get(CONNECT_HOST, target).status;
        assert!(matches!(status, 400 | 404), "{target}: {status}");
    }
    assert_eq!(upstream.accepted(), 0);
}

fn a_session_answers_only_on_its_routing(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let fields = |routing: &str| json!({ "upstream": upstream.url(), "routing": [routing] });
    let by_host = world.session_with(fields("subdomain"));
    assert_eq!(world.client().get(&by_host.host, "/").status, 200);
    assert_eq!(world.client().get(CONNECT_HOST, &by_host.prefix).status, 404);
    let by_path = world.session_with(fields("path"));
    assert_eq!(world.client().get(CONNECT_HOST, &by_path.prefix).status, 200);
    assert_eq!(world.client().get(&by_path.host, "/").status, 404);
}

/// A kept connection is not trusted to stay on one session.
fn each_request_of_a_connection_is_routed_anew(io: Io) {
    let world = world(io);
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let (first, second) = (world.session(&one), world.session(&two));
    let mut client = world.client();
    for _ in 0..2 {
        assert_eq!(client.get(&first.host, "/1").status, 200);
        assert_eq!(client.get(CONNECT_HOST, &second.prefix).status, 200);
        assert_eq!(client.get(&format!("none.{CONNECT_HOST}"), "/").status, 404);
    }
    let targets = |upstream: &Upstream| -> Vec<String> {
        upstream.requests().into_iter().map(|request| request.target).collect()
    };
    assert_eq!(targets(&one), ["/1", "/1"]);
    assert_eq!(targets(&two), [second.prefix.clone(), second.prefix]);
}

fn absolute_targets_are_routed_like_others(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let request = format!("GET http://{host}/x?y HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let response = world.client().exchange(request);
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.json()["target"], "/x?y");
}

fn letter_case_and_ports_do_not_matter(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    for host in [
        session.host.to_uppercase(),
        format!("{}:8443", session.host),
        format!("{}.", session.host),
    ] {
        assert_eq!(world.client().get(&host, "/").status, 200, "{host}");
    }
    let upper = session.prefix.replace(&session.label, &session.label.to_uppercase());
    assert_eq!(world.client().get(&CONNECT_HOST.to_uppercase(), &upper).status, 200);
}
