//! Tickets, the keys that sign them, and taking back what came of them.

use std::time::{Duration, Instant};

use portico_core::access::{Invalid, Ticket};
use portico_core::session::Timestamp;
use serde_json::{Value, json};

use crate::world::{Answer, Client, World};

const TICKETS: &str = "/v1/sessions/one/tickets";

/// With a key that has come, and a session.
fn world() -> (World, Client) {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one","label":"lab""#).json();
    let key = client.send("POST", "/v1/access/keys", &[], None);
    assert_eq!((key.status, &key.json()["id"]), (201, &json!(1)));
    until(|| world.access.load().keys.iter().next().is_some());
    (world, client)
}

fn until(is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(now.as_millis() as u64)
}

fn verified(world: &World, answer: &Answer) -> Result<Ticket, Invalid> {
    let token = answer.json()["ticket"].as_str().unwrap().to_owned();
    Ticket::verify(token.as_bytes(), &world.access.load(), now())
}

#[test]
fn a_ticket_lets_one_user_into_one_session() {
    let (world, mut client) = world();
    let body = r#"{"user":"bob","to":"/lab?x=1","member":true,"expires_in_seconds":30}"#;
    let answer = client.post(TICKETS, body);
    assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")));
    let ticket = verified(&world, &answer).unwrap();
    assert_eq!((ticket.user.as_str(), ticket.session.as_str()), ("bob", "one"));
    assert_eq!((&*ticket.to, ticket.member, ticket.recheck), ("/lab?x=1", true, false));
    assert_eq!(ticket.expires_at.since(ticket.issued_at), Duration::from_secs(30));
    assert_eq!(ticket.until.since(ticket.issued_at), Duration::from_secs(12 * 60 * 60));
    assert_eq!((ticket.binding, ticket.login.at), (None, ticket.issued_at));
    let token = answer.json()["ticket"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.json()["urls"],
        json!({
            "subdomain": format!("https://lab.example.com/_portico/open?ticket={token}"),
            "path":
                format!("https://connect.example.com/_portico/open?session=lab&ticket={token}"),
        })
    );

    client.patch("/v1/sessions/one", r#"{"routing":["path"]}"#);
    let answer = client.post(TICKETS, r#"{"user":"ada","to":null}"#);
    let plain = verified(&world, &answer).unwrap();
    assert_eq!((&*plain.to, plain.member), ("/", false));
    assert_eq!(plain.expires_at.since(plain.issued_at), Duration::from_secs(60));
    assert_ne!((plain.id, plain.login.id), (ticket.id, ticket.login.id));
    assert!(answer.json()["urls"].get("subdomain").is_none());

    let log = client.get("/v1/audit");
    let items = log.json()["items"].clone();
    let record = items.as_array().unwrap().iter().find(|item| item["action"] == "ticket.created");
    let record = record.unwrap();
    assert_eq!(
        json!([record["subject"], record["workspace"], record["detail"]]),
        json!(["sessions/one", "genomics", "for bob"])
    );
    assert!(!String::from_utf8(log.body).unwrap().contains(&token));
}

#[test]
fn what_a_ticket_must_not_be_is_told_all_at_once() {
    let (_world, mut client) = world();
    client.post(TICKETS, "{}").assert_problem(400, "invalid-request", &["user"]);
    let wrong = r#"{"user":"a b","to":"lab","member":"yes","expires_in_seconds":61,"for":"ever"}"#;
    let fields = ["user", "to", "member", "expires_in_seconds", "for"];
    client.post(TICKETS, wrong).assert_problem(400, "invalid-request", &fields);
    for seconds in [0, 61] {
        let body = json!({ "user": "bob", "expires_in_seconds": seconds }).to_string();
        client.post(TICKETS, &body).assert_problem(422, "invalid-values", &["expires_in_seconds"]);
    }
    let long = format!("/{}", "x".repeat(2_048));
    for to in ["", "//evil.example", "/\\evil", "\\/x", "/\t/x", "https://x", "/#a", "/é", &long] {
        let body = json!({ "user": "bob", "to": to }).to_string();
        client.post(TICKETS, &body).assert_problem(422, "invalid-values", &["to"]);
    }
    let none = client.post("/v1/sessions/none/tickets", r#"{"user":"bob"}"#);
    none.assert_problem(404, "unknown-session", &[]);
}

#[test]
fn a_token_for_tickets_makes_them_where_it_reaches_and_nothing_else() {
    let (world, mut admin) = world();
    let scope = r#""scopes":["tickets:write"]"#;
    let mut launcher = admin.make_token(&world, "launcher", scope);
    assert_eq!(launcher.post(TICKETS, r#"{"user":"bob"}"#).status, 201);
    launcher.get("/v1/sessions/one").assert_problem(403, "missing-scope", &[]);
    let bounds = format!(r#"{scope},"workspaces":["imaging"]"#);
    let mut elsewhere = admin.make_token(&world, "elsewhere", &bounds);
    let refused = elsewhere.post(TICKETS, r#"{"user":"bob"}"#);
    refused.assert_problem(404, "unknown-session", &[]);
}

#[test]
fn without_a_key_there_are_no_tickets_yet() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    let refused = client.post(TICKETS, r#"{"user":"bob"}"#);
    refused.assert_problem(503, "store-unavailable", &[]);
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn a_new_key_signs_after_a_while_and_its_secret_is_in_no_answer() {
    let (world, mut client) = world();
    let first = verified(&world, &client.post(TICKETS, r#"{"user":"bob"}"#));
    assert!(first.is_ok());
    let added = client.send("POST", "/v1/access/keys", &[], None).json();
    assert_eq!(added["id"], 2);
    let from = humantime::parse_rfc3339(added["signs_from"].as_str().unwrap()).unwrap();
    let ahead = from.duration_since(std::time::SystemTime::now()).unwrap();
    assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&ahead), "{ahead:?}");
    let listed = client.get("/v1/access/keys");
    assert_eq!(listed.json()["items"][1], added);
    let secrets: Vec<String> = {
        until(|| world.access.load().keys.iter().count() == 2);
        let access = world.access.load();
        access.keys.iter().map(|key| data_encoding::HEXLOWER.encode(key.secret())).collect()
    };
    let shown = [listed.body, client.get("/v1/audit").body].concat();
    let shown = String::from_utf8(shown).unwrap();
    assert!(secrets.iter().all(|secret| !shown.contains(secret)));
}

#[test]
fn keys_that_are_made_at_the_same_time_are_all_there_and_bounded() {
    let (world, mut client) = world();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let answer = world.client().send("POST", "/v1/access/keys", &[], None);
                assert_eq!(answer.status, 201, "{answer:?}");
            });
        }
    });
    let ids = |listed: Value| -> Vec<u64> {
        listed["items"].as_array().unwrap().iter().map(|key| key["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids(client.get("/v1/access/keys").json()), [1, 2, 3, 4, 5]);
    while ids(client.get("/v1/access/keys").json()).len() < 64 {
        assert_eq!(client.send("POST", "/v1/access/keys", &[], None).status, 201);
    }
    let refused = client.send("POST", "/v1/access/keys", &[], None);
    refused.assert_problem(409, "exists", &[]);
}

#[test]
fn what_came_of_a_user_or_of_a_login_is_taken_back() {
    let (world, mut client) = world();
    let bobs = client.post(TICKETS, r#"{"user":"bob"}"#);
    let adas = client.post(TICKETS, r#"{"user":"ada"}"#);
    let login = verified(&world, &adas).unwrap().login.id;
    assert!(verified(&world, &bobs).is_ok());

    let answer = client.post("/v1/access/revocations", r#"{"user":"bob","login":null}"#);
    assert_eq!((answer.status, &answer.json()["user"]), (201, &json!("bob")));
    until(|| verified(&world, &bobs) == Err(Invalid::Revoked));
    assert!(verified(&world, &adas).is_ok());
    let body = json!({ "login": login.to_string() }).to_string();
    let answer = client.post("/v1/access/revocations", &body);
    assert_eq!((answer.status, &answer.json()["login"]), (201, &json!(login.to_string())));
    until(|| verified(&world, &adas) == Err(Invalid::Revoked));

    // What begins later is not meant; a second time is as good as the first.
    until(|| verified(&world, &world.client().post(TICKETS, r#"{"user":"bob"}"#)).is_ok());
    let again = client.post("/v1/access/revocations", r#"{"user":"bob"}"#);
    assert_eq!(again.status, 201);
    let log = client.get("/v1/audit").json();
    let details: Vec<_> = log["items"].as_array().unwrap().iter().map(|i| &i["detail"]).collect();
    assert!(details.contains(&&json!("of the user bob")), "{details:?}");

    let mut wrong = |body: &str, fields: &[&str]| {
        client.post("/v1/access/revocations", body).assert_problem(422, "invalid-values", fields);
    };
    wrong("{}", &["user"]);
    wrong(r#"{"user":"bob","login":"00000000000000000000000000000000"}"#, &["login"]);
    wrong(r#"{"login":"0"}"#, &["login"]);
}
