//! Many sessions in one request.

use portico_core::limits;
use serde_json::{Value, json};

use crate::world::World;

fn draft(id: &str) -> Value {
    json!({
        "id": id, "workspace": "genomics", "owner": "o", "tool": "t",
        "upstream": "http://10.0.0.7:80",
    })
}

#[test]
fn each_has_its_own_outcome_in_its_place() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"old""#);
    client.create(r#""id":"stays""#);
    let body = json!({
        "create": [draft("new"), draft("stays"), {"id": "x"}, "rubbish", draft("old")],
        "delete": ["old", "none", 7, "-"],
    });
    let answer = client.post("/v1/bulk/sessions", &body.to_string());
    assert_eq!(answer.status, 200);
    let outcomes = answer.json();
    let told = |list: &str| -> Vec<(u64, String)> {
        let outcomes = outcomes[list].as_array().unwrap().iter();
        let kind = |outcome: &Value| outcome["problem"]["type"].as_str().unwrap_or("").to_owned();
        outcomes.map(|o| (o["status"].as_u64().unwrap(), kind(o))).collect()
    };
    let problem = |status, kind: &str| (status, format!("/problems/{kind}"));
    assert_eq!(
        told("deleted"),
        [
            (204, String::new()),
            problem(404, "unknown-session"),
            problem(404, "unknown-session"),
            problem(404, "unknown-session"),
        ]
    );
    // What was deleted is free for what is created.
    assert_eq!(
        told("created"),
        [
            (201, String::new()),
            problem(409, "id-taken"),
            problem(400, "invalid-request"),
            problem(400, "malformed-body"),
            (201, String::new()),
        ]
    );
    assert_eq!(outcomes["created"][2]["problem"]["errors"].as_array().unwrap().len(), 4);
    assert_eq!(client.get("/v1/sessions").json()["items"].as_array().unwrap().len(), 3);
}

#[test]
fn a_whole_page_of_each_is_taken_and_no_more() {
    let world = World::start();
    let mut client = world.client();
    let drafts = |count: usize| (0..count).map(|n| draft(&format!("s{n}"))).collect::<Value>();
    let body = json!({ "create": drafts(limits::BULK_ITEMS_MAX) }).to_string();
    let outcomes = client.post("/v1/bulk/sessions", &body).json();
    let created = outcomes["created"].as_array().unwrap();
    assert!(created.iter().all(|outcome| outcome["status"] == 201));
    assert_eq!(created[7]["session"]["id"], "s7");
    let ids: Value = (0..limits::BULK_ITEMS_MAX).map(|n| format!("s{n}")).collect();
    let outcomes = client.post("/v1/bulk/sessions", &json!({ "delete": ids }).to_string()).json();
    assert!(outcomes["deleted"].as_array().unwrap().iter().all(|o| o["status"] == 204));
    assert_eq!(client.get("/v1/sessions").json()["items"], json!([]));

    let more = json!({ "create": drafts(limits::BULK_ITEMS_MAX + 1), "delete": "x", "put": [] });
    client.post("/v1/bulk/sessions", &more.to_string()).assert_problem(
        400,
        "invalid-request",
        &["create", "delete", "put"],
    );
    let large = " ".repeat(limits::BULK_BODY_BYTES_MAX + 1);
    world.client().post("/v1/bulk/sessions", &large).assert_problem(413, "large-body", &[]);
    let empty = client.post("/v1/bulk/sessions", "{}").json();
    assert_eq!(empty, json!({ "created": [], "deleted": [] }));
}
