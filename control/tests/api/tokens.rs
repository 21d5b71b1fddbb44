//! The life of tokens: made, exchanged, revoked, over; and those who guess.

use portico_core::limits;
use serde_json::json;

use crate::world::World;

#[test]
fn a_secret_is_shown_once_and_nowhere_again() {
    let world = World::start();
    let mut admin = world.client();
    let made = admin.post(
        "/v1/tokens",
        r#"{"name":"what?#%2F","scopes":["sessions:write","admin"],"workspaces":["a","b"],
            "expires_in_seconds":60}"#,
    );
    assert_eq!((made.status, made.header("location")), (201, Some("/v1/tokens/what%3F%23%252F")));
    let secret = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 64);
    let path = made.header("location").unwrap().to_owned();
    let read = admin.get(&path);
    assert_eq!(read.status, 200);
    let mut token = read.json();
    assert!(token["created_at"].take().is_string() && token["expires_at"].take().is_string());
    assert_eq!(
        token,
        json!({
            "name": "what?#%2F", "scopes": ["sessions:write", "admin"], "workspaces": ["a", "b"],
            "created_at": null, "rotated_at": null, "expires_at": null,
        })
    );
    for path in ["/v1/tokens", &path, "/v1/audit"] {
        let text = String::from_utf8(admin.get(path).body).unwrap();
        assert!(!text.contains(&secret) && text.contains("what?#%2F"), "{path}: {text}");
    }
    admin.post("/v1/tokens", r#"{"name":"what?#%2F","scopes":["admin"]}"#).assert_problem(
        409,
        "exists",
        &[],
    );
}

#[test]
fn an_exchanged_secret_opens_nothing_and_the_new_one_does() {
    let world = World::start();
    let mut admin = world.client();
    let made = admin.post("/v1/tokens", r#"{"name":"a","scopes":["sessions:read"]}"#).json();
    let old = made["token"].as_str().unwrap();
    world.until_token(old, true);
    let rotated = admin.send("POST", "/v1/tokens/a/rotate", &[], None);
    assert_eq!(rotated.status, 200);
    let new = rotated.json()["token"].as_str().unwrap().to_owned();
    assert!(rotated.json()["rotated_at"].is_string() && new != old);
    world.until_token(old, false);
    world.client_with(Some(old)).get("/v1/sessions").assert_problem(401, "wrong-token", &[]);
    assert_eq!(world.client_with(Some(&new)).get("/v1/sessions").status, 200);

    assert_eq!(admin.delete("/v1/tokens/a").status, 204);
    world.until_token(&new, false);
    world.client_with(Some(&new)).get("/v1/sessions").assert_problem(401, "wrong-token", &[]);
    for answer in [
        admin.get("/v1/tokens/a"),
        admin.delete("/v1/tokens/a"),
        admin.send("POST", "/v1/tokens/a/rotate", &[], None),
    ] {
        answer.assert_problem(404, "unknown-name", &[]);
    }
}

#[test]
fn a_token_that_is_over_opens_nothing() {
    let world = World::start();
    let mut admin = world.client();
    let made = admin.post(
        "/v1/tokens",
        r#"{"name":"short","scopes":["sessions:read"],"expires_in_seconds":1}"#,
    );
    let secret = made.json()["token"].as_str().unwrap().to_owned();
    world.until_token(&secret, true);
    let mut client = world.client_with(Some(&secret));
    assert_eq!(client.get("/v1/sessions").status, 200);
    let ends_at = made.json()["expires_at"].as_str().unwrap().to_owned();
    let ends_at = humantime::parse_rfc3339(&ends_at).unwrap();
    while std::time::SystemTime::now() < ends_at {
        std::thread::yield_now();
    }
    client.get("/v1/sessions").assert_problem(401, "wrong-token", &[]);
    assert_eq!(admin.get("/v1/tokens/short").status, 200, "it is still there to be seen");
}

#[test]
fn what_a_token_must_not_be_is_told_all_at_once() {
    let world = World::start();
    let mut admin = world.client();
    admin
        .post("/v1/tokens", r#"{"name":"a b","scopes":[],"expires_in_seconds":0}"#)
        .assert_problem(422, "invalid-values", &["name", "scopes", "expires_in_seconds"]);
    admin.post("/v1/tokens", r#"{"scopes":["all"],"workspaces":"a","secret":"x"}"#).assert_problem(
        400,
        "invalid-request",
        &["name", "scopes", "workspaces", "secret"],
    );
}

#[test]
fn who_guesses_is_not_listened_to_for_a_while() {
    let world = World::start();
    let mut guesser = world.client_with(Some("0123456789abcdef-guess"));
    for _ in 0..limits::LOGIN_FAILURES_MAX {
        guesser.get("/v1/sessions").assert_problem(401, "wrong-token", &[]);
    }
    let answer = guesser.get("/v1/sessions");
    answer.assert_problem(429, "too-many-failures", &[]);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=limits::LOGIN_FAILURE_COST.as_secs()).contains(&seconds), "{seconds}");
    // By address: a right token from the same place has to wait as well.
    world.client().get("/v1/sessions").assert_problem(429, "too-many-failures", &[]);
    // What is open to everybody stays so.
    assert_eq!(guesser.get("/v1/docs").status, 200);
}

#[test]
fn who_sends_no_token_is_no_guesser() {
    let world = World::start();
    let mut nobody = world.client_with(None);
    for _ in 0..limits::LOGIN_FAILURES_MAX * 2 {
        nobody.get("/v1/sessions").assert_problem(401, "unauthorized", &[]);
    }
}
