//! Grants that are not what they should be, signed with the install's own key or another: all are
//! refused and counted; and good ones are renewed while they are used.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use portico_bench::world::CONNECT_HOST;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_core::access::{Grant, Key, KeyId, Login, LoginId, LoginProof, Reach};
use portico_core::session::Timestamp;
use serde_json::{Value, json};

use crate::house::{House, host};

/// The key that signs, as whoever reads the store can have it.
pub fn key(house: &House) -> Key {
    let mut redis = TcpStream::connect(house.redis.address).expect("redis listens");
    let command = ["HGET", "{portico}:documents:signing-key", "1"];
    let words = command.map(|word| format!("${}\r\n{word}\r\n", word.len())).concat();
    write!(redis, "*3\r\n{words}").expect("redis reads");
    redis.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let mut answer = String::new();
    // It keeps the connection open: what has come by then is all.
    let _ = redis.read_to_string(&mut answer);
    let json = answer.split_once("\r\n").map(|(_, json)| json.trim()).expect("a document");
    let document: Value = serde_json::from_str(json).expect("documents are JSON");
    let body = document["body"].to_string();
    Key::decode(KeyId(1), body.as_bytes()).expect("a key")
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_millis() as u64)
}

const LOGIN: &str = "__Host-portico-login";
pub const MINUTE: Duration = Duration::from_secs(60);

pub fn back(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp(time.0 - by.as_millis() as u64)
}

pub fn grant(house: &House, session: &str) -> Grant {
    let record = house.api("GET", &format!("/v1/sessions/{session}"), None, 200).json();
    let created = record["created_at"].as_str().expect("a time");
    let created = humantime::parse_rfc3339(created).expect("RFC 3339");
    let created = created.duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let at = back(now(), MINUTE);
    Grant {
        user: "ada".parse().expect("a name"),
        session: session.into(),
        session_created_at: Timestamp(created),
        login: LoginProof { id: LoginId([7; 16]), at },
        member: false,
        recheck: false,
        issued_at: at,
        expires_at: now().plus(14 * MINUTE),
        until: now().plus(60 * MINUTE),
    }
}

#[test]
fn a_grant_that_is_not_what_it_should_be_opens_nothing_and_is_counted() {
    let house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    house.session("two", &upstream.url(), json!({}));
    let ours = key(&house);
    let good = grant(&house, "one");
    let status = |token: &str| {
        let host = host("one");
        let cookie = format!("Cookie: __Host-portico-grant={token}\r\n");
        let request = format!("GET /api HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n");
        house.client(&host).exchange(request).status
    };
    let token = good.token(&ours);
    assert_eq!(status(&token), 200);
    let stranger = Key::new(KeyId(1), [1; 32], Timestamp(0));
    let unknown = Key::new(KeyId(9), *ours.secret(), Timestamp(0));
    let mut before = good.clone();
    before.session_created_at = back(good.session_created_at, MINUTE);
    let mut flipped = BASE64URL_NOPAD.decode(token.as_bytes()).expect("base64url");
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let expired = Grant { expires_at: back(now(), Duration::from_secs(1)), ..good.clone() };
    let future = Grant { issued_at: now().plus(2 * MINUTE), ..good.clone() };
    for (reason, token) in [
        ("expired", expired.token(&ours)),
        ("future", future.token(&ours)),
        ("other_session", grant(&house, "two").token(&ours)),
        ("other_session", before.token(&ours)),
        ("unknown_key", good.token(&unknown)),
        ("signature", good.token(&stranger)),
        ("signature", BASE64URL_NOPAD.encode(&flipped)),
        ("malformed", token[..token.len() / 2].to_owned()),
        ("malformed", "nonsense".to_owned()),
    ] {
        let labels = format!("reason=\"{reason}\"");
        let counted = house.metric("portico_grants_refused_total", &labels);
        assert_eq!(status(&token), 401, "{reason}");
        let after = house.metric("portico_grants_refused_total", &labels);
        assert_eq!(after, counted + 1.0, "{reason}");
    }
    let bob = Grant { user: "bob".parse().expect("a name"), ..good.clone() };
    assert_eq!(status(&bob.token(&ours)), 403, "good, but not for bob");
    // Between two that are not, a good one is found.
    let (bad, worse) = (expired.token(&ours), good.token(&stranger));
    let three = format!("{bad}; __Host-portico-grant={token}; __Host-portico-grant={worse}");
    assert_eq!(status(&three), 200);
}

#[test]
fn a_grant_is_renewed_while_it_is_used_and_not_beyond_its_end() {
    let house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    let ours = key(&house);
    let renewed = |grant: &Grant| -> Option<String> {
        let (host, token) = (host("one"), grant.token(&ours));
        let cookie = format!("Cookie: __Host-portico-grant={token}\r\n");
        let request = format!("GET /api HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n");
        let answer = house.client(&host).exchange(request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookies = answer.values("set-cookie");
        let value = cookies.iter().find_map(|set| set.strip_prefix("__Host-portico-grant="))?;
        assert!(value.contains("; Secure; HttpOnly; SameSite=Lax"), "{value}");
        Some(value.to_owned())
    };
    let age = |minutes: u32, left: u32, until: u32| Grant {
        issued_at: back(now(), minutes * MINUTE),
        expires_at: now().plus(left * MINUTE),
        until: now().plus(until * MINUTE),
        ..grant(&house, "one")
    };
    assert_eq!(renewed(&age(2, 13, 60)), None, "it is young");
    let value = renewed(&age(10, 5, 60)).expect("another while");
    assert!(value.contains("Max-Age=900") || value.contains("Max-Age=899"), "{value}");
    let value = renewed(&age(10, 5, 7)).expect("what is left");
    assert!(value.contains("Max-Age=420") || value.contains("Max-Age=419"), "{value}");
    assert_eq!(renewed(&age(10, 5, 5)), None, "there is nothing more to be had");
    assert!(house.metric("portico_grants_renewed_total", "") >= 2.0);
}

#[test]
fn who_brings_a_bad_grant_is_sent_to_sign_in_or_told_so_by_what_they_are() {
    let house = House::start();
    let echo = Upstream::websocket_echo();
    house.session("one", &echo.url(), json!({}));
    let ours = key(&house);
    let over = back(now(), Duration::from_secs(1));
    let token = Grant { expires_at: over, ..grant(&house, "one") }.token(&ours);
    let good = grant(&house, "one").token(&ours);
    let host = host("one");
    let refused = || house.metric("portico_grants_refused_total", "reason=\"expired\"");
    let send = |fields: &str| {
        let request = format!("GET /lab HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
        house.client(&host).exchange(request)
    };
    let cookie = format!("Cookie: __Host-portico-grant={token}\r\n");
    let navigation = send(&format!("{cookie}Sec-Fetch-Mode: navigate\r\n"));
    let to = navigation.field("location").unwrap_or_default();
    assert_eq!(navigation.status, 303);
    let login = format!("https://{CONNECT_HOST}/_portico/login?session=one&by=subdomain");
    assert!(to.starts_with(&login), "{to}");
    assert_eq!(refused(), 1.0);
    let script = send(&format!("{cookie}Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"));
    assert_eq!((script.status, script.field("location")), (401, None));
    // A program's field counts as the cookie does, and neither hides the other.
    let field = format!("X-Portico-Grant: {token}\r\n");
    assert_eq!(send(&field).status, 401);
    assert_eq!(refused(), 3.0);
    for (name, value) in [("Cookie", cookie.trim_end()), ("X-Portico-Grant", field.trim_end())] {
        let value = value.split_once(": ").expect("a field").1;
        let socket = house.client(&host).try_websocket(&host, "/ws", &[(name, value)]);
        let Err(tungstenite::Error::Http(answer)) = socket else { panic!("{socket:?}") };
        assert_eq!(answer.status().as_u16(), 401, "{name}");
    }
    assert_eq!(refused(), 5.0);
    let fields = [("X-Portico-Grant", good.as_str()), ("Cookie", &cookie["Cookie: ".len()..])];
    let fields = fields.map(|(name, value)| (name, value.trim_end()));
    let mut socket = house.client(&host).websocket(&host, "/ws", &fields);
    round_trip(&mut socket, "hello");
    assert!(echo.requests().is_empty(), "what is refused does not reach the tool");
}

#[test]
fn under_a_path_a_grant_counts_beside_its_own_sign_in_only() {
    let house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({ "routing": ["path"] }));
    let ours = key(&house);
    let grant = grant(&house, "one");
    let login = |id: u8| Login {
        user: grant.user.clone(),
        proof: LoginProof { id: LoginId([id; 16]), at: grant.login.at },
        reach: Reach::Sessions,
        until: grant.until,
        workspaces: Vec::new(),
    };
    let (own, other) = (login(7).token(&ours), login(8).token(&ours));
    let token = grant.token(&ours);
    let status = |fields: &str| {
        let request =
            format!("GET /_studio/one/x HTTP/1.1\r\nHost: {CONNECT_HOST}\r\n{fields}\r\n");
        house.client(CONNECT_HOST).exchange(request).status
    };
    let cookies = |name: &str, login: &str| {
        let login = if login.is_empty() { String::new() } else { format!("; {LOGIN}={login}") };
        format!("Cookie: {name}={token}{login}\r\n")
    };
    let by_path = "__Secure-portico-grant-one";
    assert_eq!(status(&cookies(by_path, &own)), 200);
    let refused = || house.metric("portico_grants_refused_total", "reason=\"other_login\"");
    for (number, login) in ["", other.as_str(), "nonsense"].iter().enumerate() {
        assert_eq!(status(&cookies(by_path, login)), 401, "{login}");
        assert_eq!(refused(), number as f64 + 1.0, "{login}");
    }
    // Nor by the name that it has on a session's own host, or that of a sibling's path.
    for name in ["__Host-portico-grant", "__Secure-portico-grant-two"] {
        assert_eq!(status(&cookies(name, &own)), 401, "{name}");
    }
    assert_eq!(status(&format!("X-Portico-Grant: {token}\r\n")), 200, "a program has no sign-in");
}
