//! What is told of a URL, without workers: those are asked in `bench/tests/check/explain.rs`.

use std::num::NonZeroU64;

use portico_core::access::{Access, AllowedUsers, Gate, Policy};
use portico_core::domain::Domains;
use portico_core::label::{Label, SessionId};
use portico_core::quota::{Known as Counting, Policy as TrafficPolicy};
use portico_core::route::Change;
use portico_core::session::{Prefix, Routing, Session, State};
use portico_core::workspace::{AllowList, Limits};
use serde_json::Value;

use super::super::ask::Known;
use super::super::asked::{Asked, Parameters};
use super::super::told::told;
use super::*;
use crate::settings::ListenerSettings;

struct World {
    domains: Domains,
    gate: Gate,
    networks: UpstreamNetworks,
    ledger: Ledger,
    table: RouteTable,
}

fn session(label: &str, change: impl FnOnce(&mut Session)) -> Change {
    let name = |name: &str| name.parse().unwrap();
    let (id, label) = (SessionId::parse(label).unwrap(), Label::parse(label).unwrap());
    let upstream = "http://10.0.0.1:8888".parse().unwrap();
    let made = Session::new(id, name("w"), name("ada"), name("jupyter"), upstream, Timestamp(0));
    let mut session = Session { label, state: State::Running, routing: Routing::Both, ..made };
    change(&mut session);
    Change::Set(Box::new(session))
}

fn shared_with(policy: Policy, users: &[&str]) -> Access {
    let users = AllowedUsers::of_words(users.iter().copied()).unwrap();
    Access { policy, users }
}

fn world(gate: Gate) -> World {
    let policy = r#"{"buckets":[{"name":"ws","quotas":[{"bytes":100,"window":"60s",
        "kind":"fixed","on_exceed":"deny"}],
        "extractors":[{"protocol":"any","source":{"type":"workspace"}}]}]}"#;
    let allowed = AllowList::of_words(["w", "full"]).unwrap();
    World {
        domains: Domains::new("https://connect.example.com", None, None).unwrap(),
        gate,
        networks: UpstreamNetworks::default(),
        ledger: Ledger::new(TrafficPolicy::parse(policy.as_bytes()).unwrap().0),
        table: RouteTable::default().with([
            session("one", |s| s.access = shared_with(Policy::Users, &["bob"])),
            session("ours", |s| s.access = shared_with(Policy::Workspace, &[])),
            session("all", |s| s.access = shared_with(Policy::Public, &[])),
            session("sub", |s| s.routing = Routing::Subdomain),
            session("strip", |s| s.prefix = Prefix::Strip),
            session("off", |s| s.state = State::Stopped),
            session("else", |s| s.workspace = "x".parse().unwrap()),
            session("bad", |s| s.upstream = "http://169.254.169.254".parse().unwrap()),
            session("full", |s| s.workspace = "full".parse().unwrap()),
            Change::Gone(Label::parse("old").unwrap()),
            Change::Allow(allowed),
        ]),
    }
}

impl World {
    fn told(&self, url: &str, method: &str, user: Option<&str>) -> Value {
        let (url, method) = (url.to_owned(), Some(method.to_owned()));
        let asked = Parameters { url, method, user: user.map(str::to_owned) };
        let asked = Asked::of(&asked).unwrap();
        let install = Install { domains: &self.domains, gate: &self.gate };
        let inquiry = Inquiry {
            install,
            networks: &self.networks,
            quotas: Some(&self.ledger),
            table: &self.table,
            clock: Clock::start(),
            now: NOW,
        };
        let listener = |tls, port| ListenerSettings {
            address: ([0, 0, 0, 0], port).into(),
            tls,
            proxy_protocol: false,
        };
        let listeners = [listener(false, 8080), listener(true, 443)];
        let found = inquiry.found(&asked);
        told(&asked, &found, &Known::default(), &listeners, (install, &self.networks))
    }

    #[track_caller]
    fn expect(&self, asked: (&str, Option<&str>), access: &str, answer: &str) {
        let told = self.told(asked.0, "GET", asked.1);
        let text = told["answer"]["text"].as_str().unwrap_or_default();
        assert!(text.contains(answer), "{asked:?}: {told:#}");
        let decision = told["access"]["decision"].as_str();
        assert_eq!(decision.unwrap_or("-"), access, "{asked:?}: {told:#}");
    }
}

const NOW: Timestamp = Timestamp(1_795_593_600_000);

#[test]
fn with_an_open_gate_the_url_and_the_session_decide() {
    let world = world(Gate::open());
    for (url, access, answer) in [
        ("one.connect.example.com/lab?token=x", "open_gate", "sent to http://10.0.0.1:8888"),
        ("connect.example.com/_studio/one/lab", "open_gate", "sent to"),
        ("connect.example.com/_studio/one", "not_asked", "308"),
        ("connect.example.com/_studio/sub/", "not_asked", "404 routing_not_offered"),
        ("off.connect.example.com", "open_gate", "503 stopped"),
        ("else.connect.example.com", "not_asked", "403 workspace_not_allowed"),
        ("bad.connect.example.com", "open_gate", "502 upstream_forbidden"),
        ("old.connect.example.com", "-", "410 gone"),
        ("none.connect.example.com", "-", "404 unknown_session"),
        ("connect.example.com/lab", "-", "404 unknown_session"),
        ("connect.example.com/healthz", "-", "200: ok"),
        ("elsewhere.example.org", "-", "404 foreign_host"),
        ("connect.example.com/_studio/one/../off/", "-", "400 bad_request"),
    ] {
        world.expect((url, None), access, answer);
    }
}

#[test]
fn with_a_closed_gate_it_is_said_who_would_be_let_in() {
    let mut world = world(Gate { sign_in: true, ..Gate::default() });
    let one = "one.connect.example.com";
    let by_path = "connect.example.com/_studio/one/";
    for (url, user, access, answer) in [
        (one, None, "sign_in", "303: to sign in"),
        (one, Some("ada"), "allowed", "sent to"),
        (one, Some("bob"), "allowed", "sent to"),
        (one, Some("eve"), "not_allowed", "403 not_allowed"),
        (by_path, Some("bob"), "not_allowed", "403 not_allowed"),
        ("ours.connect.example.com", Some("eve"), "if_member", "(if the user is a member"),
        ("all.connect.example.com", None, "sign_in", "303"),
        ("off.connect.example.com", Some("ada"), "allowed", "503 stopped"),
        ("connect.example.com/_portico/login", None, "-", "a page of Portico's own"),
    ] {
        world.expect((url, user), access, answer);
    }
    let post = world.told(one, "POST", None);
    assert_eq!(post["answer"]["status"], 401, "nobody is sent elsewhere with a POST: {post:#}");
    world.gate.public_sessions = true;
    world.gate.path_sharing = true;
    world.expect(("all.connect.example.com", None), "public", "sent to");
    world.expect((by_path, Some("bob")), "allowed", "sent to");
}

#[test]
fn limits_and_quotas_are_looked_at_and_not_taken() {
    let world = world(Gate::open());
    let one = "one.connect.example.com";
    let full: Name = "full".parse().unwrap();
    let limits = Limits { connections_max: NonZeroU64::new(1), ..Limits::NONE };
    let _limited = world.table.with([Change::Limit(full, limits)]);
    let Some(Entry::Route(route)) = world.table.lookup("full") else { panic!("it is there") };
    world.expect(("full.connect.example.com", None), "open_gate", "sent to");
    route.workspace.enter(1).unwrap();
    for _ in 0..3 {
        let at_limit = ("full.connect.example.com", None);
        world.expect(at_limit, "open_gate", "429 workspace_connections");
    }
    assert_eq!(route.workspace.connections(), 1);

    world.expect((one, None), "open_gate", "sent to");
    assert_eq!(world.ledger.accounts(), 0, "nothing is opened by asking");
    let client = [192, 0, 2, 1].into();
    let (workspace, session) = ("w", "one");
    let counting =
        Counting { fields: &[], client, is_trusted: false, workspace, session, user: None };
    world.ledger.open(&counting, NOW).charge(150);
    world.expect((one, None), "open_gate", "429 quota_exceeded");
    let told = world.told(one, "GET", None);
    let quota = &told["quotas"][0];
    assert_eq!(quota["standing"], "denied", "{quota:#}");
    assert_eq!((&quota["value"], &quota["usage"][0]["used_bytes"]), (&"w".into(), &150.into()));
    assert_eq!(quota["retry_after_seconds"], 60);
}

#[test]
fn listeners_and_what_the_tool_sees_are_told() {
    let world = world(Gate::open());
    let takes = |url: &str| {
        let told = world.told(url, "GET", None);
        let listeners = told["listeners"].as_array().cloned().unwrap_or_default();
        listeners.iter().map(|one| one["takes"].to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(takes("https://one.connect.example.com"), r#""behind_balancer" "directly""#);
    assert_eq!(takes("http://one.connect.example.com:8080"), r#""directly" "no""#);
    assert_eq!(takes("http://one.connect.example.com"), r#""behind_balancer" "no""#);
    let strip = world.told("connect.example.com/_studio/strip/lab?x=secret", "GET", None);
    assert_eq!(strip["sent"]["path"], "/lab");
    assert_eq!(strip["sent"]["host"], "connect.example.com");
    let keep = world.told("connect.example.com/_studio/one/lab", "GET", None);
    assert_eq!(keep["sent"]["path"], "/_studio/one/lab");
    assert!(!strip.to_string().contains("secret"), "{strip:#}");
}
