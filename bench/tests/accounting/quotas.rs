//! Quotas, on two replicas that share a Redis: a session is warned of, slowed down and refused in
//! turn, its policy is exchanged meanwhile, and beyond it goes no more than what is promised.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use portico_bench::world::client::Client;
use portico_bench::world::fleet::Member;
use portico_bench::world::redis::Redis;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{CONNECT_HOST, Io, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Error, Message};

use super::ends::{Plain, Tool};
use super::options;

const MEGABYTE: u64 = 1 << 20;

struct House {
    control: Member,
    proxies: Vec<Member>,
    policy: PathBuf,
    _redis: Redis,
    _files: TempDir,
}

impl House {
    fn start(quotas: &Value) -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let policy = files.path().join("quotas.json");
        write(&policy, quotas);
        let redis = Redis::start();
        let options =
            |io| options(io, "ebpf").set("PORTICO_QUOTAS__POLICY", policy.display().to_string());
        let control = Member::start("control", options(Io::Epoll), &redis);
        let proxies =
            [Io::Uring, Io::Epoll].map(|io| Member::start("proxy", options(io), &redis)).into();
        Self { control, proxies, policy, _redis: redis, _files: files }
    }

    fn session(&self, id: &str, upstream: &str) {
        let body = json!({
            "id": id, "workspace": "genomics", "owner": "ada", "tool": "other", "upstream": upstream
        });
        assert_eq!(self.control.api("POST", "/v1/sessions", Some(&body)).status, 201);
        for proxy in &self.proxies {
            eventually("the session is known", || {
                let known = proxy.client().get(CONNECT_HOST, &format!("/_studio/a{id}"));
                (known.status == 308).then_some(())
            });
        }
    }

    /// The sum of a metric over both proxies.
    fn metric(&self, name: &str, labels: &str) -> f64 {
        let of = |proxy: &Member| -> f64 {
            let text = Client::connect(proxy.management).get("management", "/metrics").text();
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(labels));
            lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
        };
        self.proxies.iter().map(of).sum()
    }

    fn status(&self, proxy: usize, id: &str) -> u16 {
        self.proxies[proxy].client().get(&host(id), "/1").status
    }
}

fn host(id: &str) -> String {
    format!("a{id}.{CONNECT_HOST}")
}

/// As one bucket, of sessions.
fn write(policy: &Path, quotas: &Value) {
    write_as("per-session", policy, quotas);
}

fn write_as(name: &str, policy: &Path, quotas: &Value) {
    let buckets = json!({ "buckets": [{
        "name": name,
        "quotas": quotas,
        "extractors": [{ "protocol": "any", "source": { "type": "session" } }],
    }]});
    std::fs::write(policy, buckets.to_string()).expect("the policy is written");
}

/// Goes there and back through a proxy until so many bytes went through, both ways together.
fn pump(proxy: &Member, id: &str, bytes: u64) -> Duration {
    let begun = Instant::now();
    let mut browser = Plain::connect(proxy.http.expect("a proxy has a plain listener"));
    browser.upgrade(&host(id));
    let message = vec![b'q'; 16 * 1024];
    while browser.bytes.now().0 + browser.bytes.now().1 < bytes {
        assert!(browser.try_echo(&message), "it was ended");
    }
    begun.elapsed()
}

#[test]
fn a_session_is_warned_of_slowed_down_and_refused_in_turn() {
    let warn = json!({ "bytes": "2MB", "window": "1h", "on_exceed": "warn" });
    let throttle = json!({
        "bytes": "4MB", "window": "1h", "on_exceed": "throttle", "bytes_per_second": 1_048_576
    });
    let deny = |bytes| json!({ "bytes": bytes, "window": "1h", "on_exceed": "deny" });
    let house = House::start(&json!([warn, throttle, deny("10MB")]));
    let (tool, sockets) = (Tool::start(), Upstream::websocket_echo());
    house.session("one", &tool.url());
    house.session("socket", &sockets.url());

    pump(&house.proxies[0], "one", 3 * MEGABYTE);
    eventually("a warning", || {
        let warned = house.metric("portico_quota_exceeded_total", "action=\"warn\"");
        (warned >= 1.0).then_some(())
    });
    // The other replica knows of it.
    pump(&house.proxies[1], "one", 2 * MEGABYTE);
    eventually("throttled", || {
        let slowed = house.metric("portico_quota_exceeded_total", "action=\"throttle\"");
        (slowed >= 1.0).then_some(())
    });
    // A replica learns what the others have counted when it has something to tell.
    pump(&house.proxies[0], "one", 1);
    thread::sleep(Duration::from_millis(1500));
    // A part of the pace for each replica; both ways of an echo are paced.
    let took = pump(&house.proxies[0], "one", 3 * MEGABYTE);
    assert!(took > Duration::from_millis(1500), "{took:?}");

    let ended = thread::scope(|scope| {
        let pumping = scope.spawn(|| {
            let mut browser = Plain::connect(house.proxies[1].http.expect("a plain listener"));
            browser.upgrade(&host("one"));
            while browser.try_echo(&[b'q'; 16 * 1024]) {}
        });
        pumping.join()
    });
    ended.expect("it is ended, once its quota is used up");
    for proxy in 0..2 {
        eventually("refused", || (house.status(proxy, "one") == 429).then_some(()));
    }
    let refused = house.proxies[0].client().get(&host("one"), "/1");
    let problem = refused.json();
    assert_eq!(problem["status"], 429);
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("per-session")));
    let wait: u64 = refused.field("retry-after").expect("a wait").parse().expect("seconds");
    assert!((3000..=3600).contains(&wait), "{wait}");
    assert!(house.metric("portico_connections_ended_total", "quota_exceeded") >= 1.0);

    // Also by a control that has no traffic of its own, once the replicas have told their shares.
    let listed = eventually("the control lists it as used up", || {
        let answer = house.control.api("GET", "/v1/quotas", None).json();
        let items = answer["items"].as_array()?.clone();
        let listed = |item: &Value| item["value"] == "one" && item["action"] == "deny";
        let item = items.into_iter().find(listed)?;
        (item["used_bytes"].as_u64() >= item["quota_bytes"].as_u64()).then_some(item)
    });
    assert_eq!(listed["bucket"], "per-session");

    write(&house.policy, &json!([deny("1GB")]));
    for proxy in 0..2 {
        eventually("open again", || (house.status(proxy, "one") == 200).then_some(()));
    }
    pump(&house.proxies[0], "one", 8 * MEGABYTE);

    // What is no policy changes nothing.
    std::fs::write(&house.policy, "{").expect("it is written");
    thread::sleep(Duration::from_secs(2));
    assert_eq!(house.status(0, "one"), 200);

    let mut socket = house.proxies[0].client().websocket(&host("socket"), "/", &[]);
    round_trip(&mut socket, "hello");
    // Another bucket, of which the open connection has no account yet.
    write_as("by-session", &house.policy, &json!([deny("64KB")]));
    thread::sleep(Duration::from_secs(2));
    let code = loop {
        if socket.send(Message::text("x".repeat(16 * 1024))).is_err() {
            continue;
        }
        match socket.read() {
            Ok(Message::Close(frame)) => break frame.map(|frame| u16::from(frame.code)),
            Ok(_) => {}
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => break None,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(code, Some(4429));
}

#[test]
fn replicas_go_beyond_a_quota_by_no_more_than_is_promised() {
    const QUOTA: u64 = 64 * MEGABYTE;
    let deny = json!({ "bytes": QUOTA, "window": "1h", "on_exceed": "deny" });
    let house = House::start(&json!([deny]));
    let tool = Tool::start();
    house.session("one", &tool.url());
    let total = Arc::new(AtomicU64::new(0));
    let fastest = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for proxy in &house.proxies {
            scope.spawn(|| {
                let mut browser = Plain::connect(proxy.http.expect("a plain listener"));
                browser.upgrade(&host("one"));
                let begun = Instant::now();
                let message = vec![b'q'; 16 * 1024];
                while browser.try_echo(&message) && !stop.load(SeqCst) {
                    // Some 16 MB/s each, so that a quota is not one talk with the store.
                    thread::sleep(Duration::from_millis(2));
                }
                let (received, sent) = browser.bytes.now();
                total.fetch_add(received + sent, SeqCst);
                let rate = (received + sent) as f64 / begun.elapsed().as_secs_f64();
                fastest.fetch_max(rate as u64, SeqCst);
            });
        }
        thread::sleep(Duration::from_secs(30));
        stop.store(true, SeqCst);
    });
    let (total, rate) = (total.load(SeqCst), fastest.load(SeqCst) as f64);
    // The formula of `core::quota`: two replicas; the store is talked to every second, or 100 ms
    // after a 64th of the quota; it answers within 50 ms; and connections are looked at four times
    // a second.
    let early = QUOTA as f64 / 64.0 + rate * 0.1;
    let bound = 2.0 * (rate.min(early) + 2.0 * rate * 0.05 + rate * 0.25);
    let beyond = total.saturating_sub(QUOTA);
    println!("{beyond} bytes beyond a quota of {QUOTA}, at {rate:.0} B/s each; bound {bound:.0}");
    assert!(total >= QUOTA, "{total} is not the quota");
    assert!((beyond as f64) <= bound, "{beyond} is more than {bound:.0}");
}
