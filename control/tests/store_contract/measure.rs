//! What a store costs, for whoever wants to know; no test of the suite:
//! `cargo test --release -p portico-control --test store_contract -- --ignored --nocapture`

use std::sync::Arc;
use std::time::{Duration, Instant};

use portico_control::store::{Bounds, Change, Position, Store};
use portico_core::session::Session;

use crate::rules::{Shared, create, session};

const SESSIONS: usize = 100_000;
const TASKS: usize = 64;

async fn fill(store: &Shared) -> Duration {
    let begin = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in (task..SESSIONS).step_by(TASKS) {
                let workspace = format!("w{}", number % 100).parse().unwrap();
                create(&store, Session { workspace, ..session(&format!("s{number}")) }).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    begin.elapsed()
}

/// From the call of a creation to the change in a follower's hands, and to the acknowledgement.
async fn latencies(store: &Shared, mut after: Position) -> (Vec<Duration>, Vec<Duration>) {
    let (mut seen, mut acknowledged) = (Vec::new(), Vec::new());
    for number in 0..2_000 {
        let follower = {
            let store = store.clone();
            tokio::spawn(async move {
                let entries = store.changes(after).await.unwrap().unwrap();
                assert!(matches!(entries[0].change, Change::Put(_)));
                Instant::now()
            })
        };
        tokio::time::sleep(Duration::from_millis(2)).await;
        let begin = Instant::now();
        let record = create(store, session(&format!("t{number}"))).await;
        acknowledged.push(begin.elapsed());
        after = Position(record.version.0);
        seen.push(follower.await.unwrap() - begin);
    }
    seen.sort_unstable();
    acknowledged.sort_unstable();
    (seen, acknowledged)
}

async fn measure(name: &str, store: Arc<dyn Store>) {
    let filled = fill(&store).await;
    let begin = Instant::now();
    let snapshot = store.snapshot().await.unwrap();
    let loaded = begin.elapsed();
    assert_eq!(snapshot.records.len(), SESSIONS);
    let (seen, acknowledged) = latencies(&store, snapshot.position).await;
    let of = |all: &[Duration]| [all[all.len() / 2], all[all.len() * 99 / 100]];
    let per_second = SESSIONS as f64 / filled.as_secs_f64();
    eprintln!("{name}: {per_second:.0} writes/s of {TASKS} tasks; snapshot of 100k {loaded:?}");
    eprintln!("{name}: p50, p99 acknowledged {:?}, followed {:?}", of(&acknowledged), of(&seen));
}

macro_rules! measures {
    ($($name:ident: $open:path),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "it measures, and takes a minute"]
        async fn $name() {
            let (store, _keep) = $open(Bounds::default()).await;
            measure(stringify!($name), store).await;
        }
    )*};
}

measures!(
    embedded: crate::embedded::open,
    redis_alone: crate::redis::alone,
    redis_with_tls: crate::redis::with_tls_and_acl,
    redis_with_a_replica: crate::redis::with_sentinel,
);
