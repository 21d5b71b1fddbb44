//! Tickets of the platform: a way into one session, once, and nothing that could be used again is
//! left anywhere.

use std::time::Duration;

use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{CONNECT_HOST, eventually};
use serde_json::{Value, json};

use crate::house::{House, host, url};
use crate::walker::Walker;

fn ticket(house: &House, session: &str, more: Value) -> Value {
    let mut body = json!({ "user": "ada" });
    if let (Value::Object(all), Value::Object(given)) = (&mut body, more) {
        all.extend(given);
    }
    house.api("POST", &format!("/v1/sessions/{session}/tickets"), Some(&body), 201).json()
}

fn text(ticket: &Value) -> String {
    ticket["ticket"].as_str().expect("a ticket").to_owned()
}

fn by_host(ticket: &Value) -> String {
    ticket["urls"]["subdomain"].as_str().expect("a URL by subdomain").to_owned()
}

#[test]
fn a_ticket_opens_its_session_once_and_leaves_the_url() {
    let mut house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    let made = ticket(&house, "one", json!({ "to": "/lab?x=1" }));
    let mut ada = Walker::new(&house, "ada");
    let opened = ada.step("GET", &by_host(&made), "");
    assert_eq!(opened.status, 303, "{}", opened.text());
    assert_eq!(
        opened.field("location").as_deref(),
        Some("https://one.connect.example.com/lab?x=1")
    );
    assert_eq!(opened.field("referrer-policy").as_deref(), Some("no-referrer"));
    let response = ada.open(&opened.field("location").expect("a location"));
    assert_eq!((response.status, ada.asked), (200, 0));
    assert!(response.text().contains("\"/lab?x=1\""), "{}", response.text());

    // Again in the same browser, in another, at the other replica, after a restart of both.
    let mut other = Walker::new(&house, "eve");
    assert_eq!(ada.open(&by_host(&made)).status, 403);
    assert_eq!(other.open(&by_host(&made)).status, 403);
    let target = by_host(&made).replace(&url("one"), "");
    assert_eq!(house.client_at(0, &host("one")).get(&host("one"), &target).status, 403);
    assert_eq!(house.metric("portico_tickets_total", "result=\"used\""), 3.0);
    house.restart_proxies();
    let answer = house.client(&host("one")).get(&host("one"), &target);
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("used already"), "{}", answer.text());
}

#[test]
fn of_many_who_bring_a_ticket_at_once_one_is_let_in() {
    let house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    let target = by_host(&ticket(&house, "one", json!({}))).replace(&url("one"), "");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let bring = |replica: usize| {
            let (house, target) = (&house, &target);
            let mut client = house.client_at(replica % 2, &host("one"));
            scope.spawn(move || client.get(&host("one"), target).status)
        };
        let all: Vec<_> = (0..20).map(bring).collect();
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 19, "{statuses:?}");
}

#[test]
fn a_ticket_that_is_old_foreign_cut_or_changed_opens_nothing_and_is_counted() {
    let house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    house.session("two", &upstream.url(), json!({}));
    let bring = |session: &str, ticket: &str| {
        let target = format!("/_portico/open?ticket={ticket}");
        house.client(&host(session)).get(&host(session), &target).status
    };
    let good = text(&ticket(&house, "one", json!({})));
    assert_eq!(bring("two", &good), 403, "of another session");
    for (at, _) in good.char_indices().step_by(7) {
        assert_eq!(bring("one", &good[..at]), 403, "cut at {at}");
        let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
        assert_eq!(bring("one", &changed), 403, "changed at {at}");
    }
    assert_eq!(bring("one", &good), 303, "trying does not use it up");
    let short = text(&ticket(&house, "one", json!({ "expires_in_seconds": 1 })));
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(bring("one", &short), 403);
    for result in ["other_session", "malformed", "signature", "expired", "redeemed"] {
        let count = house.metric("portico_tickets_total", &format!("result=\"{result}\""));
        assert!(count >= 1.0, "{result}: {count}");
    }
    let not_his = text(&ticket(&house, "one", json!({ "user": "bob" })));
    assert_eq!(bring("one", &not_his), 403, "the session's policy holds");
    // A session that is deleted and made again is another one.
    let before = text(&ticket(&house, "two", json!({})));
    house.api("DELETE", "/v1/sessions/two", None, 204);
    house.session("two", &upstream.url(), json!({}));
    assert_eq!(bring("two", &before), 403);
}

#[test]
fn a_ticket_opens_a_session_by_path() {
    let house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({ "routing": ["path"] }));
    let made = ticket(&house, "one", json!({ "to": "/lab" }));
    let by_path = made["urls"]["path"].as_str().expect("a URL by path").to_owned();
    let mut ada = Walker::new(&house, "ada");
    let response = ada.open(&by_path);
    assert_eq!((response.status, ada.asked), (200, 0), "{}", response.text());
    assert!(response.text().contains("/_studio/one/lab"), "{}", response.text());
    assert_eq!(Walker::new(&house, "eve").open(&by_path).status, 403);
}

#[test]
fn a_program_sends_its_grant_beside_the_tools_own_authorization() {
    let house = House::start();
    let (upstream, echo) = (Upstream::echo(), Upstream::websocket_echo());
    house.session("one", &upstream.url(), json!({}));
    house.session("two", &echo.url(), json!({}));
    let grant = |session: &str| {
        let form = format!("ticket={}", text(&ticket(&house, session, json!({}))));
        let mut program = Walker::new(&house, "ada");
        let answer = program.step("POST", &format!("{}/_portico/grant", url(session)), &form);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["grant"].as_str().expect("a grant").to_owned()
    };
    let answer = house.client(&host("one")).exchange(format!(
        "GET /api HTTP/1.1\r\nHost: {}\r\nX-Portico-Grant: {}\r\nAuthorization: token mine\r\n\r\n",
        host("one"),
        grant("one"),
    ));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = answer.text().to_ascii_lowercase();
    assert!(seen.contains("token mine") && !seen.contains("x-portico-grant"), "{seen}");
    assert!(seen.contains("x-connect-sub"), "{seen}");
    let (mine, foreign) = (grant("two"), grant("one"));
    let fields = [("X-Portico-Grant", mine.as_str())];
    let mut socket = house.client(&host("two")).websocket(&host("two"), "/ws", &fields);
    round_trip(&mut socket, "hello");
    let fields = [("X-Portico-Grant", foreign.as_str())];
    assert!(house.client(&host("two")).try_websocket(&host("two"), "/ws", &fields).is_err());
    let bad = Walker::new(&house, "ada").step(
        "POST",
        &format!("{}/_portico/grant", url("one")),
        "ticket=nonsense",
    );
    assert_eq!((bad.status, bad.json()["status"].as_u64()), (403, Some(403)));
}

#[test]
fn while_redis_is_away_a_ticket_waits_and_nothing_is_let_in_twice() {
    let mut house = House::start();
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    let made = ticket(&house, "one", json!({}));
    house.redis.kill();
    let response = Walker::new(&house, "ada").open(&by_host(&made));
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(response.text().contains("does not answer"), "{}", response.text());
    house.redis.restart();
    let mut ada = Walker::new(&house, "ada");
    eventually("the ticket is taken", || (ada.open(&by_host(&made)).status == 200).then_some(()));
    assert_eq!(Walker::new(&house, "eve").open(&by_host(&made)).status, 403);
}

/// Of whatever was in a URL, a cookie or a form.
#[test]
fn nothing_is_logged_that_could_be_used_again() {
    let house = House::start_with(|options| {
        options
            .set("PORTICO_PROXY__ACCESS_LOG", "json")
            .set("PORTICO_LOG__LEVEL", "trace")
            .set("PORTICO_ACCESS__SCOPES", "openid,profile,offline_access")
    });
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    let mut ada = Walker::new(&house, "ada");
    assert_eq!(ada.open(&format!("{}/", url("one"))).status, 200);
    let path = format!("https://{CONNECT_HOST}/_studio/one/");
    assert_eq!(ada.open(&path).status, 200);
    let made = ticket(&house, "one", json!({}));
    assert_eq!(Walker::new(&house, "ada").open(&by_host(&made)).status, 200);
    let mut secrets = ada.seen.clone();
    secrets.push(text(&made));
    assert!(secrets.len() >= 8, "{secrets:?}");
    // Nothing of a line is still on its way to the log then.
    let lines = || house.proxies.iter().map(|p| p.process.stdout().lines().count()).sum::<usize>();
    eventually("the access log has it all", || (lines() >= 8).then_some(()));
    for member in house.proxies.iter().chain([&house.control]) {
        let (out, log) = (member.process.stdout(), member.process.stderr());
        for secret in &secrets {
            assert!(!out.contains(secret.as_str()), "{secret} is in the access log: {out}");
            assert!(!log.contains(secret.as_str()), "{secret} is in the log");
        }
    }
}

/// Nor of what is refused, which may be good elsewhere or by and by, nor in the audit log.
#[test]
fn what_is_refused_is_not_logged_either() {
    let house = House::start_with(|options| {
        options.set("PORTICO_PROXY__ACCESS_LOG", "json").set("PORTICO_LOG__LEVEL", "trace")
    });
    let upstream = Upstream::echo();
    house.session("one", &upstream.url(), json!({}));
    house.session("two", &upstream.url(), json!({}));
    let send = |host: &str, line: &str, fields: &str, body: &str, expected: u16| {
        let length = body.len();
        let answer = house.client(host).exchange(format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        ));
        assert_eq!(answer.status, expected, "{line}: {}", answer.text());
        answer
    };
    let (one, two) = (host("one"), host("two"));
    let foreign = text(&ticket(&house, "one", json!({})));
    send(&two, &format!("GET /_portico/open?ticket={foreign}"), "", "", 403);
    send(&two, "POST /_portico/grant", "", &format!("ticket={foreign}"), 403);
    // A page may have come by one, and tell so, and a tool may see what follows its own `?`.
    let referer = format!("Referer: https://{one}/_portico/open?ticket={foreign}\r\n");
    send(&one, "GET /api", &referer, "", 401);
    let not_his = text(&ticket(&house, "one", json!({ "user": "bob" })));
    send(&one, &format!("GET /_portico/open?x=1&ticket={not_his}"), "", "", 403);
    let good = text(&ticket(&house, "one", json!({})));
    let answer = send(&one, "POST /_portico/grant", "", &format!("ticket={good}"), 200);
    let grant = answer.json()["grant"].as_str().expect("a grant").to_owned();
    send(&two, "GET /api", &format!("X-Portico-Grant: {grant}\r\n"), "", 401);
    send(&two, "GET /api", &format!("Cookie: __Host-portico-grant={grant}\r\n"), "", 401);
    send(&one, "GET /api", &format!("X-Portico-Grant: {grant}\r\n"), "", 200);
    let logout = format!("e30.{}.{}", "bG9nb3V0".repeat(9), "c2lnbmF0dXJl".repeat(9));
    let form = format!("logout_token={logout}");
    send(CONNECT_HOST, "POST /_portico/backchannel-logout", "", &form, 400);
    let state = "c3RhdGU".repeat(9);
    let callback = format!("GET /_portico/callback?code={state}&state={state}");
    let answer = house
        .client(CONNECT_HOST)
        .exchange(format!("{callback} HTTP/1.1\r\nHost: {CONNECT_HOST}\r\n\r\n"));
    assert!(answer.status >= 400, "{}", answer.first_line);
    let secrets = [foreign, not_his, good, grant, logout, state];

    let lines = || house.proxies.iter().map(|p| p.process.stdout().lines().count()).sum::<usize>();
    eventually("the access log has it all", || (lines() >= 10).then_some(()));
    let audit = house.api("GET", "/v1/audit?limit=1000", None, 200).text();
    for secret in &secrets {
        assert!(!audit.contains(secret.as_str()), "{secret} is in the audit log");
        for member in house.proxies.iter().chain([&house.control]) {
            let (out, log) = (member.process.stdout(), member.process.stderr());
            assert!(!out.contains(secret.as_str()), "{secret} is in the access log: {out}");
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{secret} is in the log");
        }
    }
    // Nor did a tool get one.
    let told = |secret: &String| {
        upstream.requests().iter().any(|request| format!("{request:?}").contains(secret.as_str()))
    };
    assert!(!secrets.iter().any(told), "a tool was told");
}
