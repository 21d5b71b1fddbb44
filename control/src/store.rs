//! Where sessions live: one trait, so that the embedded file and Redis behave the same under one
//! test suite (`tests/store_contract.rs`). A store keeps records and documents and appends every
//! change to its log; it does not know what a valid change is (the API's business) nor who follows
//! the log (the feed's).
//!
//! Rules for every implementation:
//! - A write is one atomic step: the record, the label's entry, the log's entry, the audit record
//!   and the idempotency key, or nothing.
//! - What was acknowledged survives a kill.
//! - Positions of the log are 1, 2, 3, … without holes; a record's version is the position of its
//!   last change. The log and the tombstones are bounded, oldest first.

pub mod change;
pub mod embedded;
#[cfg(test)]
pub mod faulty;
pub mod query;
pub mod quotas;
pub mod redis;
pub mod usage;
pub mod view;
pub mod viewed;
pub mod write;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portico_core::activity::Activity;
use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::quota::{Batch, Total};
use portico_core::record::{Document, DocumentKey, Kind, Record, RecordError, Version};
use portico_core::session::{Name, Session};
use portico_core::usage::Usage;

use self::redis::Redis;
pub use self::redis::{Probe, RedisFailure, RedisOptions, Report, Subject, probe};
pub use change::{Change, Entry, Position};
use embedded::Embedded;
pub use query::{AuditPage, AuditQuery, Page, Query};
pub use usage::{Added, UsageBatch, UsageQuery};
pub use write::{Author, Conflict, Expected, Once, Stored, Write};

pub trait Store: Send + Sync {
    /// Does one write in somebody's name, and answers what is stored now (what was, after a
    /// deletion).
    fn write(&self, write: Write, by: Author) -> Answer<'_, Result<Stored, Conflict>>;

    fn fetch(&self, id: SessionId) -> Answer<'_, Option<Record>>;

    /// Sessions in the order of their ids, without those that cannot be read.
    fn list(&self, query: Query) -> Answer<'_, Page>;

    fn document(&self, key: DocumentKey) -> Answer<'_, Option<Document>>;

    /// All documents of a kind, in the order of their names.
    fn documents(&self, kind: Kind) -> Answer<'_, Vec<Document>>;

    /// Everything that a follower needs to begin. Records may be newer than the position: applying
    /// the changes behind it once more ends in the same state.
    fn snapshot(&self) -> Answer<'_, Snapshot>;

    /// The changes after a position, in order, at most `limits::CHANGES_PER_READ_MAX`; waits until
    /// there is one. May be dropped at any time.
    fn changes(&self, after: Position) -> Answer<'_, Result<Vec<Entry>, Gap>>;

    /// The audit log, oldest first. Its positions are those of the changes.
    fn audit(&self, query: AuditQuery) -> Answer<'_, AuditPage>;

    /// Adds what a process has counted, all of it in one step and once (`usage` says how). None of
    /// it is in the change log or the audit log.
    fn add_usage(&self, batch: UsageBatch) -> Answer<'_, Added>;

    /// In the order of the keys, of at most `limits::USAGE_HOURS_PER_READ_MAX` hours from the first
    /// one on. Hours that ended more than `limits::USAGE_RETENTION` ago may be forgotten.
    fn usage(&self, query: UsageQuery) -> Answer<'_, Vec<Usage>>;

    /// What each process last said of a session, in the order of the writers' names: at most
    /// `limits::ACTIVITY_WRITERS_MAX`, and of dead ones, too.
    fn activity(&self, session: SessionId) -> Answer<'_, Vec<(Name, Activity)>>;

    /// Says that a process lives, for as long as `ttl`.
    fn beat(&self, beat: Beat, ttl: Duration) -> Answer<'_, ()>;

    /// Those whose time is not over, in the order of their names.
    fn beating(&self) -> Answer<'_, Vec<Beat>>;

    /// Counts traffic, and answers what all replicas have counted of the same: `quotas` has the
    /// rules.
    fn charge_quotas(&self, batch: Batch) -> Answer<'_, Vec<Total>>;

    /// A random text, made when the store was first opened: another one is another store, or one
    /// that has lost everything.
    fn identity(&self) -> Answer<'_, Arc<str>>;

    /// Takes what is there now for the store, whatever it was before, and gives it an identity
    /// where it has none.
    fn adopt(&self) -> Answer<'_, Arc<str>>;

    /// Creates or replaces a session in Portico's own name.
    fn put(&self, session: Session, expected: Expected) -> Answer<'_, Written> {
        self.put_by(session, expected, Author::portico())
    }

    fn put_by(&self, session: Session, expected: Expected, by: Author) -> Answer<'_, Written> {
        let write = Write::Put { session: Box::new(session), expected, once: None, room: None };
        Box::pin(async move { Ok(self.write(write, by).await?.map(Stored::into_session)) })
    }

    /// Deletes a session, and answers what it was. One whose record cannot be read is deleted too,
    /// unless a version is expected of it.
    fn delete(&self, id: SessionId, expected: Option<Version>) -> Answer<'_, Deleted> {
        self.delete_by(id, expected, Author::portico())
    }

    fn delete_by(
        &self,
        id: SessionId,
        expected: Option<Version>,
        by: Author,
    ) -> Answer<'_, Deleted> {
        let write = Write::Delete { id, expected };
        Box::pin(async move {
            Ok(self.write(write, by).await?.map(|stored| match stored {
                Stored::Unreadable(_) => None,
                stored => Some(stored.into_session()),
            }))
        })
    }
}

/// A process that lives, and what it says of itself meanwhile, in a form of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    pub name: Name,
    pub note: Vec<u8>,
}

pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The record as it is now, or why nothing was written.
pub type Written = Result<Record, Conflict>;

/// The record as it was, if that could be read; or why nothing was deleted.
pub type Deleted = Result<Option<Record>, Conflict>;

/// The log no longer holds the changes after that position, or never had it: load the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the change log does not reach back to this position")]
pub struct Gap;

#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub records: Vec<Record>,
    pub tombstones: Vec<Label>,
    pub documents: Vec<Document>,
    /// Sessions and documents that are left out because they could not be read.
    pub unreadable: u64,
    pub position: Position,
}

/// How much of the past a store keeps. Parameters, so that tests need not write 10,000 of each.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub log_entries: usize,
    pub tombstones: usize,
    pub audit_records: usize,
    pub idempotency_keys: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            log_entries: limits::CHANGE_LOG_ENTRIES_MAX,
            tombstones: limits::TOMBSTONES_MAX,
            audit_records: limits::AUDIT_RECORDS_MAX,
            idempotency_keys: limits::IDEMPOTENCY_KEYS_MAX,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "`{0}` is not the URL of a store: write embedded:DIRECTORY, or redis://… as the \
         documentation of the store says"
    )]
    Url(String),
    #[error(transparent)]
    Redis(RedisFailure),
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
    #[error("the stored record cannot be read: delete what it is of, and create it anew")]
    Record(#[from] RecordError),
    #[error("the store's change log holds an entry of unknown kind `{0}`")]
    UnknownChange(String),
    #[error("the store failed")]
    Failed(#[source] Arc<redb::Error>),
    #[error(
        "the store is another one than before ({found} in place of {known}), or it has lost \
         everything: routes stay as they are. If that is meant, run `portico store accept`; if \
         not, restore it"
    )]
    Replaced { known: String, found: String },
    #[error("this machine gives no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("the store has ended")]
    Ended,
}

impl StoreError {
    /// Whether the store is not there, or not the one that it was, so that what is known of it is
    /// the best answer.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Redis(failure) => failure.is_passing(),
            Self::Replaced { .. } | Self::Ended => true,
            _ => false,
        }
    }

    /// Whether other settings would help (exit code 64), rather than another disk.
    pub fn is_settings(&self) -> bool {
        match self {
            Self::Url(_) | Self::Directory { .. } | Self::InUse { .. } => true,
            Self::Redis(failure) => failure.is_settings(),
            Self::Open { .. }
            | Self::Newer { .. }
            | Self::Record(_)
            | Self::UnknownChange(_)
            | Self::Random(_)
            | Self::Replaced { .. }
            | Self::Failed(_)
            | Self::Ended => false,
        }
    }
}

impl From<RedisFailure> for StoreError {
    fn from(failure: RedisFailure) -> Self {
        match failure {
            RedisFailure::Replaced { known, found } => Self::Replaced { known, found },
            failure => Self::Redis(failure),
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

/// Which store, and what it needs to be opened.
#[derive(Debug, Clone)]
pub enum StoreSettings {
    Embedded(PathBuf),
    Redis(RedisOptions),
}

impl StoreSettings {
    /// `embedded:DIRECTORY`, or a Redis with everything but its URL as it comes.
    pub fn of_url(url: &str) -> Result<Self, StoreError> {
        match url.strip_prefix("embedded:") {
            Some(directory) if !directory.is_empty() => Ok(Self::Embedded(directory.into())),
            None if RedisOptions::is_meant_by(url) => Ok(Self::Redis(RedisOptions::new(url))),
            _ => Err(StoreError::Url(redis::without_password(url))),
        }
    }
}

/// Opens the store that a URL names.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(open_with(&StoreSettings::of_url(url)?).await?.0)
}

/// Opens a store, and says what about it an operator should better change.
pub async fn open_with(settings: &StoreSettings) -> Result<(Arc<dyn Store>, Report), StoreError> {
    let bounds = Bounds::default();
    Ok(match settings {
        StoreSettings::Embedded(directory) => {
            (Arc::new(Embedded::open(directory.clone(), bounds).await?), Report::default())
        }
        StoreSettings::Redis(options) => {
            let (store, report) = Redis::open(options, bounds).await?;
            (Arc::new(store), report)
        }
    })
}

/// Of a store that is made now: random, so that no two are the same.
fn new_identity() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(StoreError::Random)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
