//! Sessions that are siblings of the connect host and of the Platform, end to end:
//! `abcd.example.com` beside `connect.example.com` and `platform.example.com`.

use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{CONNECT_HOST, World};
use serde_json::json;

use crate::{Io, options};

on_both_io!(
    a_sibling_answers_on_its_own_host,
    a_sibling_answers_by_path,
    other_names_of_the_domain_are_no_sessions,
    the_names_of_connect_host_and_platform_are_taken,
);

const PLATFORM_HOST: &str = "platform.example.com";

fn world(io: Io) -> World {
    let options = options(io)
        .set("PORTICO_SESSION_DOMAIN", "*.example.com")
        .set("PORTICO_PLATFORM_URL", format!("https://{PLATFORM_HOST}"));
    World::start(options)
}

fn a_sibling_answers_on_its_own_host(io: Io) {
    let (world, tool, echo) = (world(io), Upstream::echo(), Upstream::websocket_echo());
    let session = world.session_with(json!({ "label": "abcd", "upstream": tool.url() }));
    assert_eq!(session.record["urls"]["subdomain"], "http://abcd.example.com/");
    let page = world.client().get("ABCD.example.com", "/tree");
    assert_eq!((page.status, &page.json()["target"]), (200, &json!("/tree")), "{page:?}");
    // A child of the connect host is nobody's here.
    assert_eq!(world.client().get("abcd.connect.example.com", "/").status, 404);

    world.session_with(json!({ "label": "live", "upstream": echo.url() }));
    round_trip(&mut world.client().websocket("live.example.com", "/", &[]), "as a sibling");
}

fn a_sibling_answers_by_path(io: Io) {
    let (world, tool) = (world(io), Upstream::echo());
    let session = world.session_with(json!({ "label": "abcd", "upstream": tool.url() }));
    assert_eq!(session.record["urls"]["path"], "http://connect.example.com/_studio/abcd/");
    let page = world.client().get(CONNECT_HOST, "/_studio/abcd/tree");
    assert_eq!((page.status, &page.json()["target"]), (200, &json!("/_studio/abcd/tree")));
    // Not on a session's own host, where paths are the session's.
    let page = world.client().get("abcd.example.com", "/_studio/abcd/tree");
    assert_eq!(page.json()["target"], "/_studio/abcd/tree");
    assert_eq!(world.client().get("other.example.com", "/_studio/abcd/").status, 404);
}

fn other_names_of_the_domain_are_no_sessions(io: Io) {
    let (world, tool) = (world(io), Upstream::echo());
    world.session_with(json!({ "label": "abcd", "upstream": tool.url() }));
    for host in ["example.com", "a.abcd.example.com", "abcdexample.com", "abcd.example.org"] {
        assert_eq!(world.client().get(host, "/").status, 404, "{host}");
        assert_eq!(world.client().get(host, "/healthz").status, 200, "{host}");
    }
    assert_eq!(tool.accepted(), 0, "nobody reached the session");
}

fn the_names_of_connect_host_and_platform_are_taken(io: Io) {
    let world = world(io);
    for label in ["connect", "platform"] {
        let response = world.create(&json!({ "label": label }));
        assert_eq!(response.status, 422, "{label}: {}", response.text());
        assert_eq!(response.json()["errors"][0]["field"], "label", "{}", response.text());
    }
    assert_eq!(world.create(&json!({ "label": "platforms" })).status, 201);
}
