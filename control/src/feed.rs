//! The feed: keeps the workers' route table equal to the store, by the snapshot first and the
//! change log from there. It is the only writer of the table. When the store fails, the table stays
//! as it is and the feed tries again: traffic never waits for a store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use portico_core::limits;
use portico_core::route::{Change as RouteChange, RouteTable};
use tokio::task::JoinHandle;

use crate::store::{Change, Position, Store, StoreError};

pub type SharedTable = Arc<ArcSwap<RouteTable>>;

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
    /// Sessions and changes that were skipped because they could not be read; the log names each.
    pub unreadable: u64,
    /// Why the table may be behind the store at the moment.
    pub failure: Option<String>,
}

/// Returns when the snapshot is in the table; a task follows the change log from then on.
pub async fn start(store: Arc<dyn Store>, table: SharedTable) -> Result<FeedHandle, StoreError> {
    let (position, unreadable) = load(&*store, &table).await?;
    let status = FeedStatus { position, snapshots: 1, unreadable, failure: None };
    let status = Arc::new(Mutex::new(status));
    let feed = Feed { store, table, status: status.clone() };
    Ok(FeedHandle { task: tokio::spawn(feed.follow(position)), status })
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
    table: SharedTable,
    status: Arc<Mutex<FeedStatus>>,
}

impl Feed {
    async fn follow(self, mut position: Position) {
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
    async fn advance(&self, position: Position) -> Result<Position, StoreError> {
        match self.store.changes(position).await? {
            Ok(changes) => {
                let reached = changes.last().map_or(position, |(position, _)| *position);
                let unreadable = changes.iter().filter(|(_, change)| change.is_unreadable());
                let unreadable = unreadable.count() as u64;
                publish(&self.table, changes.into_iter().map(|(_, change)| change));
                let mut status = locked(&self.status);
                status.position = reached;
                status.unreadable += unreadable;
                status.failure = None;
                Ok(reached)
            }
            Err(gap) => {
                tracing::warn!(position = position.0, "{gap}: loading the snapshot");
                let (reached, unreadable) = load(&*self.store, &self.table).await?;
                let mut status = locked(&self.status);
                status.position = reached;
                status.unreadable += unreadable;
                status.snapshots += 1;
                status.failure = None;
                Ok(reached)
            }
        }
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

/// The position that the table is at then, and how many sessions it lacks because they could not
/// be read.
async fn load(
    store: &dyn Store,
    table: &ArcSwap<RouteTable>,
) -> Result<(Position, u64), StoreError> {
    let snapshot = store.snapshot().await?;
    let tombstones = snapshot.tombstones.into_iter().map(RouteChange::Gone);
    let sessions =
        snapshot.records.into_iter().filter_map(|record| Change::Put(record).into_route());
    table.store(Arc::new(RouteTable::default().with(tombstones.chain(sessions))));
    Ok((snapshot.position, snapshot.unreadable))
}

fn publish(table: &ArcSwap<RouteTable>, changes: impl Iterator<Item = Change>) {
    let next = table.load().with(changes.filter_map(Change::into_route));
    table.store(Arc::new(next));
}

/// A status is replaced whole, so one that a panic left behind is as good as any.
fn locked(status: &Mutex<FeedStatus>) -> MutexGuard<'_, FeedStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
