//! `Idempotency-Key`: a creation that is sent again creates once.

use std::collections::BTreeSet;

use portico_core::limits;

use crate::world::{Answer, Client, World};

const BODY: &str =
    r#"{"workspace":"genomics","owner":"o","tool":"t","upstream":"http://10.0.0.7:80"}"#;
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn create(client: &mut Client, key: &str, body: &str) -> Answer {
    client.send("POST", "/v1/sessions", &[JSON, ("Idempotency-Key", key)], Some(body))
}

#[test]
fn the_same_again_answers_what_was_created() {
    let world = World::start();
    let mut client = world.client();
    let first = create(&mut client, "one", BODY);
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, None));
    let again = create(&mut client, "one", BODY);
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("location"), first.header("location"));
    // As it is now, not as it was.
    let path = first.header("location").unwrap();
    client.patch(path, r#"{"state":"stopped"}"#);
    let later = create(&mut client, "one", BODY);
    assert_eq!((&later.json()["state"], later.header("etag")), (&"stopped".into(), Some("\"2\"")));
    assert_eq!(client.get("/v1/sessions").json()["items"].as_array().unwrap().len(), 1);

    let other = create(&mut client, "one", &BODY.replace("\"t\"", "\"u\""));
    other.assert_problem(422, "idempotency-key-reused", &[]);
    client.delete(path);
    create(&mut client, "one", BODY).assert_problem(404, "unknown-session", &[]);
}

#[test]
fn a_refused_creation_can_be_sent_again() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"a""#);
    let body = BODY.replace('{', r#"{"id":"a","#);
    create(&mut client, "one", &body).assert_problem(409, "id-taken", &[]);
    client.delete("/v1/sessions/a");
    assert_eq!(create(&mut client, "one", &body).status, 201);
}

#[test]
fn two_callers_with_one_key_do_not_meet() {
    let world = World::start();
    let mut admin = world.client();
    let mut other = admin.make_token(&world, "other", r#""scopes":["sessions:write"]"#);
    let (one, two) = (create(&mut admin, "one", BODY), create(&mut other, "one", BODY));
    assert_eq!((one.status, two.status, two.header("idempotent-replayed")), (201, 201, None));
    assert_ne!(one.json()["id"], two.json()["id"]);
}

/// A key must not open what has the id by now to a token that cannot reach it.
#[test]
fn a_key_does_not_lead_into_another_workspace() {
    let world = World::start();
    let mut admin = world.client();
    let bounds = r#""scopes":["sessions:write"],"workspaces":["genomics"]"#;
    let mut bounded = admin.make_token(&world, "bounded", bounds);
    let body = BODY.replace('{', r#"{"id":"a","#);
    assert_eq!(create(&mut bounded, "one", &body).status, 201);
    admin.delete("/v1/sessions/a");
    admin.post("/v1/sessions", &body.replace("genomics", "imaging"));
    create(&mut bounded, "one", &body).assert_problem(404, "unknown-session", &[]);
}

#[test]
fn repetitions_at_the_same_time_create_one() {
    let world = World::start();
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let mut client = world.client();
                scope.spawn(move || {
                    let answer = create(&mut client, "one", BODY);
                    assert_eq!(answer.status, 201);
                    answer.json()["id"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        tasks.into_iter().map(|task| task.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1);
    assert_eq!(world.client().get("/v1/sessions").json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_key_is_refused() {
    let world = World::start();
    let mut client = world.client();
    let long = "x".repeat(limits::IDEMPOTENCY_KEY_BYTES_MAX + 1);
    for key in ["", &long] {
        create(&mut client, key, BODY).assert_problem(400, "invalid-request", &[]);
    }
    let twice = [JSON, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    let answer = client.send("POST", "/v1/sessions", &twice, Some(BODY));
    answer.assert_problem(400, "invalid-request", &[]);
}
