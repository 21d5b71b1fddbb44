//! Two proxies and a control that share a real Redis: what one is told the others know, and what
//! happens while Redis is away, and when it comes back with nothing.

use std::time::{Duration, Instant};

use portico_bench::world::client::Response;
use portico_bench::world::eventually;
use portico_bench::world::fleet::Member;
use portico_bench::world::redis::Redis;
use portico_bench::world::upstream::Upstream;
use serde_json::{Value, json};

use crate::{Io, options};

struct Fleet {
    control: Member,
    proxies: Vec<Member>,
    // Last: the others end first.
    redis: Redis,
}

impl Fleet {
    fn start() -> Self {
        let redis = Redis::start();
        let control = Member::start("control", options(Io::Epoll), &redis);
        let proxies =
            [Io::Uring, Io::Epoll].map(|io| Member::start("proxy", options(io), &redis)).into();
        Self { control, proxies, redis }
    }

    fn create(&self, id: &str, upstream: &Upstream) -> Response {
        let body = json!({
            "id": id, "workspace": "genomics", "owner": "ada", "tool": "jupyter",
            "upstream": upstream.url()
        });
        self.control.api("POST", "/v1/sessions", Some(&body))
    }

    /// Waits until every proxy answers a session's host with this status.
    #[track_caller]
    fn expect(&self, id: &str, status: u16) {
        for (number, proxy) in self.proxies.iter().enumerate() {
            eventually(&format!("proxy {number} answers {id} with {status}"), || {
                (status_of(proxy, id) == status).then_some(())
            });
        }
    }
}

fn status_of(proxy: &Member, id: &str) -> u16 {
    proxy.client().get(&format!("a{id}.connect.example.com"), "/").status
}

fn degraded(member: &Member) -> bool {
    member.readiness().json()["degraded"] == true
}

#[test]
fn what_the_control_is_told_every_proxy_knows() {
    let (fleet, upstream) = (Fleet::start(), Upstream::echo());
    let created = fleet.create("one", &upstream);
    assert_eq!(created.status, 201, "{}", created.text());
    fleet.expect("one", 200);
    let stopped = json!({ "state": "stopped" });
    assert_eq!(fleet.control.api("PATCH", "/v1/sessions/one", Some(&stopped)).status, 200);
    fleet.expect("one", 503);
    assert_eq!(fleet.control.api("DELETE", "/v1/sessions/one", None).status, 204);
    fleet.expect("one", 410);

    fleet.create("two", &upstream);
    let nobody = json!({ "allowed": [] });
    assert_eq!(fleet.control.api("PUT", "/v1/workspaces", Some(&nobody)).status, 200);
    fleet.expect("two", 403);
    let replicas = eventually("three replicas are listed", || {
        let listed = fleet.control.api("GET", "/v1/replicas", None).json();
        let items = listed["items"].as_array()?.clone();
        (items.len() == 3 && items.iter().all(|item| item["alive"] == true)).then_some(items)
    });
    let roles = |role: &str| replicas.iter().filter(|item| item["role"] == role).count();
    assert_eq!((roles("proxy"), roles("control")), (2, 1));
}

/// Prints how soon after the API's answer both proxies have a session.
#[test]
fn a_session_is_routable_on_both_proxies_soon_after_its_answer() {
    let (fleet, upstream) = (Fleet::start(), Upstream::echo());
    let mut waits = Vec::new();
    for number in 0..50 {
        let id = format!("s{number}");
        assert_eq!(fleet.create(&id, &upstream).status, 201);
        let answered = Instant::now();
        for proxy in &fleet.proxies {
            let mut client = proxy.client();
            while client.get(&format!("a{id}.connect.example.com"), "/").status != 200 {
                assert!(answered.elapsed() < Duration::from_secs(10), "{id} is not routable");
            }
        }
        waits.push(answered.elapsed());
    }
    waits.sort();
    println!("routable on both proxies: median {:?}, worst {:?}", waits[25], waits[49]);
    // A lost wake-up is what fails here; the figures are the bench's business.
    assert!(waits[25] < Duration::from_millis(250), "{waits:?}");
}

#[test]
fn with_redis_away_known_sessions_are_served_also_by_a_restarted_proxy() {
    let (mut fleet, upstream) = (Fleet::start(), Upstream::echo());
    fleet.create("one", &upstream);
    fleet.expect("one", 200);
    fleet.redis.kill();
    for member in fleet.proxies.iter().chain([&fleet.control]) {
        eventually("it says that it is degraded", || degraded(member).then_some(()));
        assert_eq!(member.readiness().status, 200, "and stays ready");
    }
    fleet.expect("one", 200);

    let read = fleet.control.api("GET", "/v1/sessions/one", None);
    assert_eq!((read.status, &read.json()["id"]), (200, &json!("one")));
    let listed = fleet.control.api("GET", "/v1/sessions", None).json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let refused = fleet.create("two", &upstream);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["type"], "/problems/store-unavailable");
    assert!(refused.field("retry-after").is_some());

    let restarted = fleet.proxies.remove(0).killed_and_restarted();
    assert_eq!(status_of(&restarted, "one"), 200, "from its cache");
    assert_eq!(restarted.readiness().json()["feed"]["source"], "cache");
    fleet.proxies.push(restarted);

    fleet.redis.restart();
    for member in fleet.proxies.iter().chain([&fleet.control]) {
        eventually("it has recovered", || (!degraded(member)).then_some(()));
    }
    assert_eq!(fleet.create("two", &upstream).status, 201);
    fleet.expect("two", 200);
    fleet.expect("one", 200);
}

#[test]
fn an_emptied_redis_is_not_obeyed_until_an_operator_accepts_it() {
    let (mut fleet, upstream) = (Fleet::start(), Upstream::echo());
    fleet.create("one", &upstream);
    fleet.expect("one", 200);
    fleet.redis.restart_empty();
    for member in fleet.proxies.iter().chain([&fleet.control]) {
        let failure = eventually("it has seen that the store is another one", || {
            let feed = member.readiness().json()["feed"]["failure"].take();
            let text = feed.as_str()?.to_owned();
            text.contains("portico store accept").then_some(text)
        });
        assert!(failure.contains("routes stay"), "{failure}");
    }
    fleet.expect("one", 200);
    assert_eq!(fleet.create("two", &upstream).status, 503, "nothing is written to it");
    let restarted = fleet.proxies.remove(0).killed_and_restarted();
    assert_eq!(status_of(&restarted, "one"), 200, "nor by one that starts anew");
    fleet.proxies.push(restarted);

    let accepted = fleet.control.api("POST", "/v1/store/accept", None);
    assert_eq!(accepted.status, 200, "{}", accepted.text());
    fleet.expect("one", 404);
    assert_eq!(fleet.create("two", &upstream).status, 201);
    fleet.expect("two", 200);
    let health: Vec<Value> =
        fleet.proxies.iter().map(|proxy| proxy.readiness().json()["degraded"].take()).collect();
    assert_eq!(health, [json!(false), json!(false)]);
}

/// For who would rather serve nothing than something old.
#[test]
fn what_is_older_than_an_operator_allows_is_not_served() {
    let mut redis = Redis::start();
    let control = Member::start("control", options(Io::Epoll), &redis);
    let limited = options(Io::Epoll).set("PORTICO_STORE__STALE_MAX", "1s");
    let proxies = [Member::start("proxy", limited, &redis)];
    let upstream = Upstream::echo();
    let body = json!({
        "id": "one", "workspace": "w", "owner": "o", "tool": "t", "upstream": upstream.url()
    });
    assert_eq!(control.api("POST", "/v1/sessions", Some(&body)).status, 201);
    eventually("it is routable", || (status_of(&proxies[0], "one") == 200).then_some(()));
    redis.kill();
    eventually("its routes are dropped", || (status_of(&proxies[0], "one") == 404).then_some(()));
    assert_eq!(proxies[0].readiness().status, 503, "it has nothing to serve");
    redis.restart();
    eventually("they are back", || (status_of(&proxies[0], "one") == 200).then_some(()));
    assert_eq!(proxies[0].readiness().status, 200);
}
