//! Requests as browsers and attackers send them, and what becomes of each.

mod grants;
mod proven;

use super::*;
use crate::access::{
    Access, AllowedOrigins, AllowedUsers, Key, KeyId, LoginId, LoginProof, Reach, Revocation,
    Revoked, TRIES_MAX,
};
use crate::domain::{Domains, Origin};
use crate::http::decide::{Answer, Decision, Install, decide};
use crate::http::head::field_space;
use crate::label::{Label, SessionId};
use crate::route::Change;
use crate::session::Session;
use crate::workspace::AllowList;

const HOST: &str = "a1.connect.example.com";
const CONNECT: &str = "connect.example.com";
const MINUTE: u64 = 60_000;
const NOW: Timestamp = Timestamp(1_000 * MINUTE);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn key(id: u32) -> Key {
    Key::new(KeyId(id), [id as u8; 32], Timestamp(0))
}

fn session(policy: Policy) -> Session {
    let id = SessionId::parse("a1").unwrap();
    let upstream = "http://10.0.0.1:1".parse().unwrap();
    let session = Session::new(id, name("w"), name("ada"), name("t"), upstream, Timestamp(7));
    let users = AllowedUsers::of_words(["bob"]).unwrap();
    let label = Label::parse("a1").unwrap();
    Session { label, access: Access { policy, users }, ..session }
}

fn table(policy: Policy) -> RouteTable {
    RouteTable::default()
        .with([Change::Key(Box::new(key(1))), Change::Set(Box::new(session(policy)))])
}

fn gate() -> Gate {
    let platform = Origin::parse("https://platform.example.com").unwrap();
    let origins = AllowedOrigins::new(vec![platform]);
    Gate { sign_in: true, origins, ..Gate::default() }
}

fn proof() -> LoginProof {
    LoginProof { id: LoginId([9; 16]), at: Timestamp(NOW.0 - MINUTE) }
}

fn grant(user: &str) -> Grant {
    Grant {
        user: name(user),
        session: "a1".into(),
        session_created_at: Timestamp(7),
        login: proof(),
        member: false,
        recheck: false,
        issued_at: Timestamp(NOW.0 - MINUTE),
        expires_at: Timestamp(NOW.0 + 14 * MINUTE),
        until: Timestamp(NOW.0 + 600 * MINUTE),
    }
}

fn cookie(grant: &Grant) -> String {
    format!("Cookie: __Host-portico-grant={}\r\n", grant.token(&key(1)))
}

/// One line for what was decided.
fn outcome(gate: &Gate, table: &RouteTable, line: &str, host: &str, fields: &str) -> String {
    let domains = Domains::new("https://connect.example.com", None, None).unwrap();
    let text = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    let mut space = field_space();
    let request = Request::parse(text.as_bytes(), 0, &mut space).unwrap().unwrap();
    let client = Client::new("192.0.2.1:1".parse().unwrap(), Scheme::Https, &[]);
    let install = Install { domains: &domains, gate };
    match decide(&request, &client, install, table, &Proven::default(), NOW).unwrap() {
        Decision::Forward(_, _, None) => "open".into(),
        Decision::Forward(_, _, Some(admitted)) => {
            let renewed = if admitted.renewed.is_some() { " renewed" } else { "" };
            let user = admitted.grant.map_or("nobody".into(), |grant| grant.user.to_string());
            let origin = admitted.origin.map_or(String::new(), |origin| format!(" for {origin}"));
            format!("{user}{renewed}{origin}")
        }
        Decision::Edge(door) => format!("{door:?}"),
        Decision::Answer(Answer::Refused(_, _, refused)) => match refused {
            Refused::SignIn { invalid } => format!("sign in{}", why(invalid)),
            Refused::Unauthorized { invalid, .. } => format!("unauthorized{}", why(invalid)),
            Refused::NotAllowed { user, .. } => format!("not {user}"),
            Refused::CrossOrigin => "cross-origin".into(),
            Refused::Preflight { origin } => format!("preflight {origin}"),
        },
        Decision::Answer(Answer::NotRunning(_)) => "not running".into(),
        Decision::Answer(answer) => format!("{answer:?}"),
    }
}

fn why(invalid: Option<Invalid>) -> String {
    invalid.map_or(String::new(), |invalid| format!(": {}", invalid.as_str()))
}

fn get(gate: &Gate, policy: Policy, fields: &str) -> String {
    outcome(gate, &table(policy), "GET /lab", HOST, fields)
}

#[test]
fn a_policy_lets_in_whom_it_names() {
    let member = |user| Grant { member: true, ..grant(user) };
    for (policy, grant, expected) in [
        (Policy::Private, grant("ada"), "ada"),
        (Policy::Private, member("bob"), "not bob"),
        (Policy::Workspace, grant("ada"), "ada"),
        (Policy::Workspace, member("eve"), "eve"),
        (Policy::Workspace, grant("eve"), "not eve"),
        (Policy::Users, grant("bob"), "bob"),
        (Policy::Users, member("eve"), "not eve"),
        (Policy::Public, grant("eve"), "not eve"),
    ] {
        assert_eq!(get(&gate(), policy, &cookie(&grant)), expected, "{policy:?} {}", grant.user);
    }
    let public = Gate { public_sessions: true, ..gate() };
    assert_eq!(get(&public, Policy::Public, ""), "nobody");
    assert_eq!(get(&public, Policy::Public, &cookie(&grant("eve"))), "eve");
    assert_eq!(get(&public, Policy::Private, ""), "unauthorized");
    assert_eq!(get(&Gate::open(), Policy::Private, ""), "open");
}

#[test]
fn who_goes_to_a_page_signs_in_and_all_else_is_told() {
    for (line, fields, expected) in [
        ("GET /lab", "Sec-Fetch-Mode: navigate\r\n", "sign in"),
        ("HEAD /lab", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n", "sign in"),
        ("GET /lab", "Accept: text/html\r\n", "sign in"),
        ("GET /api", "Accept: text/html\r\nSec-Fetch-Mode: cors\r\n", "unauthorized"),
        ("GET /api", "Accept: application/json\r\n", "unauthorized"),
        ("POST /x", "Sec-Fetch-Mode: navigate\r\n", "unauthorized"),
        (
            "GET /ws",
            "Accept: text/html\r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
            "unauthorized",
        ),
    ] {
        let outcome = outcome(&gate(), &table(Policy::Private), line, HOST, fields);
        assert_eq!(outcome, expected, "{line} {fields}");
    }
}

#[test]
fn a_page_of_elsewhere_is_refused_whatever_its_cookies() {
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let cookies = cookie(&grant("ada"));
    for (line, fields, expected) in [
        ("GET /", format!("Origin: https://{HOST}\r\n"), "ada"),
        ("GET /", format!("Origin: https://{HOST}:443\r\n"), "ada"),
        ("GET /", "Origin: https://b2.connect.example.com\r\n".into(), "cross-origin"),
        ("GET /", format!("Origin: http://{HOST}\r\n"), "cross-origin"),
        ("GET /", format!("Origin: https://{HOST}:8443\r\n"), "cross-origin"),
        ("POST /", "Origin: null\r\n".into(), "cross-origin"),
        ("POST /", "Sec-Fetch-Site: same-site\r\n".into(), "cross-origin"),
        (
            "GET /",
            "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\n".into(),
            "cross-origin",
        ),
        ("GET /", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n".into(), "ada"),
        (
            "POST /",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n".into(),
            "cross-origin",
        ),
        ("GET /", "Sec-Fetch-Site: same-origin\r\n".into(), "ada"),
        (
            "GET /",
            "Origin: https://platform.example.com\r\n".into(),
            "ada for https://platform.example.com",
        ),
        ("GET /ws", format!("Origin: https://{HOST}\r\n{upgrade}"), "ada"),
        ("GET /ws", format!("Origin: https://b2.connect.example.com\r\n{upgrade}"), "cross-origin"),
    ] {
        let fields = format!("{fields}{cookies}");
        let outcome = outcome(&gate(), &table(Policy::Private), line, HOST, &fields);
        assert_eq!(outcome, expected, "{line} {fields}");
    }
    let evil = format!("Origin: https://b2.connect.example.com\r\n{upgrade}");
    assert_eq!(get(&Gate::open(), Policy::Private, &evil), "cross-origin");
}

#[test]
fn a_preflight_is_answered_before_anybody_is_asked() {
    let asking = |origin: &str| {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
        outcome(&gate(), &table(Policy::Private), "OPTIONS /api", HOST, &fields)
    };
    assert_eq!(asking("https://platform.example.com"), "preflight https://platform.example.com");
    assert_eq!(asking(&format!("https://{HOST}")), format!("preflight https://{HOST}"));
    assert_eq!(asking("https://b2.connect.example.com"), "cross-origin");
    let plain = outcome(&gate(), &table(Policy::Private), "OPTIONS /api", HOST, "");
    assert_eq!(plain, "unauthorized");
}

/// Every bit of a token, and every length of it.
#[test]
fn cookies_of_the_same_name_lock_nobody_out() {
    let good = grant("ada").token(&key(1));
    let bad = grant("ada").token(&Key::new(KeyId(1), [3; 32], Timestamp(0)));
    let tossed: String =
        (0..60).map(|_| format!("__Host-portico-grant={bad}; ")).collect::<String>();
    let fields = format!("Cookie: {tossed}__Host-portico-grant={good}\r\n");
    assert_eq!(get(&gate(), Policy::Private, &fields), "ada");
    let bytes = "__Host-portico-grant=; ".len() + bad.len();
    assert!(TRIES_MAX * bytes > crate::limits::HEAD_BYTES_MAX, "a head has room for fewer");
}

#[test]
fn under_a_path_the_grant_stands_beside_its_sign_in() {
    let by_path = |gate: &Gate, policy, fields: &str| {
        outcome(gate, &table(policy), "GET /_studio/a1/lab", CONNECT, fields)
    };
    let login = |id: u8, user: &str| {
        let proof = LoginProof { id: LoginId([id; 16]), ..proof() };
        let until = Timestamp(NOW.0 + MINUTE);
        let reach = Reach::Ticket;
        Login { user: name(user), proof, reach, until, workspaces: vec![] }.token(&key(1))
    };
    let grants = |user: &str, login: &str| {
        let token = grant(user).token(&key(1));
        format!("Cookie: __Secure-portico-grant-a1={token}; __Host-portico-login={login}\r\n")
    };
    let private = |fields: &str| by_path(&gate(), Policy::Private, fields);
    assert_eq!(private(&grants("ada", &login(9, "ada"))), "ada");
    assert_eq!(private(&grants("ada", &login(8, "ada"))), "unauthorized: other_login");
    assert_eq!(private(&grants("ada", "")), "unauthorized: other_login");
    assert_eq!(private(&cookie(&grant("ada"))), "unauthorized");
    // Sharing is for who asks for it.
    let fields = grants("bob", &login(9, "bob"));
    assert_eq!(by_path(&gate(), Policy::Users, &fields), "not bob");
    let sharing = Gate { path_sharing: true, ..gate() };
    assert_eq!(by_path(&sharing, Policy::Users, &fields), "bob");
    let public = Gate { public_sessions: true, ..gate() };
    assert_eq!(by_path(&public, Policy::Public, ""), "unauthorized");
    let public = Gate { path_sharing: true, ..public };
    assert_eq!(by_path(&public, Policy::Public, ""), "nobody");
}

#[test]
fn the_edge_has_pages_of_its_own_where_it_is_the_gate() {
    let at = |gate: &Gate, host, line| outcome(gate, &table(Policy::Private), line, host, "");
    assert_eq!(at(&gate(), CONNECT, "GET /_portico/login?x"), "Connect");
    assert_eq!(at(&gate(), HOST, "POST /_portico/grant"), "Session(\"a1\")");
    assert_eq!(at(&gate(), HOST, "GET /_porticoes/"), "unauthorized");
    assert_eq!(at(&Gate::open(), HOST, "GET /_portico/login"), "open");
}

#[test]
fn the_state_of_a_session_is_told_only_to_who_may_use_it() {
    let stopped = Session { state: State::Stopped, ..session(Policy::Private) };
    let table = table(Policy::Private).with([Change::Set(Box::new(stopped))]);
    assert_eq!(outcome(&gate(), &table, "GET /", HOST, ""), "unauthorized");
    let fields = cookie(&grant("ada"));
    assert_eq!(outcome(&gate(), &table, "GET /", HOST, &fields), "not running");
    assert_eq!(outcome(&Gate::open(), &table, "GET /", HOST, ""), "not running");
}

#[test]
fn who_was_let_in_has_to_go_when_it_is_taken_back() {
    let gate = gate();
    let before = table(Policy::Users);
    let Some(Entry::Route(route)) = before.lookup("a1").cloned() else { panic!() };
    let bob = Admitted { grant: Some(Arc::new(grant("bob"))), ..Admitted::default() };
    let objection = |table: &RouteTable, admitted| {
        let raised = table.takings() != before.takings();
        (raised, gate.objection(&route, By::Subdomain, admitted, table))
    };
    assert_eq!(objection(&before, Some(&bob)), (false, None));
    let set = |change: fn(&mut Session)| {
        let mut session = session(Policy::Users);
        change(&mut session);
        before.with([Change::Set(Box::new(session))])
    };
    assert_eq!(objection(&set(|s| s.reason = Some("x".into())), Some(&bob)), (false, None));
    for (table, expected) in [
        (set(|s| s.access = Access::default()), Cause::PolicyChanged),
        (set(|s| s.access.users = AllowedUsers::default()), Cause::PolicyChanged),
        (set(|s| s.state = State::Stopped), Cause::SessionEnded),
        (set(|s| s.created_at = Timestamp(8)), Cause::SessionEnded),
        (before.with([Change::Gone(route.label.clone())]), Cause::SessionEnded),
        (revoked(&before, Revoked::User(name("bob"))), Cause::Revoked),
        (revoked(&before, Revoked::Login(proof().id)), Cause::Revoked),
    ] {
        assert_eq!(objection(&table, Some(&bob)), (true, Some(expected)));
    }
    let other = revoked(&before, Revoked::User(name("ada")));
    assert_eq!(objection(&other, Some(&bob)), (true, None));
    let gone = before.with([Change::Gone(route.label.clone())]);
    assert_eq!(objection(&gone, None), (true, Some(Cause::SessionEnded)));
    let shut = before.with([Change::Allow(AllowList::of_words([]).unwrap())]);
    assert_eq!(objection(&shut, Some(&bob)), (true, Some(Cause::WorkspaceNotAllowed)));
}

fn revoked(table: &RouteTable, of: Revoked) -> RouteTable {
    let before = Timestamp(NOW.0);
    table.with([Change::Revoke(Revocation { of, before })])
}

#[test]
fn keys_are_exchanged_without_asking_anybody_again() {
    let fields = cookie(&grant("ada"));
    let newer = Key::new(KeyId(2), [2; 32], Timestamp(NOW.0 - 1));
    let both = table(Policy::Private).with([Change::Key(Box::new(newer))]);
    assert_eq!(outcome(&gate(), &both, "GET /", HOST, &fields), "ada");
    assert_eq!(both.access().keys.signing(NOW).unwrap().id, KeyId(2));
    let later = both.with([Change::ForgetKey(KeyId(1))]);
    assert_eq!(outcome(&gate(), &later, "GET /", HOST, &fields), "unauthorized: unknown_key");
}
