//! The event stream: what is told to whom, and how a listener goes on after it was away.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use portico_control::store::Expected;
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::OnIdle;
use serde_json::{Value, json};

use crate::document::check_value;
use crate::world::{Client, World};

/// One who listens, over chunks of HTTP/1.1.
struct Listener {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Listener {
    fn start(client: Client, query: &str, headers: &[(&str, &str)]) -> Self {
        let (answer, stream) = client.listen(&format!("/v1/events{query}"), headers);
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut listener = Self { stream, text: String::new() };
        // With a place to go on from, should the stream break before the first event.
        let begin = listener.block();
        assert!(begin.starts_with("id: ") && begin.ends_with("\n: listening"), "{begin}");
        listener
    }

    /// Everything up to an empty line.
    fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return block;
            }
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).unwrap();
            chunk.truncate(length);
            self.text += &String::from_utf8(chunk).unwrap();
        }
    }

    /// The next event, which must be one that the document describes.
    fn event(&mut self) -> Value {
        let block = loop {
            let block = self.block();
            if !block.starts_with(':') {
                break block;
            }
        };
        let field = |name: &str| {
            let found = block.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_else(|| panic!("{name} is not in {block}")).trim_start()
        };
        let data: Value = serde_json::from_str(field("data:")).unwrap();
        let event = json!({ "id": field("id:"), "event": field("event:"), "data": data });
        check_value("Event", &event);
        event
    }

    /// How long it takes until nothing more comes.
    fn ended(&mut self) -> Duration {
        let start = Instant::now();
        let mut last = String::new();
        self.stream.read_line(&mut last).unwrap();
        assert_eq!(last, "0\r\n", "the last chunk");
        start.elapsed()
    }

    fn names(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.event()["event"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn every_change_is_told_as_it_happens() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"before""#);
    world.until("abefore", |entry| entry.is_some());
    let mut listener = Listener::start(world.client(), "", &[]);
    client.create(r#""id":"one""#);
    let created = listener.event();
    assert_eq!((&created["event"], &created["id"]), (&json!("session.created"), &json!("2")));
    assert_eq!(created["data"]["session"], client.get("/v1/sessions/one").json());
    assert_eq!(created["data"]["version"], 2);
    client.patch("/v1/sessions/one", r#"{"state":"stopping"}"#);
    client.delete("/v1/sessions/one");
    client.put("/v1/workspaces", r#"{"allowed":["genomics"]}"#);
    client.delete("/v1/workspaces");
    client.put("/v1/workspaces/genomics", r#"{"sessions_max":5}"#);
    client.delete("/v1/workspaces/genomics");
    client.put("/v1/templates/t", r#"{"tool":"t","repository":"a/b"}"#);
    client.delete("/v1/templates/t");
    // Who may use the API is nobody else's business.
    client.post("/v1/tokens", r#"{"name":"secret","scopes":["admin"]}"#);
    client.create(r#""id":"last""#);
    assert_eq!(
        listener.names(9),
        [
            "session.changed",
            "session.deleted",
            "workspaces.changed",
            "workspaces.reset",
            "workspace.changed",
            "workspace.deleted",
            "template.changed",
            "template.deleted",
            "session.created",
        ]
    );
}

#[test]
fn a_stream_ends_with_its_token() {
    let world = World::start();
    let mut admin = world.client();
    let reads = r#""scopes":["sessions:read"]"#;
    let others = admin.make_token(&world, "others", reads);
    let mut others = Listener::start(others, "", &[]);
    type End = fn(&mut Client);
    let ends: [(&str, &str, End); 3] = [
        ("revoked", "", |admin| assert_eq!(admin.delete("/v1/tokens/revoked").status, 204)),
        ("rotated", "", |admin| {
            let rotated = admin.send("POST", "/v1/tokens/rotated/rotate", &[], None);
            assert_eq!(rotated.status, 200);
        }),
        ("expired", r#","expires_in_seconds":2"#, |_| {}),
    ];
    for (name, more, end) in ends {
        let listener = admin.make_token(&world, name, &format!("{reads}{more}"));
        let mut listener = Listener::start(listener, "", &[]);
        end(&mut admin);
        let took = listener.ended();
        let own = if more.is_empty() { 0 } else { 2 };
        assert!(took < Duration::from_secs(own + 1), "{name}: {took:?}");
    }
    admin.create(r#""id":"one""#);
    assert_eq!(others.event()["event"], "session.created", "the others go on");
}

#[test]
fn a_listener_goes_on_where_it_was() {
    let world = World::start();
    let mut client = world.client();
    for id in ["a", "b", "c"] {
        client.create(&format!(r#""id":"{id}""#));
    }
    world.until("ac", |entry| entry.is_some());
    let mut by_header = Listener::start(world.client(), "?after=0", &[("Last-Event-ID", "1")]);
    let mut by_query = Listener::start(world.client(), "?after=1", &[]);
    for listener in [&mut by_header, &mut by_query] {
        assert_eq!(listener.event()["data"]["session"]["id"], "b");
        assert_eq!(listener.event()["data"]["session"]["id"], "c");
    }
    for wrong in ["x", "-1", "+1", ""] {
        let headers = [("Last-Event-ID", wrong)];
        let (answer, _) = world.client().listen("/v1/events", &headers);
        answer.assert_problem(400, "invalid-request", &[]);
    }
    client.get("/v1/events?after=x&since=1").assert_problem(
        400,
        "invalid-request",
        &["after", "since"],
    );
}

#[test]
fn a_listener_that_missed_something_is_told_to_begin_anew() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    // More changes than are kept.
    let ids: Value = (0..limits::BULK_ITEMS_MAX).map(|n| format!("s{n}")).collect();
    let drafts: Value = ids
        .as_array()
        .unwrap()
        .iter()
        .map(|id| {
            json!({"id": id, "workspace": "w", "owner": "o", "tool": "t",
                         "upstream": "http://10.0.0.7"})
        })
        .collect();
    let body = json!({ "create": drafts, "delete": ids }).to_string();
    for _ in 0..limits::EVENTS_KEPT_MAX / limits::BULK_ITEMS_MAX {
        assert_eq!(client.post("/v1/bulk/sessions", &body).status, 200);
    }
    client.create(r#""id":"last""#);
    world.until("alast", |entry| entry.is_some());
    let mut listener = Listener::start(world.client(), "", &[("Last-Event-ID", "1")]);
    assert_eq!(listener.event()["event"], "reset");
    assert_ne!(listener.event()["event"], "reset", "it goes on with what is kept");
}

#[test]
fn a_listener_hears_of_the_workspaces_that_it_may_and_wants() {
    let world = World::start();
    let mut client = world.client();
    let bounds = r#""scopes":["sessions:read"],"workspaces":["imaging"]"#;
    let bounded = client.make_token(&world, "bounded", bounds);
    let mut refused = client.make_token(&world, "refused", bounds);
    refused.get("/v1/events?workspace=genomics").assert_problem(
        403,
        "workspace-out-of-bounds",
        &[],
    );
    let mut bounded = Listener::start(bounded, "", &[]);
    let mut choosy = Listener::start(world.client(), "?workspace=imaging", &[]);
    client.create(r#""id":"hidden""#);
    client.put("/v1/workspaces/genomics", r#"{"sessions_max":5}"#);
    client.put("/v1/workspaces", r#"{"allowed":["genomics","imaging"]}"#);
    let own =
        r#"{"id":"own","workspace":"imaging","owner":"o","tool":"t","upstream":"http://10.0.0.7"}"#;
    until_allowed(&world);
    client.post("/v1/sessions", own);
    for listener in [&mut bounded, &mut choosy] {
        let list = listener.event();
        assert_eq!(
            (&list["event"], &list["data"]["allowed"]),
            (&json!("workspaces.changed"), &json!(["imaging"]))
        );
        assert_eq!(listener.event()["data"]["session"]["id"], "own");
    }
}

fn until_allowed(world: &World) {
    while !world.rules.now().allowed.list.allows(&"imaging".parse().unwrap()) {
        std::thread::yield_now();
    }
}

#[test]
fn listeners_are_bounded_and_make_room_when_they_go() {
    let world = World::start();
    let mut listeners: Vec<_> = (0..limits::EVENT_LISTENERS_MAX)
        .map(|_| Listener::start(world.client(), "", &[]))
        .collect();
    let refused = world.client().get("/v1/events");
    refused.assert_problem(429, "too-many-listeners", &[]);
    assert!(refused.header("retry-after").is_some());
    listeners.pop();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // The server sees that one has gone when it next looks at its socket.
        let (answer, _stream) = world.client().listen("/v1/events", &[]);
        if answer.status == 200 {
            break;
        }
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn a_session_that_becomes_idle_is_told_by_that_name() {
    let world = World::start();
    let mut client = world.client();
    let mut listener = Listener::start(world.client(), "", &[]);
    client.create(r#""id":"one","idle_timeout_seconds":60"#);
    let one = SessionId::parse("one").unwrap();
    let record = world.block_on(world.store.fetch(one)).unwrap().unwrap();
    let later = record.session.created_at.plus(Duration::from_secs(120));
    let idle = record.session.judged(None, later, OnIdle::Tell).unwrap();
    let put = world.store.put(idle, Expected::Version(record.version));
    world.block_on(put).unwrap().unwrap();
    let shown = client.get("/v1/sessions/one").json();
    assert!(shown["idle_since"].is_string() && shown["idle_since"] == shown["changed_at"]);
    client.patch("/v1/sessions/one", r#"{"labels":{"a":"b"}}"#);
    let names = ["session.created", "session.idle", "session.changed"];
    assert_eq!(listener.names(3), names);
}
