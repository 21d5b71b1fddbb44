//! The life of sessions: created, read, listed, changed, deleted.

use serde_json::json;

use crate::world::World;

#[test]
fn a_session_is_created_with_all_its_fields() {
    let world = World::start();
    let mut client = world.client();
    let answer = client.create(
        r#""id":"3e8370e7","label":"My-Tool","state":"starting","reason":"pulling the image",
           "routing":["path"],"host_header":"upstream","strip_prefix":true"#,
    );
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), Some("/v1/sessions/3e8370e7"));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut session = answer.json();
    let created_at = session["created_at"].take();
    assert_eq!(session["changed_at"].take(), created_at);
    humantime::parse_rfc3339(created_at.as_str().unwrap()).unwrap();
    assert_eq!(
        session,
        json!({
            "id": "3e8370e7", "version": 1, "label": "my-tool", "workspace": "genomics",
            "owner": "ada@example.com", "tool": "jupyter", "upstream": "http://10.0.0.7:8888",
            "state": "starting", "reason": "pulling the image", "routing": ["path"],
            "host_header": "upstream", "strip_prefix": true,
            "access": "private", "allowed_users": [],
            "image": null, "labels": {}, "lifespan_seconds": 0, "expires_at": null,
            "idle_timeout_seconds": 0, "idle_since": null,
            "urls": {"path": "https://connect.example.com/_studio/my-tool/"},
            "created_at": null, "changed_at": null,
        })
    );
    let read = client.get("/v1/sessions/3e8370e7");
    assert_eq!((read.status, read.header("etag")), (200, Some("\"1\"")));
    assert_eq!(read.body, answer.body);
    assert_eq!(client.send("HEAD", "/v1/sessions/3e8370e7", &[], None).status, 200);
}

#[test]
fn what_is_left_out_has_a_default() {
    let world = World::start();
    let session = world.client().create(r#""reason":null,"label":null,"id":null"#).json();
    let id = session["id"].as_str().unwrap();
    assert!(id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(session["label"], format!("a{id}"));
    assert_eq!(session["state"], "running");
    assert_eq!(session["reason"], json!(null));
    assert_eq!(session["routing"], json!(["subdomain", "path"]));
    assert_eq!(
        (&session["host_header"], &session["strip_prefix"]),
        (&json!("preserve"), &json!(false))
    );
    assert_eq!(
        session["urls"],
        json!({
            "subdomain": format!("https://a{id}.example.com/"),
            "path": format!("https://connect.example.com/_studio/a{id}/"),
        })
    );
}

#[test]
fn lists_are_paged_and_filtered() {
    let world = World::start();
    let mut client = world.client();
    for number in 0..7 {
        let state = if number % 2 == 0 { "running" } else { "stopped" };
        let answer = client.create(&format!(r#""id":"s{number}","state":"{state}""#));
        assert_eq!(answer.status, 201);
    }
    let mut ids = |query: &str| -> (Vec<String>, Option<String>) {
        let page = client.get(&format!("/v1/sessions{query}")).json();
        let items = page["items"].as_array().unwrap().iter();
        let ids = items.map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        (ids, page["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(ids("").0.len(), 7);
    let (first, cursor) = ids("?limit=4");
    assert_eq!(first, ["s0", "s1", "s2", "s3"]);
    let (second, end) = ids(&format!("?limit=4&cursor={}", cursor.unwrap()));
    assert_eq!((second, end), (vec!["s4".to_owned(), "s5".to_owned(), "s6".to_owned()], None));
    assert_eq!(ids("?state=stopped").0, ["s1", "s3", "s5"]);
    assert_eq!(ids("?workspace=genomics&state=stopped&limit=1").0, ["s1"]);
    assert_eq!(ids("?workspace=other"), (vec![], None));
}

#[test]
fn a_change_takes_what_it_names_and_leaves_the_rest() {
    let world = World::start();
    let mut client = world.client();
    let before = client.create(r#""id":"one","state":"starting","reason":"pulling""#).json();
    let answer = client.patch("/v1/sessions/one", r#"{"state":"running"}"#);
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
    let after = answer.json();
    assert_eq!((&after["state"], &after["reason"]), (&json!("running"), &json!(null)));
    assert_eq!(after["created_at"], before["created_at"]);

    let answer = client.patch(
        "/v1/sessions/one",
        r#"{"upstream":"http://10.0.0.8:80","host_header":"upstream","strip_prefix":true,
            "routing":["subdomain"],"state":"errored","reason":"out of memory"}"#,
    );
    let after = answer.json();
    assert_eq!(after["upstream"], "http://10.0.0.8:80");
    assert_eq!(after["urls"], json!({"subdomain": "https://aone.example.com/"}));
    assert_eq!((&after["state"], &after["reason"]), (&json!("errored"), &json!("out of memory")));
    assert_eq!(client.get("/v1/sessions/one").json(), after);

    // The same again changes nothing, and null takes a reason away.
    let same = client.patch("/v1/sessions/one", r#"{"reason":"out of memory"}"#);
    assert_eq!(same.header("etag"), Some("\"3\""));
    let none = client.patch("/v1/sessions/one", r#"{"reason":null}"#);
    assert_eq!((none.header("etag"), &none.json()["reason"]), (Some("\"4\""), &json!(null)));
}

#[test]
fn a_deleted_session_is_gone_and_can_be_created_again() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    let deleted = client.delete("/v1/sessions/one");
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    client.delete("/v1/sessions/one").assert_problem(404, "unknown-session", &[]);
    client.get("/v1/sessions/one").assert_problem(404, "unknown-session", &[]);
    client.patch("/v1/sessions/one", "{}").assert_problem(404, "unknown-session", &[]);
    let again = client.create(r#""id":"one""#);
    assert_eq!((again.status, again.header("etag")), (201, Some("\"3\"")));
}

#[test]
fn if_match_guards_a_change_and_a_deletion() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    let json = ("Content-Type", "application/merge-patch+json");
    let mut patch = |tag: &str, body: &str| {
        client.send("PATCH", "/v1/sessions/one", &[json, ("If-Match", tag)], Some(body))
    };
    assert_eq!(patch("\"1\"", r#"{"state":"stopped"}"#).status, 200);
    patch("\"1\"", r#"{"state":"running"}"#).assert_problem(412, "version-mismatch", &[]);
    patch("W/\"2\"", r#"{"state":"running"}"#).assert_problem(412, "version-mismatch", &[]);
    patch("rubbish", r#"{"state":"running"}"#).assert_problem(412, "version-mismatch", &[]);
    assert_eq!(patch("\"9\", \"2\"", r#"{"state":"starting"}"#).status, 200);
    assert_eq!(patch("*", r#"{"state":"stopped"}"#).status, 200);
    let mut delete = |tag| client.send("DELETE", "/v1/sessions/one", &[("If-Match", tag)], None);
    delete("\"1\"").assert_problem(412, "version-mismatch", &[]);
    assert_eq!(delete("\"4\"").status, 204);
}

#[test]
fn changes_at_the_same_time_are_all_made() {
    let world = World::start();
    world.client().create(r#""id":"one""#);
    std::thread::scope(|scope| {
        for field in [r#""state":"stopped""#, r#""strip_prefix":true"#, r#""routing":["path"]"#] {
            let mut client = world.client();
            scope.spawn(move || {
                assert_eq!(client.patch("/v1/sessions/one", &format!("{{{field}}}")).status, 200);
            });
        }
    });
    let after = world.client().get("/v1/sessions/one").json();
    assert_eq!(
        (&after["state"], &after["strip_prefix"], &after["routing"]),
        (&json!("stopped"), &json!(true), &json!(["path"]))
    );
}
