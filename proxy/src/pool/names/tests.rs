//! Against a resolver that answers when it is told to, on a real worker's runtime. The clock is the
//! worker's and stands still unless a test moves it; tokio's is real.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use portico_core::network::UpstreamNetworks;

use super::*;
use crate::io::{Driver, EventLoop};
use crate::metrics::WorkerCounters;
use crate::watch::Watches;

/// `dead…` blocks until its permit comes, and fails then; `none` fails at once; others are found.
struct Fake {
    asked: AtomicUsize,
    permits: Mutex<mpsc::Receiver<()>>,
}

struct World {
    names: Names,
    fake: Arc<Fake>,
    /// Dropped: every dead name fails.
    release: Option<mpsc::Sender<()>>,
    driver: Driver,
    networks: UpstreamNetworks,
    counters: WorkerCounters,
    clock: Rc<Watches>,
}

fn in_world<F: AsyncFnOnce(World)>(test: F) {
    let run = async |driver: Driver| {
        let (release, permits) = mpsc::channel();
        let fake = Arc::new(Fake { asked: AtomicUsize::new(0), permits: Mutex::new(permits) });
        let resolver = fake.clone();
        let names = Names::with(Arc::new(move |name| resolver.resolve(name)));
        let world = World {
            names,
            fake,
            release: Some(release),
            driver,
            networks: UpstreamNetworks::default(),
            counters: WorkerCounters::default(),
            clock: Watches::new(),
        };
        test(world).await;
    };
    EventLoop::epoll().expect("a runtime can be made").run(run);
}

impl Fake {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if name.starts_with("dead") {
            let permits = self.permits.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = permits.recv();
        }
        match name.starts_with("dead") || name == "none" {
            true => Err(io::Error::other("no such name")),
            false => Ok(vec![IpAddr::from([10, 0, 0, 7]); 9]),
        }
    }
}

impl World {
    async fn find(&self, name: &str) -> usize {
        let context = Context {
            driver: &self.driver,
            networks: &self.networks,
            counters: &self.counters,
            clock: &self.clock,
        };
        self.names.addresses(name, &context).await.len()
    }

    fn asked(&self) -> usize {
        self.fake.asked.load(Ordering::SeqCst)
    }

    fn pass(&self, time: Duration) {
        for _ in 0..ticks(time) {
            self.clock.sweep(None, &self.counters);
        }
        self.names.sweep(self.clock.now());
    }
}

#[test]
fn who_asks_at_the_same_time_shares_one_lookup_and_the_next_its_answer() {
    in_world(async |world| {
        let (a, b, c) = tokio::join!(world.find("here"), world.find("here"), world.find("here"));
        assert_eq!([a, b, c], [limits::UPSTREAM_ADDRESSES_MAX; 3]);
        assert_eq!(world.find("here").await, limits::UPSTREAM_ADDRESSES_MAX);
        assert_eq!(world.asked(), 1);
        world.pass(limits::RESOLVE_CACHE_TTL);
        assert_eq!(world.find("here").await, limits::UPSTREAM_ADDRESSES_MAX);
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_failure_is_remembered_for_a_moment() {
    in_world(async |world| {
        for _ in 0..100 {
            assert_eq!(world.find("none").await, 0);
        }
        assert_eq!(world.asked(), 1);
        world.pass(limits::RESOLVE_FAILURE_TTL);
        assert_eq!(world.find("none").await, 0);
        assert_eq!(world.asked(), 2);
    });
}

#[test]
fn a_lookup_that_hangs_is_waited_for_once_and_hurts_no_other_name() {
    in_world(async |mut world| {
        let begun = Instant::now();
        let (dead, again, here) =
            tokio::join!(world.find("dead"), world.find("dead"), world.find("here"));
        assert_eq!([dead, again, here], [0, 0, limits::UPSTREAM_ADDRESSES_MAX]);
        assert!(begun.elapsed() >= limits::CONNECT_TIMEOUT);
        world.pass(limits::CONNECT_TIMEOUT);
        let begun = Instant::now();
        for _ in 0..100 {
            assert_eq!(world.find("dead").await, 0);
        }
        assert!(begun.elapsed() < limits::CONNECT_TIMEOUT);
        assert_eq!(world.asked(), 2);
        world.release = None;
    });
}

#[test]
fn lookups_under_way_are_bounded() {
    in_world(async |mut world| {
        let release = world.release.take();
        let world = Rc::new(world);
        for n in 0..=limits::UPSTREAM_LOOKUPS_MAX {
            let world = world.clone();
            crate::io::spawn(async move {
                world.find(&format!("dead{n}")).await;
            });
        }
        // None of them can end, so the last one has no place.
        let deadline = Instant::now() + Duration::from_secs(10);
        while world.asked() < limits::UPSTREAM_LOOKUPS_MAX {
            assert!(Instant::now() < deadline, "only {} have begun", world.asked());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(world.asked(), limits::UPSTREAM_LOOKUPS_MAX);
        assert_eq!(world.names.places.available_permits(), 0);
        drop(release);
        // Now it has its turn, and whoever comes then.
        assert_eq!(world.find(&format!("dead{}", limits::UPSTREAM_LOOKUPS_MAX)).await, 0);
        assert_eq!(world.asked(), limits::UPSTREAM_LOOKUPS_MAX + 1);
        assert_eq!(world.find("here").await, limits::UPSTREAM_ADDRESSES_MAX);
    });
}
