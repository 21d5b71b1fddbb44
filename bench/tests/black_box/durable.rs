//! What was acknowledged is there afterwards: control killed in the middle of a thousand writes on
//! both stores, Redis away under load, and everything moved from one store to the other.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portico_bench::world::api::api_request;
use portico_bench::world::client::Client;
use portico_bench::world::fleet::Member;
use portico_bench::world::redis::Redis;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{World, eventually};
use serde_json::{Value, json};

use crate::{Io, options, world};

const WRITES: usize = 1_000;

/// Writes from several connections at once until the other side is gone; answers the ids that were
/// acknowledged.
fn write_until_killed(
    control: std::net::SocketAddr,
    acknowledged: &Arc<Mutex<BTreeSet<String>>>,
    done: &AtomicUsize,
) {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let acknowledged = acknowledged.clone();
            scope.spawn(move || {
                let mut client = Client::connect(control);
                for number in 0..WRITES / 8 {
                    let id = format!("{thread}x{number}");
                    let body = json!({
                        "id": id, "workspace": "w", "owner": "o", "tool": "t",
                        "upstream": "http://127.0.0.1:9", "labels": { "number": id }
                    });
                    let sent = client.try_send(api_request("POST", "/v1/sessions", Some(&body)));
                    let answer = sent.and_then(|()| client.try_response());
                    match answer {
                        Ok(answer) if answer.status == 201 => {
                            acknowledged.lock().expect("nobody panicked").insert(id);
                            done.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => return,
                    }
                }
            });
        }
    });
}

/// Every one that is listed is whole, and all that were acknowledged are listed.
fn check(list: impl Fn(&str) -> Value, acknowledged: &BTreeSet<String>) {
    let mut found = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = list(&format!("/v1/sessions?limit=1000{cursor}"));
        for item in page["items"].as_array().expect("a page has items") {
            let id = item["id"].as_str().expect("an id").to_owned();
            assert_eq!(item["labels"]["number"], json!(id), "a half session: {item}");
            found.insert(id);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "of {} acknowledged are lost: {lost:?}", acknowledged.len());
}

/// Kills when some are done, while the others are on their way.
fn killed_amid_writes(control: std::net::SocketAddr, kill: impl FnOnce()) -> BTreeSet<String> {
    let acknowledged = Arc::<Mutex<BTreeSet<String>>>::default();
    let done = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| write_until_killed(control, &acknowledged, &done));
        eventually("half of them are written", || {
            (done.load(Ordering::SeqCst) >= WRITES / 2).then_some(())
        });
        kill();
    });
    let acknowledged = acknowledged.lock().expect("nobody panicked").clone();
    assert!(acknowledged.len() >= WRITES / 2);
    println!("{} of {WRITES} were acknowledged before the kill", acknowledged.len());
    acknowledged
}

#[test]
fn an_embedded_store_has_all_that_was_acknowledged_before_a_kill() {
    let mut world = world(Io::Epoll);
    let control = world.control;
    let acknowledged = killed_amid_writes(control, || world.process.kill());
    let world = world.killed_and_restarted(options(Io::Epoll));
    check(|target| world.api("GET", target, None).json(), &acknowledged);
}

#[test]
fn redis_has_all_that_was_acknowledged_before_its_control_was_killed() {
    let redis = Redis::start();
    let mut control = Member::start("control", options(Io::Epoll), &redis);
    let address = control.control.expect("a control has an API");
    let acknowledged = killed_amid_writes(address, || control.process.kill());
    let control = control.killed_and_restarted();
    check(|target| control.api("GET", target, None).json(), &acknowledged);
}

/// A few seconds here; PORTICO_OUTAGE_SECONDS makes it longer.
#[test]
fn with_redis_away_under_load_no_request_to_a_known_session_fails() {
    let outage: u64 = std::env::var("PORTICO_OUTAGE_SECONDS")
        .map_or(4, |seconds| seconds.parse().expect("a number of seconds"));
    let mut redis = Redis::start();
    let control = Member::start("control", options(Io::Epoll), &redis);
    let proxies = [Io::Uring, Io::Epoll].map(|io| Member::start("proxy", options(io), &redis));
    let upstream = Upstream::echo();
    let body = json!({
        "id": "one", "workspace": "w", "owner": "o", "tool": "t", "upstream": upstream.url()
    });
    assert_eq!(control.api("POST", "/v1/sessions", Some(&body)).status, 201);
    let host = "aone.connect.example.com";
    for proxy in &proxies {
        eventually("it is routable", || {
            (proxy.client().get(host, "/").status == 200).then_some(())
        });
    }
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for proxy in proxies.iter().cycle().take(8) {
            let (over, answered) = (&over, &answered);
            scope.spawn(move || {
                let mut client = proxy.client();
                while !over.load(Ordering::SeqCst) {
                    assert_eq!(client.get(host, "/").status, 200);
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        redis.kill();
        let killed = Instant::now();
        while killed.elapsed() < Duration::from_secs(outage) {
            std::thread::sleep(Duration::from_millis(100));
        }
        redis.restart();
        for proxy in &proxies {
            eventually("it has recovered", || {
                (proxy.readiness().json()["degraded"] == false).then_some(())
            });
        }
        over.store(true, Ordering::SeqCst);
    });
    let answered = answered.load(Ordering::SeqCst);
    println!("{answered} requests over an outage of {outage} s, none failed");
    assert!(answered > 1_000, "{answered}");
}

/// From a file to Redis, twice, with what the command says.
#[test]
fn a_store_is_exported_and_imported_into_another_kind() {
    let redis = Redis::start();
    let world = world(Io::Epoll);
    for number in 0..5 {
        let created = world.create(&json!({ "id": format!("s{number}"), "labels": { "n": "1" } }));
        assert_eq!(created.status, 201);
    }
    let limits = json!({ "sessions_max": 7 });
    assert_eq!(world.api("PUT", "/v1/workspaces/genomics", Some(&limits)).status, 200);
    let before = world.api("GET", "/v1/sessions", None).json();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let backup = directory.path().join("backup").display().to_string();
    let embedded = format!("embedded:{}", world.directory().join("store").display());
    let portico = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_portico")).args(arguments).output();
        let output = output.expect("portico can be run");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = portico(&["store", "export", "--store-url", &embedded, &backup]);
    assert_eq!(code, Some(64), "it is in use: {told}");
    // Only its files are left.
    let _ended = end(world);

    let (code, told) = portico(&["store", "export", "--store-url", &embedded, &backup]);
    assert_eq!((code, told.contains("5 sessions and 1 documents")), (Some(0), true), "{told}");
    let (code, told) = portico(&["store", "import", "--store-url", &redis.url(), &backup]);
    assert_eq!((code, told.contains("6 created")), (Some(0), true), "{told}");
    let (code, told) = portico(&["store", "import", "--store-url", &redis.url(), &backup]);
    assert_eq!((code, told.contains("6 were there already")), (Some(0), true), "{told}");

    let control = Member::start("control", options(Io::Epoll), &redis);
    let strip = |mut page: Value| {
        for item in page["items"].as_array_mut().expect("a page has items") {
            item["version"].take();
        }
        page
    };
    assert_eq!(strip(control.api("GET", "/v1/sessions", None).json()), strip(before));
    let shown = control.api("GET", "/v1/workspaces/genomics", None).json();
    assert_eq!(shown["sessions_max"], 7);
}

/// Keeps the directory, which goes with the world.
fn end(world: World) -> World {
    world.signal(portico_bench::world::process::Signal::SIGKILL);
    let mut world = world;
    world.process.ended();
    world
}
