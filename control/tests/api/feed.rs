//! From the API into the table: what is published, how soon, and what happens on a gap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use portico_control::feed::{self, FeedSettings};
use portico_control::store::embedded::Embedded;
use portico_control::store::{
    Added, Answer, AuditPage, AuditQuery, Author, Beat, Bounds, Change, Conflict,
    Entry as LogEntry, Expected, Gap, Page, Position, Query, Snapshot, Store, StoreError, Stored,
    UsageBatch, UsageQuery, Write,
};
use portico_core::activity::Activity;
use portico_core::label::{Label, SessionId};
use portico_core::quota::{Batch, Total};
use portico_core::record::{Document, DocumentKey, Kind, Record};
use portico_core::route::{Entry, RouteTable};
use portico_core::session::{Name, Session, State};
use portico_core::usage::Usage;
use tempfile::TempDir;

use crate::world::{World, routes};

#[test]
fn the_table_follows_the_api() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    world.until("aone", in_state(State::Running));
    client.patch("/v1/sessions/one", r#"{"state":"stopping"}"#);
    world.until("aone", in_state(State::Stopping));
    client.delete("/v1/sessions/one");
    world.until("aone", |entry| matches!(entry, Some(Entry::Gone)));
    client.create(r#""id":"one""#);
    world.until("aone", in_state(State::Running));
    assert_eq!(world.table.load().len(), 1);
    let status = world.feed.status();
    assert_eq!((status.position.0, status.snapshots, status.failure), (4, 1, None));
}

fn in_state(state: State) -> impl Fn(Option<&Entry>) -> bool {
    move |entry| matches!(entry, Some(Entry::Route(route)) if route.state == state)
}

/// Prints how long creating takes and how soon after the answer the table has it. The limits are
/// far above what is seen, so that only a lost wake-up fails here.
#[test]
fn a_thousand_sessions_are_in_the_table_right_after_their_answers() {
    let world = World::start();
    let mut client = world.client();
    let mut waits = Vec::new();
    let started = Instant::now();
    for number in 0..1000 {
        assert_eq!(client.create(&format!(r#""id":"s{number}""#)).status, 201);
        let answered = Instant::now();
        world.until(&format!("as{number}"), |entry| entry.is_some());
        waits.push(answered.elapsed());
    }
    let one_by_one = started.elapsed();
    waits.sort_unstable();
    println!(
        "1,000 sessions one by one in {one_by_one:?}; from the answer to the table: \
         p50 {:?}, p99 {:?}, most {:?}",
        waits[500], waits[990], waits[999]
    );
    assert!(waits[500] < Duration::from_millis(50));

    let started = Instant::now();
    std::thread::scope(|scope| {
        for group in 0..16 {
            let mut client = world.client();
            scope.spawn(move || {
                for number in 0..100 {
                    assert_eq!(client.create(&format!(r#""id":"g{group}-{number}""#)).status, 201);
                }
            });
        }
    });
    println!("1,600 sessions over 16 connections in {:?}", started.elapsed());
    until(|| world.table.load().len() == 2600);
}

/// One commit that is longer than the log leaves every follower behind a gap.
#[test]
fn after_a_gap_the_table_is_right_again() {
    let world = World::start();
    world.client().create(r#""id":"one""#);
    let template = world.block_on(world.store.snapshot()).unwrap().records.remove(0).session;
    let directory = TempDir::new().unwrap();
    let bounds = Bounds { log_entries: 3, tombstones: 2, ..Bounds::default() };
    world.block_on(async {
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(directory.path().into(), bounds).await.unwrap());
        let table = Arc::new(ArcSwap::from_pointee(RouteTable::default()));
        let feed =
            feed::start(store.clone(), routes(&table), FeedSettings::default()).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut created = 0;
        // All in the queue at once, so that the writer takes many into one commit.
        while feed.status().snapshots == 1 {
            assert!(Instant::now() < deadline, "no gap after {created} sessions");
            let puts: Vec<_> = (created..created + 100)
                .map(|number| {
                    let session = renamed(&template, &format!("s{number}"));
                    let store = store.clone();
                    tokio::spawn(async move { store.put(session, Expected::Absent).await })
                })
                .collect();
            for put in puts {
                put.await.unwrap().unwrap().unwrap();
                created += 1;
            }
        }
        let end = store.snapshot().await.unwrap().position;
        until(|| feed.status().position >= end);
        assert_eq!((table.load().len(), feed.status().failure), (created, None));
    });
}

fn renamed(template: &Session, id: &str) -> Session {
    let id = SessionId::parse(id).unwrap();
    Session { label: Label::of(&id), id, ..template.clone() }
}

/// A store whose log cannot be read while `broken` says so; everything else is the real one.
pub struct Faulty {
    inner: Arc<dyn Store>,
    pub broken: AtomicBool,
    /// It is there, and takes no quotas.
    pub refuses: AtomicBool,
    /// One session of the snapshot and the change at position 2, as a newer Portico leaves them.
    unreadable: AtomicBool,
    /// Done before quotas are charged.
    pub meanwhile: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            broken: AtomicBool::new(false),
            refuses: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
            meanwhile: OnceLock::new(),
        }
    }
}

impl Store for Faulty {
    fn write(&self, write: Write, by: Author) -> Answer<'_, Result<Stored, Conflict>> {
        self.inner.write(write, by)
    }

    fn fetch(&self, id: SessionId) -> Answer<'_, Option<Record>> {
        self.inner.fetch(id)
    }

    fn list(&self, query: Query) -> Answer<'_, Page> {
        self.inner.list(query)
    }

    fn document(&self, key: DocumentKey) -> Answer<'_, Option<Document>> {
        self.inner.document(key)
    }

    fn documents(&self, kind: Kind) -> Answer<'_, Vec<Document>> {
        self.inner.documents(kind)
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        let unreadable = u64::from(self.unreadable.load(Ordering::SeqCst));
        let snapshot = self.inner.snapshot();
        Box::pin(async move { Ok(Snapshot { unreadable, ..snapshot.await? }) })
    }

    fn changes(&self, after: Position) -> Answer<'_, Result<Vec<LogEntry>, Gap>> {
        if self.broken.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::UnknownChange("later".to_owned())) });
        }
        let unreadable = self.unreadable.load(Ordering::SeqCst);
        let changes = self.inner.changes(after);
        Box::pin(async move {
            let mut changes = changes.await?;
            for entry in changes.iter_mut().flatten() {
                if unreadable && entry.position.0 == 2 {
                    entry.change = Change::Unreadable("damaged".to_owned());
                }
            }
            Ok(changes)
        })
    }

    fn audit(&self, query: AuditQuery) -> Answer<'_, AuditPage> {
        self.inner.audit(query)
    }

    fn add_usage(&self, batch: UsageBatch) -> Answer<'_, Added> {
        self.inner.add_usage(batch)
    }

    fn usage(&self, query: UsageQuery) -> Answer<'_, Vec<Usage>> {
        self.inner.usage(query)
    }

    fn activity(&self, session: SessionId) -> Answer<'_, Vec<(Name, Activity)>> {
        self.inner.activity(session)
    }

    fn beat(&self, beat: Beat, ttl: Duration) -> Answer<'_, ()> {
        self.inner.beat(beat, ttl)
    }

    fn beating(&self) -> Answer<'_, Vec<Beat>> {
        self.inner.beating()
    }

    fn charge_quotas(&self, batch: Batch) -> Answer<'_, Vec<Total>> {
        if self.broken.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Ended) });
        }
        if self.refuses.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::UnknownChange("never".to_owned())) });
        }
        if let Some(meanwhile) = self.meanwhile.get() {
            meanwhile();
        }
        self.inner.charge_quotas(batch)
    }

    fn identity(&self) -> Answer<'_, Arc<str>> {
        self.inner.identity()
    }

    fn adopt(&self) -> Answer<'_, Arc<str>> {
        self.inner.adopt()
    }
}

#[test]
fn while_the_store_fails_the_table_stays_and_then_catches_up() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    let inner = Faulty::new(world.store.clone());
    let store = Arc::new(Faulty { broken: AtomicBool::new(true), ..inner });
    let table = Arc::new(ArcSwap::from_pointee(RouteTable::default()));
    let feed = world
        .block_on(feed::start(store.clone(), routes(&table), FeedSettings::default()))
        .unwrap();
    client.create(r#""id":"two""#);
    until(|| feed.status().failure.is_some_and(|failure| failure.contains("later")));
    assert_eq!((table.load().len(), feed.status().position.0), (1, 1));
    store.broken.store(false, Ordering::SeqCst);
    until(|| table.load().len() == 2);
    until(|| feed.status().failure.is_none());
}

#[test]
fn what_cannot_be_read_is_counted_and_stops_nothing() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    let inner = Faulty::new(world.store.clone());
    let store = Arc::new(Faulty { unreadable: AtomicBool::new(true), ..inner });
    let table = Arc::new(ArcSwap::from_pointee(RouteTable::default()));
    let feed = feed::start(store, routes(&table), FeedSettings::default());
    let feed = world.block_on(feed).unwrap();
    assert_eq!(feed.status().unreadable, 1);
    client.create(r#""id":"two""#);
    until(|| feed.status().position.0 == 2);
    assert_eq!((feed.status().unreadable, table.load().len()), (2, 1));
    client.create(r#""id":"three""#);
    until(|| table.load().len() == 2);
    assert_eq!(feed.status().failure, None);
}

fn until(is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}
