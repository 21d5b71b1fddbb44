//! Traffic quotas: what is listed of them, and the task that shares them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portico_control::quotas::Quotas;
use portico_core::limits;
use portico_core::quota::{Known, Ledger, Policy};
use portico_core::session::Timestamp;
use prometheus::Registry;
use serde_json::json;

use crate::feed::Faulty;
use crate::world::World;

const POLICY: &[u8] = br#"{"buckets":[{"name":"ws","quotas":[
    {"bytes":1000,"window":"24h"},
    {"bytes":"1KB","window":"1h","kind":"sliding","on_exceed":"throttle","bytes_per_second":10}],
    "extractors":[
        {"protocol":"http","source":{"type":"jwt","token":"cookie:a","claim":"sub"}},
        {"protocol":"ssh","source":{"type":"permissions","field":"userId"}},
        {"protocol":"any","source":{"type":"workspace"}}]}]}"#;

fn policy() -> Policy {
    Policy::parse(POLICY).unwrap().0
}

fn charge(ledger: &Ledger, workspace: &str, bytes: u64, now: Timestamp) {
    let known = Known {
        fields: &[],
        client: [192, 0, 2, 1].into(),
        is_trusted: false,
        workspace,
        session: "one",
        user: None,
    };
    ledger.open(&known, now).charge(bytes);
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(since.as_millis() as u64)
}

/// The value of a metric with these labels.
fn metric(registry: &Registry, name: &str, action: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    let of_action = |metric: &&prometheus::proto::Metric| {
        metric.get_label().iter().any(|label| label.value() == action)
    };
    let metric = family.get_metric().iter().find(of_action).unwrap();
    metric.get_counter().get_value() + metric.get_gauge().get_value()
}

#[test]
fn the_policy_and_those_who_are_over_or_near_are_listed() {
    let world = World::start();
    let mut client = world.client();
    let nothing = json!({ "buckets": [], "items": [], "complete": true });
    assert_eq!(client.get("/v1/quotas").json(), nothing);
    world.quotas.replace(policy(), now());
    for (workspace, bytes) in [("far", 799), ("near", 800), ("over", 2_000)] {
        charge(&world.quotas, workspace, bytes, now());
    }
    let answer = client.get("/v1/quotas").json();
    let items = answer["items"].as_array().unwrap();
    let told: Vec<_> = items
        .iter()
        .map(|item| (item["value"].as_str().unwrap(), item["action"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("over", "deny"), ("over", "throttle"), ("near", "deny")]);
    assert_eq!((&items[0]["used_bytes"], &items[0]["quota_bytes"]), (&json!(2_000), &json!(1_000)));
    assert_eq!(items[0]["window_seconds"], 86_400);
    assert!(items[0]["window_ends_at"].is_string() && items[0]["clears_at"].is_string());
    assert!(items[1]["window_ends_at"].is_null() && items[2]["clears_at"].is_null());
    let bucket = &answer["buckets"][0];
    assert_eq!(
        bucket["quotas"][1],
        json!({ "bytes": 1_024, "window_seconds": 3_600, "kind": "sliding",
                "on_exceed": "throttle", "bytes_per_second": 10 })
    );
    assert_eq!(
        bucket["extractors"][0]["source"],
        json!({ "type": "jwt", "token": "cookie:a", "claim": "sub", "accept_unverified": false })
    );
}

#[test]
fn a_bounded_token_sees_nobody_elses_traffic() {
    let world = World::start();
    let bounds = r#""scopes":["usage:read"],"workspaces":["imaging"]"#;
    let mut bounded = world.client().make_token(&world, "bounded", bounds);
    bounded.get("/v1/quotas").assert_problem(403, "workspace-out-of-bounds", &[]);
}

#[test]
fn replicas_share_what_they_count_and_metrics_tell() {
    let world = World::start();
    let metrics = [Registry::new(), Registry::new()];
    let ledgers = [Arc::new(Ledger::new(policy())), Arc::new(Ledger::new(policy()))];
    let task =
        |at: usize| Quotas::new(ledgers[at].clone(), world.store.clone(), &metrics[at]).unwrap();
    let (mut one, mut two) = (task(0), task(1));
    let start = Timestamp(1_795_593_600_000);
    charge(&ledgers[0], "genomics", 600, start);
    world.block_on(one.talk(start));
    charge(&ledgers[1], "genomics", 600, start);
    let exceeded = |at: usize| metric(&metrics[at], "portico_quota_exceeded_total", "deny");
    assert_eq!(exceeded(0), 0.0, "shown from the beginning");
    world.block_on(two.talk(start));
    assert_eq!(exceeded(1), 1.0, "600 of its own and 600 of the other");
    let breached = || metric(&metrics[1], "portico_quota_breached_keys", "deny");
    assert_eq!(
        (breached(), metric(&metrics[1], "portico_quota_breached_keys", "throttle")),
        (1.0, 1.0)
    );
    let day = start.plus(Duration::from_secs(86_400));
    world.block_on(two.talk(day));
    assert_eq!((breached(), exceeded(1)), (0.0, 1.0));
    assert_eq!(metric(&metrics[1], "portico_quota_cleared_total", "deny"), 1.0);
}

/// An account with traffic has always something to tell.
#[test]
fn a_talk_ends_while_traffic_goes_on() {
    let world = World::start();
    let faulty = Arc::new(Faulty::new(world.store.clone()));
    let (ledger, calls) = (Arc::new(Ledger::new(policy())), Arc::new(AtomicU64::new(0)));
    let start = Timestamp(1_795_593_600_000);
    let (counted, called) = (ledger.clone(), calls.clone());
    let _ = faulty.meanwhile.set(Box::new(move || {
        charge(&counted, "genomics", 1, start);
        called.fetch_add(1, Ordering::SeqCst);
    }));
    let mut task = Quotas::new(ledger.clone(), faulty, &Registry::new()).unwrap();
    charge(&ledger, "genomics", 1, start);
    for talk in 1..=3 {
        world.block_on(task.talk(start));
        assert_eq!(calls.load(Ordering::SeqCst), talk);
    }
    assert_eq!(ledger.usage(0, start)[0].used, 4);
}

#[test]
fn a_talk_is_bounded_and_makes_room_while_it_goes_on() {
    let world = World::start();
    let faulty = Arc::new(Faulty::new(world.store.clone()));
    // Two windows each.
    let per_call = limits::QUOTA_DELTAS_MAX / 2;
    let room = per_call * (limits::QUOTA_ROUNDS_MAX + 8);
    let ledger = Arc::new(Ledger::with_room(policy(), room));
    let calls = Arc::new(AtomicU64::new(0));
    let fewest = Arc::new(AtomicU64::new(u64::MAX));
    let (counted, called, least) = (ledger.clone(), calls.clone(), fewest.clone());
    let _ = faulty.meanwhile.set(Box::new(move || {
        called.fetch_add(1, Ordering::SeqCst);
        least.fetch_min(counted.accounts() as u64, Ordering::SeqCst);
    }));
    let start = Timestamp(1_795_593_600_000);
    for value in 0..room {
        charge(&ledger, &format!("w{value}"), 0, start);
    }
    let mut task = Quotas::new(ledger.clone(), faulty, &Registry::new()).unwrap();
    world.block_on(task.talk(start));
    assert_eq!(calls.load(Ordering::SeqCst), limits::QUOTA_ROUNDS_MAX as u64);
    assert!(fewest.load(Ordering::SeqCst) < room as u64, "no room was made before it ended");
    world.block_on(task.talk(start));
    assert!(ledger.take_deltas(start).is_empty(), "the rest has its turn");
}

#[test]
fn while_the_store_is_away_a_replica_counts_for_itself() {
    let world = World::start();
    let faulty = Arc::new(Faulty::new(world.store.clone()));
    let (ledger, metrics) = (Arc::new(Ledger::new(policy())), Registry::new());
    let mut task = Quotas::new(ledger.clone(), faulty.clone(), &metrics).unwrap();
    let start = Timestamp(1_795_593_600_000);
    let used = |ledger: &Ledger| ledger.usage(0, start)[0].used;
    faulty.broken.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        charge(&ledger, "genomics", 200, start);
        world.block_on(task.talk(start));
    }
    assert_eq!(used(&ledger), 600);
    faulty.broken.store(false, Ordering::SeqCst);
    world.block_on(task.talk(start));
    assert_eq!(used(&ledger), 600);
    let other = Arc::new(Ledger::new(policy()));
    let mut task = Quotas::new(other.clone(), world.store.clone(), &Registry::new()).unwrap();
    charge(&other, "genomics", 0, start);
    world.block_on(task.talk(start));
    assert_eq!(used(&other), 600, "all of it arrived, once");
}

#[test]
fn what_the_store_refuses_for_ever_does_not_hold_up_the_rest() {
    let world = World::start();
    let faulty = Arc::new(Faulty::new(world.store.clone()));
    let (ledger, metrics) = (Arc::new(Ledger::new(policy())), Registry::new());
    let mut task = Quotas::new(ledger.clone(), faulty.clone(), &metrics).unwrap();
    let start = Timestamp(1_795_593_600_000);
    let dropped = || {
        let families = metrics.gather();
        let named = |name: &&prometheus::proto::MetricFamily| {
            name.name() == "portico_quota_batches_dropped_total"
        };
        families.iter().find(named).unwrap().get_metric()[0].get_counter().get_value()
    };
    charge(&ledger, "genomics", 600, start);
    faulty.refuses.store(true, Ordering::SeqCst);
    for talk in 1..=limits::QUOTA_REFUSALS_MAX {
        assert_eq!(dropped(), 0.0, "{talk}");
        world.block_on(task.talk(start));
    }
    assert_eq!((dropped(), ledger.usage(1, start)[0].used), (1.0, 600), "counted here still");
    faulty.refuses.store(false, Ordering::SeqCst);
    charge(&ledger, "genomics", 300, start);
    world.block_on(task.talk(start));
    assert_eq!((dropped(), ledger.usage(1, start)[0].used), (1.0, 300), "what others know");
}
