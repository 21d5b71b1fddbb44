//! What Portico says itself where a session cannot: the right status, in the form that the asker
//! reads, with nothing loaded from elsewhere.

use portico_bench::world::client::Response;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, World, eventually};
use serde_json::json;

use crate::{Io, world};

on_both_io!(
    unknown_sessions_are_404,
    sessions_that_are_coming_are_503_with_a_time_to_come_back,
    sessions_that_ended_are_503_with_the_reason,
    deleted_sessions_are_410,
    silent_upstreams_are_502,
    a_reason_is_text_in_every_form,
    a_head_that_is_too_large_is_refused_in_the_readers_form,
    health_is_answered_on_hosts_that_are_no_session,
    head_requests_get_a_page_without_its_body,
);

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const PROGRAM: &str = "Accept: application/json";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

fn ask(world: &World, host: &str, fields: &str) -> Response {
    world.client().exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n"))
}

/// Checks the same answer in its three forms; gives the HTML one and the problem.
fn in_three_forms(world: &World, host: &str, status: u16) -> (Response, serde_json::Value) {
    let page = ask(world, host, BROWSER);
    assert_eq!(page.status, status, "{page:?}");
    assert!(page.field("content-type").unwrap_or_default().starts_with("text/html"), "{page:?}");
    assert!(page.field("cache-control").unwrap_or_default().contains("no-store"), "{page:?}");
    let text = page.text();
    for elsewhere in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "url(", "@import"] {
        assert!(!text.contains(elsewhere), "the page loads from elsewhere: {elsewhere}");
    }
    let program = ask(world, host, PROGRAM);
    assert_eq!(program.status, status, "{program:?}");
    let content_type = program.field("content-type").unwrap_or_default();
    assert!(content_type.starts_with("application/problem+json"), "{program:?}");
    let problem = program.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["title"].is_string() && problem["type"].is_string(), "{problem}");
    let bare = ask(world, host, UPGRADE);
    assert_eq!((bare.status, bare.body.len()), (status, 0), "{bare:?}");
    (page, problem)
}

fn unknown_sessions_are_404(io: Io) {
    let world = world(io);
    in_three_forms(&world, &format!("none.{CONNECT_HOST}"), 404);
    in_three_forms(&world, "elsewhere.example.org", 404);
    for target in ["/_studio/none/", "/_studio/none", "/_studio/none/lab"] {
        assert_eq!(world.client().get(CONNECT_HOST, target).status, 404, "{target}");
    }
}

fn sessions_that_are_coming_are_503_with_a_time_to_come_back(io: Io) {
    let world = world(io);
    for state in ["building", "starting"] {
        let session = world.session_with(json!({ "state": state }));
        let (page, _) = in_three_forms(&world, &session.host, 503);
        let seconds: u32 = page.field("retry-after").and_then(|s| s.parse().ok()).unwrap_or(0);
        assert!((1..=60).contains(&seconds), "{page:?}");
        let reloads =
            page.field("refresh").is_some() || page.text().contains("http-equiv=\"refresh\"");
        assert!(reloads || page.text().contains("location.reload"), "{}", page.text());
        assert!(ask(&world, &session.host, PROGRAM).field("retry-after").is_some());
        let upstream = Upstream::echo();
        world.patch(&session, &json!({ "state": "running", "upstream": upstream.url() }));
        eventually("the session answers", || {
            (world.client().get(&session.host, "/").status == 200).then_some(())
        });
    }
}

fn sessions_that_ended_are_503_with_the_reason(io: Io) {
    let world = world(io);
    for state in ["stopping", "stopped", "errored", "buildFailed"] {
        let reason = format!("the {state} reason");
        let session = world.session_with(json!({ "state": state, "reason": reason }));
        let (page, problem) = in_three_forms(&world, &session.host, 503);
        assert!(page.text().contains(&reason), "{state}: {}", page.text());
        assert!(problem.to_string().contains(&reason), "{state}: {problem}");
        if state != "stopping" {
            assert!(page.field("refresh").is_none(), "nothing to wait for: {page:?}");
        }
    }
}

fn deleted_sessions_are_410(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    world.delete(&session);
    eventually("the session is gone", || {
        (world.client().get(&session.host, "/").status == 410).then_some(())
    });
    in_three_forms(&world, &session.host, 410);
    assert_eq!(world.client().get(CONNECT_HOST, &session.prefix).status, 410);
    let again = world.session_with(json!({ "id": session.id, "upstream": upstream.url() }));
    assert_eq!(again.label, session.label);
    eventually("the label is used again", || {
        (world.client().get(&session.host, "/").status == 200).then_some(())
    });
}

fn silent_upstreams_are_502(io: Io) {
    let world = world(io);
    let gone = Upstream::echo().url();
    let session = world.session_with(json!({ "upstream": gone }));
    let (page, problem) = in_three_forms(&world, &session.host, 502);
    // Where the tool runs is nobody's business outside.
    assert!(!page.text().contains("127.0.0.1"), "{}", page.text());
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
}

fn a_reason_is_text_in_every_form(io: Io) {
    let world = world(io);
    let reason = "<script>alert(\"1\")</script> & \\ 'x'";
    let session = world.session_with(json!({ "state": "errored", "reason": reason }));
    let (page, problem) = in_three_forms(&world, &session.host, 503);
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
    assert!(page.text().contains("&lt;script&gt;"), "{}", page.text());
    assert!(problem.to_string().contains("<script>alert"), "{problem}");
}

/// Siblings can fill a browser's cookies until no head fits: its user has to be able to read that.
fn a_head_that_is_too_large_is_refused_in_the_readers_form(io: Io) {
    let world = world(io);
    let refused = |accept: &str| {
        let mut client = world.client();
        let cookies = "a=b; ".repeat(14 * 1024);
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nCookie: {cookies}");
        // Portico may refuse before it has read everything.
        let _ = client.try_send(format!("{head}\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status, 431, "{response:?}");
        response.field("content-type").unwrap_or_default()
    };
    assert_eq!(refused("text/html,application/xhtml+xml"), "text/html; charset=utf-8");
    assert_eq!(refused("application/json"), "application/problem+json");
}

fn health_is_answered_on_hosts_that_are_no_session(io: Io) {
    let (world, upstream) = (world(io), Upstream::echo());
    let session = world.session(&upstream);
    for host in ["10.0.0.1", CONNECT_HOST, "load-balancer.internal:8080"] {
        assert_eq!(world.client().get(host, "/healthz").status, 200, "{host}");
    }
    assert_eq!(upstream.accepted(), 0);
    // A session's /healthz is the tool's own.
    assert_eq!(world.client().get(&session.host, "/healthz").json()["target"], "/healthz");
}

fn head_requests_get_a_page_without_its_body(io: Io) {
    let world = world(io);
    let mut client = world.client();
    for _ in 0..2 {
        client.send(format!("HEAD / HTTP/1.1\r\nHost: none.{CONNECT_HOST}\r\n\r\n"));
        assert_eq!(client.response_to_head().status, 404);
    }
}
