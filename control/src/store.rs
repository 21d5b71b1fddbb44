//! Where sessions live: one trait, so that the embedded file and Redis behave the same under one
//! test suite (`tests/store_contract.rs`). A store keeps records and appends every change to its
//! log; it does not know what a valid change is (the API's business) nor who follows the log (the
//! feed's).
//!
//! Rules for every implementation:
//! - A write is one atomic step: the record, the label's entry and the log's entry, or nothing.
//! - What was acknowledged survives a kill.
//! - Positions of the log are 1, 2, 3, … without holes; a record's version is the position of its
//!   last change. The log and the tombstones are bounded, oldest first.

pub mod change;
pub mod embedded;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::record::{Record, RecordError, Version};
use portico_core::session::{Name, Session, State};

pub use change::Change;
use embedded::Embedded;

pub trait Store: Send + Sync {
    /// Creates a session or replaces one. Its id and label must be nobody else's; a tombstone on
    /// the label is replaced. The label of a session never changes.
    fn put(&self, session: Session, expected: Expected) -> Answer<'_, Written>;

    /// Deletes a session, and answers what it was. Its label becomes a tombstone. One whose record
    /// cannot be read is deleted too, unless a version is expected of it.
    fn delete(&self, id: SessionId, expected: Option<Version>) -> Answer<'_, Deleted>;

    fn fetch(&self, id: SessionId) -> Answer<'_, Option<Record>>;

    /// Sessions in the order of their ids, without those that cannot be read.
    fn list(&self, query: Query) -> Answer<'_, Page>;

    /// Everything that a follower needs to begin. Records may be newer than the position: applying
    /// the changes behind it once more ends in the same state.
    fn snapshot(&self) -> Answer<'_, Snapshot>;

    /// The changes after a position, in order, at most `limits::CHANGES_PER_READ_MAX`; waits until
    /// there is one. May be dropped at any time.
    fn changes(&self, after: Position) -> Answer<'_, Result<Vec<(Position, Change)>, Gap>>;
}

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The record as it is now, or why nothing was written.
pub type Written = Result<Record, Conflict>;

/// The record as it was, if that could be read; or why nothing was deleted.
pub type Deleted = Result<Option<Record>, Conflict>;

/// A place in the change log. 0 is before the first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

/// What must be true of the session for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Absent,
    Version(Version),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("there is a session with this id")]
    IdTaken,
    #[error("another session has this label")]
    LabelTaken,
    #[error("the label of a session cannot change")]
    LabelFixed,
    #[error("there is no such session")]
    Missing,
    #[error("the session has changed: it is at version {}", .0.0)]
    Changed(Version),
}

/// The log no longer holds the changes after that position, or never had it: load the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the change log does not reach back to this position")]
pub struct Gap;

#[derive(Debug, Clone, Default)]
pub struct Query {
    pub workspace: Option<Name>,
    pub state: Option<State>,
    /// The last session of the page before.
    pub after: Option<SessionId>,
    pub items_max: usize,
}

/// Can be shorter than asked, or empty, and still not be the last.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub items: Vec<Record>,
    /// Where to go on; absent on the last page.
    pub next: Option<SessionId>,
}

#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub records: Vec<Record>,
    pub tombstones: Vec<Label>,
    /// Sessions that are not in `records` because they could not be read.
    pub unreadable: u64,
    pub position: Position,
}

/// How much of the past a store keeps. Parameters, so that tests need not write 10,000 of each.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub log_entries: usize,
    pub tombstones: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { log_entries: limits::CHANGE_LOG_ENTRIES_MAX, tombstones: limits::TOMBSTONES_MAX }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("`{0}` is not the URL of a store that this version knows: write embedded:DIRECTORY")]
    Url(String),
    #[error("cannot use the store's directory {}", directory.display())]
    Directory { directory: PathBuf, source: std::io::Error },
    #[error(
        "the store in {} is in use by another process: stop it, or give this one a directory of \
         its own",
        directory.display()
    )]
    InUse { directory: PathBuf },
    #[error("the store in {} cannot be opened", directory.display())]
    Open { directory: PathBuf, source: redb::DatabaseError },
    #[error("the store has form {found} and was written by a newer Portico")]
    Newer { found: u64 },
    #[error("the session's record cannot be read: delete the session and create it anew")]
    Record(#[from] RecordError),
    #[error("the store's change log holds an entry of unknown kind `{0}`")]
    UnknownChange(String),
    #[error("the store failed")]
    Failed(#[source] Arc<redb::Error>),
    #[error("the store has ended")]
    Ended,
}

impl StoreError {
    /// Whether other settings would help (exit code 64), rather than another disk.
    pub fn is_settings(&self) -> bool {
        match self {
            Self::Url(_) | Self::Directory { .. } | Self::InUse { .. } => true,
            Self::Open { .. }
            | Self::Newer { .. }
            | Self::Record(_)
            | Self::UnknownChange(_)
            | Self::Failed(_)
            | Self::Ended => false,
        }
    }
}

macro_rules! failures {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Failed(Arc::new(error.into()))
            }
        }
    )*};
}
failures!(
    redb::Error,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);

/// Opens the store that a URL names: `embedded:DIRECTORY`.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    match url.strip_prefix("embedded:") {
        Some(directory) if !directory.is_empty() => {
            Ok(Arc::new(Embedded::open(directory.into(), Bounds::default()).await?))
        }
        _ => Err(StoreError::Url(without_password(url))),
    }
}

/// A URL of a store to come (`redis://user:password@host`) may hold a secret; errors must not.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://***{}", &url[..scheme], &url[at..])
        }
        _ => url.to_owned(),
    }
}
