//! Counts are written once, whatever dies: a proxy loses at most its last interval, a store that is
//! away for half a minute nothing, and nothing is counted twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use portico_bench::world::fleet::Member;
use portico_bench::world::redis::Redis;
use portico_bench::world::{CONNECT_HOST, Io, eventually};
use serde_json::json;

use super::ends::{Plain, Tool};
use super::options;

const INTERVAL: Duration = Duration::from_secs(1);
/// Workers look at their connections four times a second, and the store takes a moment.
const SLACK: Duration = Duration::from_millis(700);

/// A client that sends and gets back for as long as it can.
struct Pump {
    stop: Arc<AtomicBool>,
    /// When it had sent and got so much back.
    running: JoinHandle<Vec<(Instant, u64)>>,
}

impl Pump {
    fn start(proxy: &Member, session: &str) -> Self {
        let mut browser = Plain::connect(proxy.http.expect("a proxy has a plain listener"));
        browser.upgrade(&host(session));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let running = thread::spawn(move || {
            let message = vec![b'p'; 8 * 1024];
            let mut course = vec![(Instant::now(), browser.bytes.now().1)];
            while !stopped.load(SeqCst) && browser.try_echo(&message) {
                course.push((Instant::now(), browser.bytes.now().1));
                thread::sleep(Duration::from_millis(2));
            }
            course
        });
        Self { stop, running }
    }

    fn stopped(self) -> Vec<(Instant, u64)> {
        self.stop.store(true, SeqCst);
        self.running.join().expect("a pump ends")
    }
}

fn host(session: &str) -> String {
    format!("a{session}.{CONNECT_HOST}")
}

fn bytes_in(control: &Member, session: &str) -> u64 {
    let answer = control.api("GET", &format!("/v1/usage?by=session&session={session}"), None);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let items = answer["items"].as_array().expect("items");
    items.iter().map(|item| item["bytes_in"].as_u64().expect("a number")).sum()
}

#[test]
fn a_killed_proxy_and_a_store_that_was_away_cost_an_interval_at_most() {
    let mut redis = Redis::start();
    let control = Member::start("control", options(Io::Epoll, "ebpf"), &redis);
    let mut proxies: Vec<Member> = [(Io::Uring, "ebpf"), (Io::Epoll, "tcp_info")]
        .map(|(io, source)| Member::start("proxy", options(io, source), &redis))
        .into();
    let tool = Tool::start();
    for id in ["killed", "lives"] {
        let body = json!({
            "id": id, "workspace": "genomics", "owner": "ada", "tool": "other",
            "upstream": tool.url()
        });
        assert_eq!(control.api("POST", "/v1/sessions", Some(&body)).status, 201);
        for proxy in &proxies {
            let target = format!("/_studio/a{id}");
            eventually("the session is known", || {
                (proxy.client().get(CONNECT_HOST, &target).status == 308).then_some(())
            });
        }
    }
    let killed = Pump::start(&proxies[0], "killed");
    let lives = Pump::start(&proxies[1], "lives");
    thread::sleep(3 * INTERVAL);
    assert!(bytes_in(&control, "killed") > 0 && bytes_in(&control, "lives") > 0);

    redis.kill();
    thread::sleep(Duration::from_secs(30));
    redis.restart();
    thread::sleep(5 * INTERVAL);

    let at = Instant::now();
    proxies[0].process.kill();
    let course = killed.stopped();
    let sent = course.last().expect("it has sent something").1;
    let surely = course.iter().take_while(|(when, _)| *when + INTERVAL + SLACK < at).last();
    let surely = surely.expect("it has sent something by then").1;
    let told = bytes_in(&control, "killed");
    assert!((surely..=sent).contains(&told), "{told} is not in {surely}..={sent}");

    let again = proxies.remove(0).killed_and_restarted();
    let after = Pump::start(&again, "killed");
    thread::sleep(2 * INTERVAL);
    let more = after.stopped().last().expect("it has sent something").1;
    let lived = lives.stopped().last().expect("it has sent something").1;
    for (session, expected) in [("killed", told + more), ("lives", lived)] {
        let what = format!("{session} has {expected} bytes");
        eventually(&what, || (bytes_in(&control, session) == expected).then_some(()));
    }
    // Nothing comes late.
    thread::sleep(2 * INTERVAL);
    assert_eq!(bytes_in(&control, "killed"), told + more);
    assert_eq!(bytes_in(&control, "lives"), lived);
}
