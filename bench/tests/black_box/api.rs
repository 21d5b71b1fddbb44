//! The life of a session through `/v1`, as the platform's developers meet it.

use portico_bench::world::client::Client;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{Io, eventually};
use serde_json::json;

use crate::world;

#[test]
fn a_session_lives_from_creation_to_deletion() {
    let (world, upstream) = (world(Io::Epoll), Upstream::echo());
    let created = world.create(&json!({ "id": "3e8370e7", "upstream": upstream.url() }));
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.field("location").as_deref(), Some("/v1/sessions/3e8370e7"));
    assert!(created.field("etag").is_some());
    let session = created.json();
    assert_eq!(session["label"], "a3e8370e7");
    assert_eq!(session["state"], "running");
    assert_eq!(session["routing"], json!(["subdomain", "path"]));
    assert_eq!(session["urls"]["subdomain"], "http://a3e8370e7.connect.example.com/");
    assert_eq!(session["urls"]["path"], "http://connect.example.com/_studio/a3e8370e7/");
    assert!(session["created_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{session}");
    let listed = world.api("GET", "/v1/sessions?workspace=genomics&state=running", None).json();
    assert_eq!(listed["items"][0]["id"], "3e8370e7");
    let none = world.api("GET", "/v1/sessions?workspace=other", None).json();
    assert_eq!(none["items"], json!([]));
    let target = "/v1/sessions/3e8370e7";
    let change = json!({ "state": "stopped", "reason": "by its owner" });
    let patched = world.api("PATCH", target, Some(&change));
    assert_eq!((patched.status, &patched.json()["state"]), (200, &json!("stopped")));
    assert_ne!(patched.field("etag"), created.field("etag"));
    eventually("the page says so", || {
        let page = world.client().get("a3e8370e7.connect.example.com", "/");
        page.text().contains("by its owner").then_some(())
    });
    assert_eq!(world.api("DELETE", target, None).status, 204);
    assert_eq!(world.api("GET", target, None).status, 404);
    assert_eq!(world.api("DELETE", target, None).status, 404);
}

#[test]
fn a_page_of_a_list_leads_to_the_next() {
    let world = world(Io::Epoll);
    for _ in 0..5 {
        assert_eq!(world.create(&json!({})).status, 201);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.api("GET", &format!("/v1/sessions?limit=2{cursor}"), None).json();
        seen.extend(page["items"].as_array().expect("items").iter().map(|s| s["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort_by_key(|id| id.to_string());
    seen.dedup();
    assert_eq!(seen.len(), 5);
}

#[test]
fn all_mistakes_of_a_body_are_told_at_once() {
    let world = world(Io::Epoll);
    let body = json!({
        "id": "-bad-", "label": "under_score", "workspace": "", "upstream": "ftp://x",
        "state": "sleeping", "routing": ["carrier pigeon"], "host_header": "mine"
    });
    let response = world.create(&body);
    assert!(matches!(response.status, 400 | 422), "{}", response.text());
    let fields: Vec<_> = response.json()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .filter_map(|error| error["field"].as_str().map(str::to_owned))
        .collect();
    for field in ["id", "label", "workspace", "upstream", "state", "routing", "host_header"] {
        assert!(fields.iter().any(|f| f == field), "{field} is not among {fields:?}");
    }
    let unknown = world.create(&json!({ "lifespan": 8 }));
    assert_eq!(unknown.status, 400, "{}", unknown.text());
    assert!(unknown.text().contains("lifespan"), "{}", unknown.text());
}

#[test]
fn taken_names_are_conflicts() {
    let world = world(Io::Epoll);
    assert_eq!(world.create(&json!({ "id": "one", "label": "mine" })).status, 201);
    assert_eq!(world.create(&json!({ "id": "one" })).status, 409);
    assert_eq!(world.create(&json!({ "label": "MINE" })).status, 409);
}

#[test]
fn without_the_token_nothing_is_told() {
    let world = world(Io::Epoll);
    for authorization in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic YTpi\r\n"] {
        for target in ["/v1/sessions", "/v1/sessions/x", "/v1/none"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: control\r\n{authorization}\r\n");
            let response = Client::connect(world.control).exchange(request);
            assert_eq!(response.status, 401, "{target} {authorization:?}");
            assert!(response.field("www-authenticate").is_some(), "{response:?}");
        }
    }
}

#[test]
fn the_api_is_not_on_the_traffic_listener() {
    let world = world(Io::Epoll);
    for host in ["connect.example.com", "control", "127.0.0.1"] {
        assert_eq!(world.client().get(host, "/v1/sessions").status, 404);
        assert_eq!(world.client().get(host, "/metrics").status, 404);
    }
}
