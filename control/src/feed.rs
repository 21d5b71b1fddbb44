//! The feed: brings what the store holds to those who follow it, by the snapshot first and the
//! change log from there. When the store fails, followers keep what they have and the feed tries
//! again: traffic never waits for a store.

mod cache;
mod routes;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portico_core::limits;
use portico_core::record::{DocumentKey, Kind};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::store::{Entry, Position, Snapshot, Store, StoreError};
use cache::Cache;

pub use routes::{Routes, SharedTable};
use status::SharedStatus;
pub use status::{FeedStatus, Source};

/// Who wants to know what the store holds.
pub trait Follower: Send + Sync {
    /// Everything anew: at the start, and when changes were missed.
    fn load(&mut self, snapshot: &Snapshot);

    /// What changed since, in order; at most once each.
    fn follow(&mut self, entries: &[Entry]);
}

/// What a feed does while its store is away.
#[derive(Debug, Clone, Default)]
pub struct FeedSettings {
    /// Where the last that was known is kept, for a start without the store.
    pub cache: Option<PathBuf>,
    /// A start without the store is no failure: it will come.
    pub patient: bool,
    /// Nothing is served from what is older than this; None: from whatever was known last.
    pub stale_max: Option<Duration>,
}

/// The running feed. It ends when this is dropped; followers then keep what they have.
#[must_use = "the feed ends when its handle is dropped"]
pub struct FeedHandle {
    task: JoinHandle<()>,
    status: SharedStatus,
}

/// Which store an operator accepted in place of the one that was known: the body of the document
/// `store/accepted`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    pub v: u32,
    pub identity: String,
}

/// Returns when every follower has the snapshot, or, for a patient feed, what the cache holds; a
/// task follows the change log from then on.
pub async fn start(
    store: Arc<dyn Store>,
    followers: Vec<Box<dyn Follower>>,
    settings: FeedSettings,
) -> Result<FeedHandle, StoreError> {
    let status = SharedStatus::default();
    let cache = settings.cache.clone().map(Cache::new);
    let mut feed =
        Feed { store, followers, cache, settings, identity: None, status: status.clone() };
    feed.load_cached();
    let position = match feed.load().await {
        Ok(position) => Some(position),
        Err(error) if feed.settings.patient && !error.is_settings() => {
            feed.failed(&error, limits::FEED_RETRY_MIN);
            None
        }
        Err(error) => return Err(error),
    };
    Ok(FeedHandle { task: tokio::spawn(feed.run(position)), status })
}

impl FeedHandle {
    pub fn status(&self) -> FeedStatus {
        let mut status = self.status.now();
        if self.task.is_finished() && status.failure.is_none() {
            status.failure = Some("the feed has ended".to_owned());
        }
        status
    }
}

impl Drop for FeedHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Feed {
    store: Arc<dyn Store>,
    followers: Vec<Box<dyn Follower>>,
    cache: Option<Cache>,
    settings: FeedSettings,
    /// Of the store that followers have theirs from.
    identity: Option<Arc<str>>,
    status: SharedStatus,
}

impl Feed {
    /// `position` is none while nothing was loaded from the store.
    async fn run(mut self, mut position: Option<Position>) {
        let mut pause = limits::FEED_RETRY_MIN;
        let mut failing_since = position.is_none().then(Instant::now);
        loop {
            match self.advance(position).await {
                Ok(reached) => {
                    position = Some(reached);
                    pause = limits::FEED_RETRY_MIN;
                    failing_since = None;
                }
                Err(StoreError::Ended) => return self.failed(&StoreError::Ended, Duration::ZERO),
                Err(error) => {
                    let pause_now = jittered(pause);
                    self.failed(&error, pause_now);
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if self.settings.stale_max.is_some_and(|max| since.elapsed() > max) {
                        self.drop_what_is_stale();
                        position = None;
                    }
                    tokio::time::sleep(pause_now).await;
                    pause = (pause * 2).min(limits::FEED_RETRY_MAX);
                }
            }
        }
    }

    /// One step: the next changes, or everything when they are gone from the log.
    async fn advance(&mut self, position: Option<Position>) -> Result<Position, StoreError> {
        let Some(position) = position else { return self.load().await };
        let changes = match self.store.changes(position).await {
            // Whether it may be taken is decided where stores are opened.
            Err(StoreError::Replaced { .. }) => return self.load().await,
            changes => changes?,
        };
        match changes {
            Ok(entries) => {
                let reached = entries.last().map_or(position, |entry| entry.position);
                self.followers.iter_mut().for_each(|follower| follower.follow(&entries));
                if let Some(cache) = &mut self.cache {
                    cache.follow(&entries);
                    if cache.wants_snapshot() {
                        return self.load().await;
                    }
                }
                let unreadable = entries.iter().filter(|entry| entry.change.is_unreadable());
                self.status.reached(reached, unreadable.count() as u64);
                Ok(reached)
            }
            Err(gap) => {
                tracing::warn!(position = position.0, "{gap}: loading the snapshot");
                self.load().await
            }
        }
    }

    async fn load(&mut self) -> Result<Position, StoreError> {
        let identity = self.identity().await?;
        let snapshot = self.store.snapshot().await?;
        self.give(&snapshot);
        if let Some(cache) = &mut self.cache {
            cache.load(&identity, &snapshot);
        }
        self.identity = Some(identity);
        self.status.loaded(&snapshot, Source::Store);
        Ok(snapshot.position)
    }

    /// The store's, unless it is another store than before: one that was emptied or exchanged is
    /// not obeyed until an operator says so.
    async fn identity(&self) -> Result<Arc<str>, StoreError> {
        let (known, found) = match (self.store.identity().await, &self.identity) {
            (Ok(found), Some(known)) if *found != **known => (known.to_string(), found.to_string()),
            (Ok(found), _) => return Ok(found),
            (Err(StoreError::Replaced { known, found }), _) => (known, found),
            (Err(error), _) => return Err(error),
        };
        let document = self.store.document(accepted_key()).await?;
        let accepted = document.and_then(|d| serde_json::from_slice::<Accepted>(&d.body).ok());
        if accepted.is_some_and(|accepted| accepted.identity == found) {
            tracing::warn!(known, found, "another store was accepted: its sessions are taken");
            return self.store.adopt().await;
        }
        Err(StoreError::Replaced { known, found })
    }

    fn load_cached(&mut self) {
        let Some(cached) = self.cache.as_ref().and_then(Cache::read) else { return };
        let routes = cached.snapshot.records.len();
        tracing::info!(routes, position = cached.snapshot.position.0, "cached routes are loaded");
        self.give(&cached.snapshot);
        self.identity = Some(cached.identity);
        self.status.loaded(&cached.snapshot, Source::Cache);
    }

    fn give(&mut self, snapshot: &Snapshot) {
        self.followers.iter_mut().for_each(|follower| follower.load(snapshot));
    }

    fn drop_what_is_stale(&mut self) {
        if self.status.dropped() {
            tracing::error!(
                "the store is away for longer than store.stale_max: no routes are left"
            );
            self.give(&Snapshot::default());
        }
    }

    fn failed(&self, error: &StoreError, pause: Duration) {
        let failure = crate::with_causes(error);
        // Once for each reason: a store may be away for hours.
        if self.status.failed(&failure) {
            tracing::error!(
                error = failure,
                retry_ms = pause.as_millis() as u64,
                "the feed cannot read the store: routes stay as they are"
            );
        }
    }
}

/// Half to one and a half of it, so that replicas do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    // Without random numbers there is no jitter, which is no reason to fail.
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + random)
}

pub fn accepted_key() -> DocumentKey {
    let name = "accepted".parse().expect("a constant that is a name");
    DocumentKey { kind: Kind::Store, name }
}
