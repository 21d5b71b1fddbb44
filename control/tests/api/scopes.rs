//! What a token may do, operation by operation, and where.

use serde_json::json;

use crate::document::operations;
use crate::world::{Client, World};

const SCOPES: [&str; 6] =
    ["sessions:read", "sessions:write", "tickets:write", "workspaces:write", "usage:read", "admin"];

fn with_scope(world: &World, scope: &str) -> Client {
    world.client().make_token(world, &scope.replace(':', "-"), &format!(r#""scopes":["{scope}"]"#))
}

/// A scope to write includes the one to read, and `admin` all.
fn grants(held: &str, needed: &str) -> bool {
    let included = ["sessions:read", "tickets:write"];
    held == needed || held == "admin" || (held == "sessions:write" && included.contains(&needed))
}

#[test]
fn every_operation_wants_one_of_its_scopes_before_it_reads_anything() {
    let world = World::start();
    for held in SCOPES {
        let mut client = with_scope(&world, held);
        for (method, path, about) in operations() {
            let alternatives = about["security"].as_array().unwrap();
            let mut needed = alternatives.iter().map(|one| one["bearer"][0].as_str().unwrap());
            // A stream does not end; that it refuses is seen before it begins.
            let granted = alternatives.is_empty() || needed.any(|needed| grants(held, needed));
            if granted && path == "/v1/events" {
                continue;
            }
            let path = path.replace(['{', '}'], "");
            let answer = client.send(&method, &path, &[], None);
            if granted {
                let kind = if answer.status < 400 { String::new() } else { answer.problem().0 };
                assert_ne!(kind, "missing-scope", "{held}: {method} {path}");
            } else {
                answer.assert_problem(403, "missing-scope", &[]);
            }
        }
    }
}

#[test]
fn a_bounded_token_sees_and_changes_only_its_own() {
    let world = World::start();
    let mut admin = world.client();
    let bounds = r#""scopes":["sessions:write","workspaces:write"],"workspaces":["imaging"]"#;
    let mut bounded = admin.make_token(&world, "imaging", bounds);
    admin.create(r#""id":"other""#);
    let body =
        r#"{"workspace":"imaging","owner":"o","tool":"t","upstream":"http://10.0.0.7","id":"own"}"#;
    assert_eq!(bounded.post("/v1/sessions", body).status, 201);
    bounded.create("").assert_problem(403, "workspace-out-of-bounds", &[]);

    let list = bounded.get("/v1/sessions").json();
    assert_eq!(
        (list["items"].as_array().unwrap().len(), &list["items"][0]["id"]),
        (1, &json!("own"))
    );
    assert_eq!(bounded.get("/v1/sessions?workspace=genomics").json()["items"], json!([]));
    bounded.get("/v1/sessions/other").assert_problem(404, "unknown-session", &[]);
    bounded.patch("/v1/sessions/other", "{}").assert_problem(404, "unknown-session", &[]);
    bounded.delete("/v1/sessions/other").assert_problem(404, "unknown-session", &[]);
    assert_eq!(admin.get("/v1/sessions/other").status, 200);

    let bulk = bounded.post("/v1/bulk/sessions", r#"{"delete":["other","own"]}"#).json();
    assert_eq!(bulk["deleted"][0]["problem"]["type"], "/problems/unknown-session");
    assert_eq!(bulk["deleted"][1], json!({ "status": 204 }));
    assert_eq!(admin.get("/v1/sessions/other").status, 200);
}

#[test]
fn what_concerns_all_workspaces_is_not_for_a_bounded_token() {
    let world = World::start();
    let mut admin = world.client();
    let bounds = r#""scopes":["admin"],"workspaces":["imaging"]"#;
    let mut bounded = admin.make_token(&world, "imaging", bounds);
    let template = r#"{"tool":"t","repository":"a/b"}"#;
    let token = r#"{"name":"more","scopes":["admin"]}"#;
    for answer in [
        bounded.put("/v1/workspaces", r#"{"allowed":null}"#),
        bounded.delete("/v1/workspaces"),
        bounded.get("/v1/workspaces/genomics"),
        bounded.put("/v1/workspaces/genomics", "{}"),
        bounded.delete("/v1/workspaces/genomics"),
        bounded.put("/v1/templates/new", template),
        bounded.delete("/v1/templates/new"),
        bounded.get("/v1/tokens"),
        bounded.post("/v1/tokens", token),
        bounded.get("/v1/tokens/imaging"),
        bounded.delete("/v1/tokens/imaging"),
        bounded.send("POST", "/v1/tokens/imaging/rotate", &[], None),
        bounded.get("/v1/audit"),
        bounded.get("/v1/access/keys"),
        bounded.send("POST", "/v1/access/keys", &[], None),
        bounded.post("/v1/access/revocations", r#"{"user":"bob"}"#),
    ] {
        answer.assert_problem(403, "workspace-out-of-bounds", &[]);
    }
    assert_eq!(bounded.put("/v1/workspaces/imaging", r#"{"sessions_max":1}"#).status, 200);
    admin.put("/v1/workspaces/genomics", r#"{"sessions_max":1}"#);
    admin.put("/v1/workspaces", r#"{"allowed":["genomics","imaging"]}"#);
    let seen = bounded.get("/v1/workspaces").json();
    assert_eq!(seen["allowed"], json!(["imaging"]));
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
}

/// Without `If-Match` nobody is told of versions, also where a bound makes Portico look at them.
#[test]
fn a_bounded_deletion_that_others_overtake_is_done() {
    let world = World::start();
    let mut admin = world.client();
    let bounds = r#""scopes":["sessions:write"],"workspaces":["genomics"]"#;
    let mut bounded = admin.make_token(&world, "bounded", bounds);
    for round in 0..20 {
        let path = format!("/v1/sessions/s{round}");
        admin.create(&format!(r#""id":"s{round}""#));
        let mut changing = world.client();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let change = |strip| format!(r#"{{"strip_prefix":{strip}}}"#);
                // Bounded, so that a deletion that is refused fails the test and does not hang it.
                for turn in 0..100 {
                    if changing.patch(&path, &change(turn % 2 == 0)).status != 200 {
                        break;
                    }
                }
            });
            assert_eq!(bounded.delete(&path).status, 204);
        });
    }
}

/// The API cannot give a name under which somebody else's work would be written down.
#[test]
fn the_names_that_portico_uses_itself_are_not_given() {
    let world = World::start();
    for name in ["settings", "portico", "a/b"] {
        let body = format!(r#"{{"name":"{name}","scopes":["admin"]}}"#);
        world.client().post("/v1/tokens", &body).assert_problem(422, "invalid-values", &["name"]);
    }
}
