//! Against the embedded store, behind one that fails and loses answers on purpose.

use std::sync::atomic::{AtomicU64, Ordering};

use portico_core::label::SessionId;
use portico_core::usage::{Counted, Hour, Usage, UsageKey};
use prometheus::Registry;
use tempfile::TempDir;

use super::*;
use crate::store::embedded::Embedded;
use crate::store::faulty::{Fault, Faulty};
use crate::store::{Bounds, UsageQuery};

struct World {
    store: Arc<Faulty>,
    registry: Registry,
    /// What is read next.
    bytes: Arc<AtomicU64>,
    _directory: TempDir,
}

struct Bytes(Arc<AtomicU64>);

impl Source for Bytes {
    fn read(
        &mut self,
        clock: fn() -> Timestamp,
    ) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>> {
        let bytes_in = self.0.swap(0, Ordering::Relaxed);
        let of = UsageKey {
            hour: Hour::of(clock()),
            workspace: "genomics".parse().unwrap(),
            user: "ada".parse().unwrap(),
            session: SessionId::parse("one").unwrap(),
        };
        let counted = Counted { bytes_in, ..Counted::default() };
        let usage = vec![Usage { of, counted }];
        Box::pin(std::future::ready(Reading { usage, activity: Vec::new() }))
    }
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let store = Embedded::open(directory.path().into(), Bounds::default()).await.unwrap();
        let store = Arc::new(Faulty::new(Arc::new(store)));
        Self { store, registry: Registry::new(), bytes: Arc::default(), _directory: directory }
    }

    fn start(&self, interval: Duration) -> Metering {
        let source = Bytes(self.bytes.clone());
        let counters = MeterCounters::register(&self.registry);
        Metering::start(self.store.clone(), "w1".parse().unwrap(), interval, counters, source)
    }

    async fn written(&self) -> u64 {
        let Hour(hour) = Hour::of(clock::now());
        let rows = self.store.usage(UsageQuery::hours(Hour(hour - 1), Hour(hour + 1)));
        let rows = rows.await.unwrap();
        rows.iter().map(|row| row.counted.bytes_in).sum()
    }

    fn metric(&self, line: &str) -> bool {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather());
        text.unwrap().lines().any(|found| found == line)
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        for _ in 0..1_000 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not in time: {what}");
    }
}

const SOON: Duration = Duration::from_millis(5);
const NEVER: Duration = Duration::from_secs(3600);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_counted_is_written_at_intervals() {
    let world = World::new().await;
    let metering = world.start(SOON);
    for sum in [5, 10] {
        world.bytes.store(5, Ordering::Relaxed);
        world.until("it is written", async || world.written().await == sum).await;
    }
    world.bytes.store(7, Ordering::Relaxed);
    assert!(metering.finish(LONG).await);
    assert_eq!(world.written().await, 17);
    assert!(world.metric("portico_usage_rows_pending 0"));
    assert!(world.metric("portico_usage_batches_total{result=\"written\"} 3"));
}

#[tokio::test]
async fn what_is_answered_or_not_is_counted_once() {
    for fault in [Fault::Refuse, Fault::LoseAnswer] {
        let world = World::new().await;
        world.store.fail(fault);
        let metering = world.start(SOON);
        world.bytes.store(5, Ordering::Relaxed);
        world.until("it is tried", async || world.store.tries() > 2).await;
        world.bytes.store(6, Ordering::Relaxed);
        world.until("it is read", async || world.bytes.load(Ordering::Relaxed) == 0).await;
        world.store.fail(Fault::None);
        world.until("it is written", async || world.written().await == 11).await;
        assert!(metering.finish(LONG).await);
        assert_eq!(world.written().await, 11, "{fault:?}");
        assert!(world.metric("portico_usage_rows_dropped_total 0"));
    }
}

#[tokio::test]
async fn the_last_of_it_is_written_at_the_end_or_said_to_be_lost() {
    let world = World::new().await;
    world.bytes.store(5, Ordering::Relaxed);
    assert!(world.start(NEVER).finish(LONG).await);
    assert_eq!(world.written().await, 5);
    world.store.fail(Fault::Refuse);
    world.bytes.store(6, Ordering::Relaxed);
    assert!(!world.start(NEVER).finish(Duration::from_millis(50)).await);
    assert_eq!(world.written().await, 5);
}

#[tokio::test]
async fn a_process_that_comes_back_under_its_name_goes_on() {
    let world = World::new().await;
    for sum in [5, 10, 15] {
        world.bytes.store(5, Ordering::Relaxed);
        assert!(world.start(NEVER).finish(LONG).await);
        assert_eq!(world.written().await, sum);
        // Its batches are a millisecond apart, as starts of a process are by far.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
