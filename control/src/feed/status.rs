//! How the feed is doing, for `/readyz`, the metrics and the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{Position, Snapshot};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedStatus {
    /// The last change that followers have.
    pub position: Position,
    /// Times that the whole snapshot was loaded: one at the start, one more for each gap.
    pub snapshots: u64,
    /// Sessions and changes that were skipped because they could not be read; the log names each.
    pub unreadable: u64,
    /// Where followers have theirs from; none before anything was loaded.
    pub source: Option<Source>,
    /// Why followers may be behind the store at the moment.
    pub failure: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Store,
    /// The file of an earlier run, because the store is away.
    Cache,
}

#[derive(Clone, Default)]
pub struct SharedStatus(Arc<Mutex<FeedStatus>>);

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Cache => "cache",
        }
    }
}

impl SharedStatus {
    pub fn now(&self) -> FeedStatus {
        self.locked().clone()
    }

    pub fn reached(&self, position: Position, unreadable: u64) {
        let mut status = self.locked();
        status.unreadable += unreadable;
        status.position = position;
        status.failure = None;
    }

    pub fn loaded(&self, snapshot: &Snapshot, source: Source) {
        let mut status = self.locked();
        status.position = snapshot.position;
        status.unreadable += snapshot.unreadable;
        status.snapshots += 1;
        status.source = Some(source);
        status.failure = None;
    }

    /// Whether this is news.
    pub fn failed(&self, failure: &str) -> bool {
        let mut status = self.locked();
        let news = status.failure.as_deref() != Some(failure);
        status.failure = Some(failure.to_owned());
        news
    }

    /// Followers have nothing any more. Whether this is news.
    pub fn dropped(&self) -> bool {
        self.locked().source.take().is_some()
    }

    /// Changes are whole, so what a panic left is as good as any.
    fn locked(&self) -> MutexGuard<'_, FeedStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
