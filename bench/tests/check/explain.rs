//! `portico explain`: what becomes of a URL, compared with what becomes of it. Here by the API
//! alone, below with a proxy.

mod by_proxy;

use std::process::Command;

use portico_bench::world::client::Client;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, Io, Options, TOKEN, World, eventually};
use serde_json::{Value, json};

fn explain(world: &World, url: &str, json: bool) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command.args(["explain", url, "--api", &format!("http://{}", world.control)]);
    command.args(["--management", "off"]);
    command.args(json.then_some("--json")).env("PORTICO_TOKEN", TOKEN);
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is explained, and the status that a client has.
#[track_caller]
fn compared(world: &World, url: &str, expected: &str, status: u16) -> Value {
    let told: Value = serde_json::from_str(&explain(world, url, true)).expect("JSON");
    let answer = told["answer"].as_str().unwrap_or_default();
    assert!(answer.contains(expected), "{url}: {told:#}");
    let rest = url.trim_start_matches("http://");
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let found = Client::connect(world.http).get(host, &format!("/{path}")).status;
    assert_eq!(found, status, "{url}: {told:#}");
    told
}

#[test]
fn every_answer_is_the_one_that_a_client_has() {
    let world = World::start(Options::new(env!("CARGO_BIN_EXE_portico"), Io::Epoll));
    let upstream = Upstream::echo();
    let fields = json!({
        "id": "one", "upstream": upstream.url(), "access": "users", "allowed_users": ["bob"],
    });
    let both = world.session_with(fields);
    let named = json!({ "label": "fancy", "upstream": upstream.url(), "routing": ["subdomain"] });
    let named = world.session_with(named);
    let host = |session: &str| format!("http://{session}.{CONNECT_HOST}/");
    let path = |session: &str| format!("http://{CONNECT_HOST}/_studio/{session}/");

    let told = compared(&world, &host("aone"), "sent to", 200);
    for (field, value) in [
        ("rule", json!("subdomain")),
        ("label", json!("aone")),
        ("session", json!("one")),
        ("state", json!("running")),
        ("workspace_allowed", json!(true)),
        ("routing_offered", json!(true)),
        ("access", json!("users")),
        ("who", json!("ada, and bob")),
    ] {
        assert_eq!(told[field], value, "{told:#}");
    }
    let told = compared(&world, &path("aone"), "sent to", 200);
    assert_eq!(told["rule"], "path");
    assert!(told["who"].as_str().is_some_and(|who| who.starts_with("ada alone")), "{told:#}");
    assert_eq!(compared(&world, &host("fancy"), "sent to", 200)["session"], named.id);
    compared(&world, &path("fancy"), "404: the session has other routing", 404);
    compared(&world, &host("nobody"), "404: no session", 404);
    compared(&world, &format!("http://{CONNECT_HOST}/lab"), "404: the connect host", 404);
    compared(&world, "http://elsewhere.example.org/", "404: this host", 404);

    let said = explain(&world, &host("aone"), false);
    assert!(said.contains("who                ada, and bob"), "{said}");
    let not_asked = "not asked          a proxy: --management is off. Not known: the gate";
    assert!(said.contains(not_asked), "{said}");
    world.patch(&both, &json!({ "state": "stopped", "reason": "it was idle" }));
    eventually("it is stopped", || {
        let status = Client::connect(world.http).get(&both.host, "/").status;
        (status != 200).then_some(())
    });
    let told: Value = serde_json::from_str(&explain(&world, &host("aone"), true)).expect("JSON");
    assert_eq!((&told["state"], &told["reason"]), (&json!("stopped"), &json!("it was idle")));
    let nobody = world.api("PUT", "/v1/workspaces", Some(&json!({ "allowed": ["other"] })));
    assert_eq!(nobody.status, 200, "{}", nobody.text());
    eventually("its workspace is shut out", || {
        let status = Client::connect(world.http).get(&named.host, "/").status;
        (status == 403).then_some(())
    });
    compared(&world, &host("fancy"), "403: the session's workspace", 403);
}
