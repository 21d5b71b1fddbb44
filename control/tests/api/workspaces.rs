//! The allow-list and the limits of workspaces, and what they mean for creating.

use std::time::{Duration, Instant};

use portico_core::limits;
use serde_json::{Value, json};

use crate::world::{Answer, Client, World};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn put_if(client: &mut Client, path: &str, tag: &str, body: &str) -> Answer {
    client.send("PUT", path, &[JSON, ("If-Match", tag)], Some(body))
}

/// The rules come with the feed.
fn until(is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

fn allows(world: &World, workspace: &str) -> bool {
    world.rules.now().allowed.list.allows(&workspace.parse().unwrap())
}

fn rooms(world: &World) -> Option<u64> {
    let rules = world.rules.now();
    rules.limits.get("genomics").and_then(|limits| limits.sessions_max).map(Into::into)
}

#[test]
fn unset_is_all_a_list_is_only_those_and_an_empty_one_is_none() {
    let world = World::start();
    let mut client = world.client();
    let unset = client.get("/v1/workspaces");
    assert_eq!(unset.header("etag"), Some("\"0\""));
    assert_eq!(unset.json(), json!({ "allowed": null, "origin": "settings", "items": [] }));
    assert_eq!(client.create("").status, 201);

    let list = client.put("/v1/workspaces", r#"{"allowed":["imaging"," genomics ",""]}"#);
    assert_eq!(list.json()["allowed"], json!(["genomics", "imaging"]));
    assert_eq!((&list.json()["origin"], list.header("etag")), (&json!("api"), Some("\"2\"")));
    until(|| !allows(&world, "other"));
    assert_eq!(client.create("").status, 201);
    let other = client.create(r#""id":"x""#).json()["workspace"].clone();
    assert_eq!(other, "genomics");

    assert_eq!(client.put("/v1/workspaces", r#"{"allowed":[]}"#).json()["allowed"], json!([]));
    until(|| !allows(&world, "genomics"));
    client.create("").assert_problem(403, "workspace-not-allowed", &[]);
    // What is there can still be changed and ended.
    assert_eq!(client.patch("/v1/sessions/x", r#"{"state":"stopped"}"#).status, 200);

    assert_eq!(client.delete("/v1/workspaces").status, 204);
    assert_eq!(client.delete("/v1/workspaces").status, 204, "it is so already");
    until(|| allows(&world, "genomics"));
    assert_eq!(client.create("").status, 201);
    assert_eq!(client.put("/v1/workspaces", r#"{"allowed":null}"#).json()["allowed"], json!(null));
}

#[test]
fn the_list_changes_only_in_the_version_that_was_read() {
    let world = World::start();
    let mut client = world.client();
    let path = "/v1/workspaces";
    put_if(&mut client, path, "\"7\"", r#"{"allowed":[]}"#).assert_problem(
        412,
        "version-mismatch",
        &[],
    );
    assert_eq!(put_if(&mut client, path, "\"0\"", r#"{"allowed":["a"]}"#).status, 200);
    let again = put_if(&mut client, path, "\"0\"", r#"{"allowed":["b"]}"#);
    again.assert_problem(412, "version-mismatch", &[]);
    let tag = client.get(path).header("etag").unwrap().to_owned();
    assert_eq!(put_if(&mut client, path, &tag, r#"{"allowed":["c"]}"#).status, 200);
    let stale = client.send("DELETE", path, &[("If-Match", &tag)], None);
    stale.assert_problem(412, "version-mismatch", &[]);
    let tag = client.get(path).header("etag").unwrap().to_owned();
    assert_eq!(client.send("DELETE", path, &[("If-Match", &tag)], None).status, 204);
    assert_eq!(client.send("DELETE", path, &[("If-Match", "\"0\"")], None).status, 204);
}

#[test]
fn a_list_is_bounded_and_the_longest_one_fits() {
    let world = World::start();
    let mut client = world.client();
    let names = |count: usize| -> Value { (0..count).map(|n| format!("{n:0>128}")).collect() };
    let most = json!({ "allowed": names(limits::ALLOWED_WORKSPACES_MAX) }).to_string();
    let answer = client.put("/v1/workspaces", &most);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["allowed"].as_array().unwrap().len(), limits::ALLOWED_WORKSPACES_MAX);
    let more = json!({ "allowed": names(limits::ALLOWED_WORKSPACES_MAX + 1) }).to_string();
    client.put("/v1/workspaces", &more).assert_problem(422, "invalid-values", &["allowed"]);
    for (body, status) in
        [("{}", 400), (r#"{"allowed":"a"}"#, 400), (r#"{"allowed":["a b"]}"#, 422)]
    {
        let answer = client.put("/v1/workspaces", body);
        assert_eq!((answer.status, answer.problem().1), (status, vec!["allowed".to_owned()]));
    }
}

#[test]
fn a_workspace_at_its_limit_is_full_until_a_session_goes() {
    let world = World::start();
    let mut client = world.client();
    let put = client.put("/v1/workspaces/genomics", r#"{"sessions_max":2}"#);
    assert_eq!((put.status, &put.json()["sessions_max"]), (200, &json!(2)));
    until(|| rooms(&world) == Some(2));
    client.create(r#""id":"one""#);
    client.create(r#""id":"two""#);
    let full = client.create(r#""id":"three""#);
    full.assert_problem(429, "workspace-full", &[]);
    let seconds = limits::WORKSPACE_FULL_RETRY_AFTER.as_secs().to_string();
    assert_eq!(full.header("retry-after"), Some(seconds.as_str()));
    assert_eq!(client.patch("/v1/sessions/one", r#"{"state":"stopped"}"#).status, 200);
    client.delete("/v1/sessions/one");
    assert_eq!(client.create(r#""id":"three""#).status, 201);
    assert_eq!(client.delete("/v1/workspaces/genomics").status, 204);
    until(|| rooms(&world).is_none());
    assert_eq!(client.create(r#""id":"four""#).status, 201);
}

#[test]
fn limits_are_put_whole_read_and_taken_away() {
    let world = World::start();
    let mut client = world.client();
    let path = "/v1/workspaces/genomics";
    let none = client.get(path);
    assert_eq!((none.header("etag"), &none.json()["sessions_max"]), (Some("\"0\""), &Value::Null));
    client.delete(path).assert_problem(404, "unknown-name", &[]);
    let body = r#"{"connections_max":5,"bytes_per_second_max":1000}"#;
    assert_eq!(put_if(&mut client, path, "\"0\"", body).status, 200);
    put_if(&mut client, path, "\"0\"", body).assert_problem(412, "version-mismatch", &[]);
    assert_eq!(
        client.get("/v1/workspaces").json()["items"],
        json!([{
            "workspace": "genomics", "allowed": true, "sessions_max": null, "connections_max": 5,
            "requests_per_second_max": null, "bytes_per_second_max": 1000,
        }])
    );
    let less = client.put(path, r#"{"sessions_max":1}"#).json();
    assert_eq!((&less["sessions_max"], &less["connections_max"]), (&json!(1), &Value::Null));
    let stale = client.send("DELETE", path, &[("If-Match", "\"1\"")], None);
    stale.assert_problem(412, "version-mismatch", &[]);
    let tag = client.get(path).header("etag").unwrap().to_owned();
    assert_eq!(client.send("DELETE", path, &[("If-Match", &tag)], None).status, 204);
    client.put(path, r#"{"sessions_max":0,"connections_max":-1,"rooms":1}"#).assert_problem(
        400,
        "invalid-request",
        &["sessions_max", "connections_max", "rooms"],
    );
    let too_much = r#"{"sessions_max":9007199254740992}"#;
    client.put(path, too_much).assert_problem(422, "invalid-values", &["sessions_max"]);
    client.put("/v1/workspaces/a%20b", "{}").assert_problem(404, "unknown-name", &[]);
    assert_eq!(client.put("/v1/workspaces/a%2Fb", "{}").json()["workspace"], "a/b");
}
