//! The feed: brings what the store holds to those who follow it, by the snapshot first and the
//! change log from there. When the store fails, followers keep what they have and the feed tries
//! again: traffic never waits for a store.

mod routes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_core::limits;
use tokio::task::JoinHandle;

use crate::store::{Entry, Position, Snapshot, Store, StoreError};

pub use routes::{Routes, SharedTable};

/// Who wants to know what the store holds.
pub trait Follower: Send {
    /// Everything anew: at the start, and when changes were missed.
    fn load(&mut self, snapshot: &Snapshot);

    /// What changed since, in order; at most once each.
    fn follow(&mut self, entries: &[Entry]);
}

/// The running feed. It ends when this is dropped; the table then stays as it is.
#[must_use = "the feed ends when its handle is dropped"]
pub struct FeedHandle {
    task: JoinHandle<()>,
    status: Arc<Mutex<FeedStatus>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedStatus {
    /// The last change that is in the table.
    pub position: Position,
    /// Times that the whole snapshot was loaded: one at the start, one more for each gap.
    pub snapshots: u64,
    /// Why the table may be behind the store at the moment.
    pub failure: Option<String>,
}

/// Returns when every follower has the snapshot; a task follows the change log from then on.
pub async fn start(
    store: Arc<dyn Store>,
    followers: Vec<Box<dyn Follower>>,
) -> Result<FeedHandle, StoreError> {
    let status = FeedStatus { position: Position(0), snapshots: 0, failure: None };
    let mut feed = Feed { store, followers, status: Arc::new(Mutex::new(status)) };
    let position = feed.load().await?;
    let status = feed.status.clone();
    Ok(FeedHandle { task: tokio::spawn(feed.run(position)), status })
}

impl FeedHandle {
    pub fn status(&self) -> FeedStatus {
        let mut status = locked(&self.status).clone();
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
    status: Arc<Mutex<FeedStatus>>,
}

impl Feed {
    async fn run(mut self, mut position: Position) {
        let mut pause = limits::FEED_RETRY_MIN;
        loop {
            match self.advance(position).await {
                Ok(reached) => {
                    position = reached;
                    pause = limits::FEED_RETRY_MIN;
                }
                Err(StoreError::Ended) => return self.report(&StoreError::Ended, Duration::ZERO),
                Err(error) => {
                    self.report(&error, pause);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(limits::FEED_RETRY_MAX);
                }
            }
        }
    }

    /// One step: the next changes, or everything when they are gone from the log.
    async fn advance(&mut self, position: Position) -> Result<Position, StoreError> {
        match self.store.changes(position).await? {
            Ok(entries) => {
                let reached = entries.last().map_or(position, |entry| entry.position);
                self.followers.iter_mut().for_each(|follower| follower.follow(&entries));
                let mut status = locked(&self.status);
                status.position = reached;
                status.failure = None;
                Ok(reached)
            }
            Err(gap) => {
                tracing::warn!(position = position.0, "{gap}: loading the snapshot");
                self.load().await
            }
        }
    }

    async fn load(&mut self) -> Result<Position, StoreError> {
        let snapshot = self.store.snapshot().await?;
        self.followers.iter_mut().for_each(|follower| follower.load(&snapshot));
        let mut status = locked(&self.status);
        status.position = snapshot.position;
        status.snapshots += 1;
        status.failure = None;
        Ok(snapshot.position)
    }

    fn report(&self, error: &StoreError, pause: Duration) {
        let failure = crate::with_causes(error);
        tracing::error!(
            error = failure,
            retry_ms = pause.as_millis() as u64,
            "the feed cannot read the store: routes stay as they are"
        );
        locked(&self.status).failure = Some(failure);
    }
}

/// A status is replaced whole, so one that a panic left behind is as good as any.
fn locked(status: &Mutex<FeedStatus>) -> MutexGuard<'_, FeedStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
