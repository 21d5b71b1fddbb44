//! Lists of sessions: filters, cursors while others come and go, lifespans.

use std::collections::BTreeSet;
use std::time::Duration;

use portico_core::limits;
use serde_json::{Value, json};

use crate::world::{Client, World};

fn ids(client: &mut Client, query: &str) -> Vec<String> {
    let answer = client.get(&format!("/v1/sessions{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    of_page(&answer.json())
}

fn of_page(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn add(client: &mut Client, id: &str, owner: &str, tool: &str, labels: &str) {
    let body = format!(
        r#"{{"id":"{id}","workspace":"w","owner":"{owner}","tool":"{tool}",
            "upstream":"http://10.0.0.7","labels":{labels}}}"#
    );
    let answer = client.post("/v1/sessions", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn filters_are_met_all_at_once() {
    let world = World::start();
    let mut client = world.client();
    add(&mut client, "a", "ada", "jupyter", r#"{"team":"imaging","stage":"test"}"#);
    add(&mut client, "b", "ada", "vscode", r#"{"team":"imaging"}"#);
    add(&mut client, "c", "bob", "jupyter", r#"{"team":"genomics","note":"x=y"}"#);
    assert_eq!(ids(&mut client, "?owner=ada"), ["a", "b"]);
    assert_eq!(ids(&mut client, "?tool=jupyter"), ["a", "c"]);
    assert_eq!(ids(&mut client, "?owner=ada&tool=jupyter&workspace=w&state=running"), ["a"]);
    assert_eq!(ids(&mut client, "?labels=team=imaging"), ["a", "b"]);
    assert_eq!(ids(&mut client, "?labels=team%3Dimaging%2Cstage%3Dtest"), ["a"]);
    assert_eq!(ids(&mut client, "?labels=note=x=y"), ["c"]);
    assert_eq!(ids(&mut client, "?labels=team=imaging&owner=bob"), [""; 0]);
    for wrong in ["team", "team=a,team=b", "a%20b=c", ""] {
        let answer = client.get(&format!("/v1/sessions?labels={wrong}"));
        answer.assert_problem(422, "invalid-values", &["labels"]);
    }
    client.get("/v1/sessions?limit=%2B5").assert_problem(422, "invalid-values", &["limit"]);
}

#[test]
fn pages_are_whole_while_sessions_come_and_go() {
    let world = World::start();
    let mut client = world.client();
    let steady: BTreeSet<String> = (0..30).map(|number| format!("s{number:02}")).collect();
    for id in &steady {
        add(&mut client, id, "ada", "jupyter", "{}");
    }
    add(&mut client, "s00-gone", "ada", "jupyter", "{}");
    let (mut seen, mut cursor) = (Vec::new(), Some("?limit=4".to_owned()));
    let mut round = 0;
    while let Some(query) = cursor {
        let page = client.get(&format!("/v1/sessions{query}")).json();
        seen.extend(of_page(&page));
        cursor = page["next_cursor"].as_str().map(|next| format!("?limit=4&cursor={next}"));
        // One behind, one before, and the one that the cursor names.
        add(&mut client, &format!("s{round:02}-new"), "ada", "jupyter", "{}");
        add(&mut client, &format!("a{round:02}-new"), "ada", "jupyter", "{}");
        if let Some(next) = page["next_cursor"].as_str().filter(|next| !steady.contains(*next)) {
            assert_eq!(client.delete(&format!("/v1/sessions/{next}")).status, 204);
        }
        round += 1;
        assert!(round < 40, "it ends");
    }
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(distinct.len(), seen.len(), "none twice");
    assert!(distinct.is_superset(&steady), "none left out");
}

#[test]
fn a_lifespan_counts_from_where_it_was_given() {
    let world = World::start();
    let mut client = world.client();
    let made = client.create(r#""id":"one","lifespan_seconds":3600"#).json();
    let time = |value: &Value| humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(time(&made["expires_at"]), time(&made["created_at"]) + hour);
    let longer = client.patch("/v1/sessions/one", r#"{"lifespan_seconds":7200}"#).json();
    assert_eq!(time(&longer["expires_at"]), time(&longer["changed_at"]) + hour * 2);
    for none in ["0", "null"] {
        client.patch("/v1/sessions/one", r#"{"lifespan_seconds":7200}"#);
        let body = format!(r#"{{"lifespan_seconds":{none}}}"#);
        let without = client.patch("/v1/sessions/one", &body).json();
        assert_eq!(
            (&without["lifespan_seconds"], &without["expires_at"]),
            (&json!(0), &Value::Null)
        );
    }
    // JSON has one kind of numbers.
    let whole = client.patch("/v1/sessions/one", r#"{"lifespan_seconds":3.6e3}"#).json();
    assert_eq!(whole["lifespan_seconds"], 3600);
    let most = limits::LIFESPAN_SECONDS_MAX;
    assert_eq!(client.create(&format!(r#""lifespan_seconds":{most}"#)).status, 201);
    for wrong in [format!("{}", most + 1), u64::MAX.to_string()] {
        let answer = client.create(&format!(r#""lifespan_seconds":{wrong}"#));
        answer.assert_problem(422, "invalid-values", &["lifespan_seconds"]);
    }
    for wrong in ["-1", "1.5", "1e300", "\"1\""] {
        let answer = client.create(&format!(r#""lifespan_seconds":{wrong}"#));
        answer.assert_problem(400, "invalid-request", &["lifespan_seconds"]);
    }
}

#[test]
fn a_step_that_cannot_be_is_refused_with_those_that_can() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one","state":"stopped""#);
    let answer = client.patch("/v1/sessions/one", r#"{"state":"running"}"#);
    answer.assert_problem(409, "illegal-state", &[]);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("building, starting"), "{detail}");
    assert_eq!(client.patch("/v1/sessions/one", r#"{"state":"starting"}"#).status, 200);
    assert_eq!(client.patch("/v1/sessions/one", r#"{"state":"running"}"#).status, 200);
}

#[test]
fn an_idle_timeout_is_given_changed_and_taken_away() {
    let world = World::start();
    let mut client = world.client();
    let made = client.create(r#""id":"one","idle_timeout_seconds":7200"#).json();
    assert_eq!((&made["idle_timeout_seconds"], &made["idle_since"]), (&json!(7200), &Value::Null));
    let mut patched = |body: &str| client.patch("/v1/sessions/one", body).json();
    assert_eq!(patched(r#"{"idle_timeout_seconds":60}"#)["idle_timeout_seconds"], 60);
    assert_eq!(patched(r#"{"state":"stopping"}"#)["idle_timeout_seconds"], 60);
    assert_eq!(patched(r#"{"idle_timeout_seconds":null}"#)["idle_timeout_seconds"], 0);
    for wrong in ["1", "59", "2592001"] {
        let answer = client.create(&format!(r#""idle_timeout_seconds":{wrong}"#));
        answer.assert_problem(422, "invalid-values", &["idle_timeout_seconds"]);
    }
    let told = client.patch("/v1/sessions/one", r#"{"idle_since":null}"#);
    told.assert_problem(400, "invalid-request", &["idle_since"]);
}
