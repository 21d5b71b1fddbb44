//! Who may open a session: as it is given, changed, told and written down.

use serde_json::{Value, json};

use crate::world::World;

#[test]
fn a_session_says_whom_it_lets_in() {
    let world = World::start();
    let mut client = world.client();
    let default = client.create(r#""id":"zero","access":null,"allowed_users":null"#).json();
    assert_eq!(of(&default), json!(["private", []]));
    let named = r#""id":"one","access":"users","allowed_users":["eve","bob","eve"]"#;
    assert_eq!(of(&client.create(named).json()), json!(["users", ["bob", "eve"]]));
    let mut change = |body: &str| {
        let answer = client.patch("/v1/sessions/one", body);
        assert_eq!(answer.status, 200, "{answer:?}");
        of(&answer.json())
    };
    assert_eq!(change(r#"{"access":"workspace"}"#), json!(["workspace", ["bob", "eve"]]));
    assert_eq!(change(r#"{"allowed_users":["bob","dan"]}"#), json!(["workspace", ["bob", "dan"]]));
    assert_eq!(change(r#"{"allowed_users":[]}"#), json!(["workspace", []]));
    assert_eq!(change(r#"{"allowed_users":["bob"]}"#), json!(["workspace", ["bob"]]));
    assert_eq!(change(r#"{"allowed_users":null}"#), json!(["workspace", []]));
    assert_eq!(of(&client.get("/v1/sessions/one").json()), json!(["workspace", []]));
}

#[test]
fn who_is_let_in_is_written_down() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one","allowed_users":["eve","ada"]"#);
    let change = r#"{"access":"users","allowed_users":["ada","bob"],"strip_prefix":true}"#;
    client.patch("/v1/sessions/one", change);
    let items = client.get("/v1/audit").json()["items"].clone();
    assert_eq!(
        items[1]["detail"],
        "access private to users, allowed_users +bob -eve, strip_prefix"
    );
}

#[test]
fn who_is_let_in_must_be_of_the_known_words_and_bounded() {
    let world = World::start();
    let mut client = world.client();
    let public = client.create(r#""access":"public""#);
    public.assert_problem(422, "invalid-values", &["access"]);
    assert!(public.json()["detail"].as_str().unwrap().contains("access.public_sessions"));
    client.create(r#""id":"one""#);
    let mut wrong = |status, kind, body: &str, fields: &[&str]| {
        client.patch("/v1/sessions/one", body).assert_problem(status, kind, fields);
    };
    wrong(422, "invalid-values", r#"{"access":"public"}"#, &["access"]);
    wrong(422, "invalid-values", r#"{"access":"open"}"#, &["access"]);
    wrong(400, "invalid-request", r#"{"access":null}"#, &["access"]);
    wrong(422, "invalid-values", r#"{"allowed_users":["a b"]}"#, &["allowed_users"]);
    wrong(400, "invalid-request", r#"{"allowed_users":"bob"}"#, &["allowed_users"]);
    let many: Vec<_> = (0..101).map(|number| format!("user-{number}")).collect();
    let many = json!({ "allowed_users": many }).to_string();
    wrong(422, "invalid-values", &many, &["allowed_users"]);
}

#[test]
fn the_settings_say_what_a_session_is_without_a_word_and_whether_it_may_be_public() {
    let world = World::with(|settings| {
        settings.default_policy = "workspace".parse().unwrap();
        settings.public_sessions = true;
    });
    let mut client = world.client();
    assert_eq!(client.create("").json()["access"], "workspace");
    assert_eq!(client.create(r#""access":"public""#).json()["access"], "public");
}

fn of(session: &Value) -> Value {
    json!([session["access"], session["allowed_users"]])
}
