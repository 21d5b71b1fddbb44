//! What is taken back closes what is open, on both replicas, within a second, and nothing else.

use std::time::{Duration, Instant};

use portico_bench::world::client::Client;
use portico_bench::world::eventually;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use serde_json::{Value, json};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

use crate::house::{House, host, url};
use crate::walker::Walker;

pub const BOUND: Duration = Duration::from_secs(1);

/// A grant of a user, by a ticket.
pub fn grant(house: &House, session: &str, user: &str) -> String {
    let body = json!({ "user": user, "member": true });
    let target = format!("/v1/sessions/{session}/tickets");
    let made = house.api("POST", &target, Some(&body), 201).json();
    let form = format!("ticket={}", made["ticket"].as_str().expect("a ticket"));
    let program = &mut Walker::new(house, user);
    let answer = program.step("POST", &format!("{}/_portico/grant", url(session)), &form);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["grant"].as_str().expect("a grant").to_owned()
}

/// Open WebSockets of a user to a session, one at each replica.
fn opened(house: &House, session: &str, user: &str) -> Vec<WebSocket<Client>> {
    let grant = grant(house, session, user);
    let open = |replica| {
        let client = house.client_at(replica, &host(session));
        let fields = [("X-Portico-Grant", grant.as_str())];
        let mut socket = client.websocket(&host(session), "/ws", &fields);
        round_trip(&mut socket, "hello");
        socket
    };
    vec![open(0), open(1)]
}

/// Takes something back, and gives how long it took until all of them were closed as they should.
fn closed_after(name: &str, sockets: Vec<WebSocket<Client>>, take: impl FnOnce()) {
    let begun = Instant::now();
    take();
    for mut socket in sockets {
        let message = socket.read().expect("a close frame");
        let Message::Close(Some(CloseFrame { code, .. })) = message else { panic!("{message:?}") };
        assert_eq!(u16::from(code), 4403, "{name}");
    }
    let took = begun.elapsed();
    println!("{name}: closed {} ms after it was asked for", took.as_millis());
    assert!(took <= BOUND, "{name}: {took:?}");
}

fn audited(house: &House, action: &str, subject: &str) -> Vec<String> {
    let page = house.api("GET", "/v1/audit?limit=1000", None, 200).json();
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let fits = |item: &&Value| item["action"] == action && item["subject"] == subject;
    items.iter().filter(fits).map(|item| item["detail"].as_str().unwrap_or("").into()).collect()
}

#[test]
fn a_user_who_is_taken_out_is_cut_and_the_others_stay() {
    let house = House::start();
    let echo = Upstream::websocket_echo();
    let named = json!({ "access": "users", "allowed_users": ["bob", "eve"] });
    let revoke = |user: &str| {
        house.api("POST", "/v1/access/revocations", Some(&json!({ "user": user })), 201);
    };
    type Take<'a> = Box<dyn Fn(&str) + 'a>;
    let take_out = json!({ "allowed_users": ["eve"] });
    let cases: [(&str, &str, Take<'_>); 3] = [
        ("allowed_users", "eve", Box::new(|id| house.change(id, &take_out))),
        ("a user's grants", "eve", Box::new(|_| revoke("bob"))),
        ("policy", "ada", Box::new(|id| house.change(id, &json!({ "access": "private" })))),
    ];
    for (number, (name, other, take)) in cases.iter().enumerate() {
        let id = format!("s{number}");
        house.session(&id, &echo.url(), named.clone());
        let mut stays = opened(&house, &id, other);
        closed_after(name, opened(&house, &id, "bob"), || take(&id));
        for socket in &mut stays {
            round_trip(socket, "still here");
        }
        eventually("both replicas write it down", || {
            let lines = audited(&house, "connections.ended", &format!("sessions/{id}"));
            (lines.len() == 2 && lines.iter().all(|l| l.starts_with("1 of bob: "))).then_some(())
        });
        // A new grant after a revocation is another one.
        if *name == "a user's grants" {
            drop(opened(&house, &id, "bob"));
        }
    }
    let ended = |cause: &str| {
        house.metric("portico_connections_ended_total", &format!("cause=\"{cause}\""))
    };
    assert_eq!((ended("policy_changed"), ended("revoked")), (4.0, 2.0));
}

#[test]
fn a_session_that_ends_and_a_workspace_that_is_shut_out_close_for_all() {
    let house = House::start();
    let echo = Upstream::websocket_echo();
    let open = |id: &str| {
        house.session(id, &echo.url(), json!({ "access": "workspace" }));
        [opened(&house, id, "ada"), opened(&house, id, "bob")].into_iter().flatten().collect()
    };
    closed_after("deleted", open("gone"), || {
        house.api("DELETE", "/v1/sessions/gone", None, 204);
    });
    closed_after("stopped", open("over"), || {
        house.change("over", &json!({ "state": "stopping" }));
        house.change("over", &json!({ "state": "stopped" }));
    });
    let shut = json!({ "allowed": ["another"] });
    closed_after("a workspace", open("shut"), || {
        house.api("PUT", "/v1/workspaces", Some(&shut), 200);
    });
    let allowed = json!({ "allowed": ["genomics"] });
    house.api("PUT", "/v1/workspaces", Some(&allowed), 200);
    let lines = || audited(&house, "connections.ended", "sessions/gone");
    eventually("it is written down", || (lines().len() == 4).then_some(()));
    assert!(lines().iter().all(|line| line.ends_with("session_ended")), "{:?}", lines());
}

/// The frame under way is whole when the close comes, or there is no close: never half of one.
#[test]
fn a_frame_under_way_is_not_cut_by_a_close_frame() {
    let house = House::start();
    // Half of a frame, and then nothing more.
    let stuck = Upstream::scripted(|connection| {
        if connection.request().is_some() {
            let accept = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                          Upgrade: websocket\r\n\r\n";
            connection.send(accept);
            connection.send([0x82, 100, 1, 2, 3]);
            connection.read_to_close();
        }
    });
    house.session("one", &stuck.url(), json!({ "access": "users", "allowed_users": ["bob"] }));
    let grant = grant(&house, "one", "bob");
    let mut client = house.client(&host("one"));
    let head = client.exchange(format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nX-Portico-Grant: {grant}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
        host("one")
    ));
    assert_eq!(head.status, 101);
    assert_eq!(client.read_exactly(5), [0x82, 100, 1, 2, 3]);
    let begun = Instant::now();
    house.change("one", &json!({ "allowed_users": [] }));
    assert_eq!(client.read_to_close(), b"", "no close frame inside of a frame");
    assert!(begun.elapsed() <= BOUND, "{:?}", begun.elapsed());
}

#[test]
fn an_answer_under_way_is_cut_and_looks_so() {
    let house = House::start();
    let endless = Upstream::scripted(|connection| {
        if connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while connection.try_send("5\r\nhello\r\n") {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    house.session("one", &endless.url(), json!({ "access": "users", "allowed_users": ["bob"] }));
    let grant = grant(&house, "one", "bob");
    let mut client = house.client(&host("one"));
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nX-Portico-Grant: {grant}\r\n\r\n",
        host("one")
    ));
    assert_eq!(client.head().status, 200);
    let begun = Instant::now();
    house.change("one", &json!({ "allowed_users": [] }));
    // What has come by then is no whole answer: the last chunk is missing.
    let rest = client.read_to_close();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    println!("a download: cut {} ms after it was asked for", begun.elapsed().as_millis());
    assert!(begun.elapsed() <= BOUND, "{:?}", begun.elapsed());
}

#[test]
fn each_replica_writes_down_how_many_it_has_ended_and_why() {
    let house = House::start();
    let echo = Upstream::websocket_echo();
    let named = json!({ "access": "users", "allowed_users": ["bob"] });
    house.session("one", &echo.url(), named.clone());
    house.session("two", &echo.url(), named);
    let mut other = opened(&house, "two", "bob");
    let grant = grant(&house, "one", "bob");
    // Three at the first, two at the second; each has two workers.
    let sockets: Vec<_> = [0, 0, 0, 1, 1]
        .iter()
        .map(|replica| {
            let fields = [("X-Portico-Grant", grant.as_str())];
            let client = house.client_at(*replica, &host("one"));
            let mut socket = client.websocket(&host("one"), "/ws", &fields);
            round_trip(&mut socket, "hello");
            socket
        })
        .collect();
    closed_after("five sockets", sockets, || {
        house.change("one", &json!({ "allowed_users": [] }));
    });
    let lines = eventually("both replicas write it down", || {
        let mut lines = audited(&house, "connections.ended", "sessions/one");
        lines.sort();
        (lines.len() >= 2).then_some(lines)
    });
    assert_eq!(lines, ["2 of bob: policy_changed", "3 of bob: policy_changed"]);
    // Whatever would come later has come.
    other.iter_mut().for_each(|socket| round_trip(socket, "still here"));
    assert_eq!(audited(&house, "connections.ended", "sessions/one").len(), 2);
    assert!(audited(&house, "connections.ended", "sessions/two").is_empty());
    let ended = house.metric("portico_connections_ended_total", "cause=\"policy_changed\"");
    assert_eq!(ended, 5.0);
}
