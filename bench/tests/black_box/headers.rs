//! Which fields cross the edge: a client cannot speak for Portico to a tool, and a tool cannot
//! speak for another session to a browser.

use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, World};
use serde_json::{Value, json};

use crate::{Io, options, world};

on_both_io!(
    fields_of_the_tool_and_the_user_pass_unchanged,
    hop_by_hop_fields_end_here,
    forwarding_fields_of_strangers_are_overwritten,
    forwarding_fields_from_trusted_networks_are_appended_to,
    fields_in_our_name_are_removed,
    path_routing_tells_the_tool_its_prefix,
    the_host_is_preserved_or_the_upstreams,
    cookies_for_other_hosts_are_dropped,
    cookies_in_our_name_never_reach_a_session,
);

/// What the tool saw of one field, or None.
fn seen(account: &Value, name: &str) -> Option<String> {
    let fields = account["fields"].as_array().expect("fields");
    let values: Vec<_> = fields
        .iter()
        .filter(|f| f[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)))
        .filter_map(|f| f[1].as_str())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// What the echo upstream saw of a GET with these fields.
fn account(world: &World, host: &str, target: &str, fields: &[&str]) -> Value {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    let response = world.client().exchange(request);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

fn fields_of_the_tool_and_the_user_pass_unchanged(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let account = account(
        &world,
        &host,
        "/a%20b;c?d=%2F&e=|",
        &[
            "Authorization: Basic YTpi",
            "X-One: 1",
            "x-one:  2 ",
            "Cookie: a=b; c=\"d\"",
            "X-Empty:",
        ],
    );
    assert_eq!(account["target"], "/a%20b;c?d=%2F&e=|");
    assert_eq!(seen(&account, "authorization").as_deref(), Some("Basic YTpi"));
    assert_eq!(seen(&account, "x-one").as_deref(), Some("1, 2"));
    assert_eq!(seen(&account, "cookie").as_deref(), Some("a=b; c=\"d\""));
    assert_eq!(seen(&account, "x-empty").as_deref(), Some(""));
}

fn hop_by_hop_fields_end_here(io: Io) {
    let world = world(io);
    let echo = Upstream::echo();
    let host = world.session(&echo).host;
    let account = account(
        &world,
        &host,
        "/",
        &[
            "Connection: keep-alive, X-Mine",
            "X-Mine: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Upgrade: websocket",
            "TE: gzip",
        ],
    );
    for name in ["x-mine", "keep-alive", "proxy-connection", "upgrade", "te"] {
        assert_eq!(seen(&account, name), None, "{name}");
    }
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: x\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let host = world.session(&upstream).host;
    let response = world.client().get(&host, "/");
    for name in ["x-theirs", "keep-alive", "proxy-connection"] {
        assert_eq!(response.field(name), None, "{name}");
    }
    assert_eq!(response.field("x-kept").as_deref(), Some("1"));
    // Nobody may have framing fields taken out by naming them.
    let fields = ["Connection: Host, Content-Length, X-Forwarded-For", "Content-Length: 0"];
    let account = self::account(&world, &host_of(&world, &echo), "/", &fields);
    assert!(seen(&account, "host").is_some());
    assert_eq!(seen(&account, "x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

fn host_of(world: &World, upstream: &Upstream) -> String {
    world.session(upstream).host
}

const SPOOFED: [&str; 6] = [
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: gopher",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Prefix: /evil",
    "Forwarded: for=6.6.6.6;host=evil.example",
    "X-Real-IP: 6.6.6.6",
];

fn forwarding_fields_of_strangers_are_overwritten(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let host = world.session(&upstream).host;
    let account = account(&world, &host, "/", &SPOOFED);
    assert_eq!(seen(&account, "x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen(&account, "x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(seen(&account, "x-forwarded-host"), Some(host));
    assert_eq!(seen(&account, "x-forwarded-prefix"), None);
    let text = account.to_string();
    assert!(!text.contains("6.6.6.6") && !text.contains("evil"), "{text}");
}

fn forwarding_fields_from_trusted_networks_are_appended_to(io: Io) {
    let options = options(io).set("PORTICO_PROXY__TRUSTED_NETWORKS", "127.0.0.0/8");
    let world = World::start(options);
    let upstream = Upstream::echo();
    let host = world.session(&upstream).host;
    let fields = [
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: front.example",
    ];
    let account = account(&world, &host, "/", &fields);
    assert_eq!(seen(&account, "x-forwarded-for").as_deref(), Some("192.0.2.7, 127.0.0.1"));
    assert_eq!(seen(&account, "x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(seen(&account, "x-forwarded-host").as_deref(), Some("front.example"));
}

fn fields_in_our_name_are_removed(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    let fields = ["X-Portico-User: mallory", "x-portico-Anything: 1", "X-CONNECT-User: mallory"];
    for (host, target) in [(session.host.as_str(), "/"), (CONNECT_HOST, &session.prefix)] {
        let text = account(&world, host, target, &fields).to_string().to_lowercase();
        assert!(!text.contains("x-portico-user") && !text.contains("mallory"), "{text}");
        assert!(!text.contains("x-portico-anything"), "{text}");
    }
}

fn path_routing_tells_the_tool_its_prefix(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    let fields = ["X-Forwarded-Prefix: /evil", "X-RStudio-Root-Path: /evil"];
    let prefix = session.prefix.trim_end_matches('/');
    let seen_by_path = account(&world, CONNECT_HOST, &session.prefix, &fields);
    for name in ["x-forwarded-prefix", "x-rstudio-root-path"] {
        assert_eq!(seen(&seen_by_path, name).as_deref(), Some(prefix), "{name}");
    }
    let by_host = account(&world, &session.host, "/", &fields);
    for name in ["x-forwarded-prefix", "x-rstudio-root-path"] {
        assert_eq!(seen(&by_host, name), None, "{name}");
    }
}

fn the_host_is_preserved_or_the_upstreams(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let preserved = world.session(&upstream);
    let with_port = format!("{}:8080", preserved.host);
    let account = account(&world, &with_port, "/", &[]);
    assert_eq!(seen(&account, "host"), Some(with_port.clone()));
    assert_eq!(seen(&account, "x-forwarded-host"), Some(with_port));
    let fields = json!({ "upstream": upstream.url(), "host_header": "upstream" });
    let session = world.session_with(fields);
    let account = self::account(&world, &session.host, "/", &[]);
    assert_eq!(seen(&account, "host"), Some(upstream.address.to_string()));
    assert_eq!(seen(&account, "x-forwarded-host"), Some(session.host));
}

fn cookies_for_other_hosts_are_dropped(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let host = request.field("host").unwrap_or_default();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
                 Set-Cookie: plain=1; Path=/; HttpOnly\r\n\
                 Set-Cookie: own=1; Domain={host}\r\n\
                 Set-Cookie: shared=1; Domain={CONNECT_HOST}\r\n\
                 Set-Cookie: dotted=1; domain = .{CONNECT_HOST}; Secure\r\n\
                 Set-Cookie: above=1;DOMAIN=example.com\r\n\
                 Set-Cookie: sibling=1; Domain=other.{CONNECT_HOST}\r\n\
                 Set-Cookie: twice=1; Domain={host}; Domain={CONNECT_HOST}\r\n\r\n"
            ));
        }
    });
    let host = world.session(&upstream).host;
    let response = world.client().get(&host, "/");
    let names: Vec<_> = response
        .values("set-cookie")
        .iter()
        .map(|cookie| cookie.split('=').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(names, ["plain", "own"], "{response:?}");
    world.expect_metric("portico_set_cookie_dropped_total", "reason=\"domain\"", 5.0);
}

fn cookies_in_our_name_never_reach_a_session(io: Io) {
    let world = world(io);
    let upstream = Upstream::scripted(|connection| {
        while let Some(request) = connection.request() {
            let cookie = request.field("cookie").unwrap_or_default();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\
                 Set-Cookie: __Host-portico-grant=forged; Secure; Path=/\r\n\r\n{cookie}",
                cookie.len()
            ));
        }
    });
    let host = world.session(&upstream).host;
    let response = world.client().exchange(format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\n\
         Cookie: a=1; __Host-portico-grant=secret; b=2\r\n\
         Cookie: __Host-portico-grant=secret\r\n\r\n"
    ));
    assert_eq!(response.text(), "a=1; b=2");
    assert_eq!(response.field("set-cookie"), None);
    world.expect_metric("portico_set_cookie_dropped_total", "reason=\"name\"", 1.0);
}
