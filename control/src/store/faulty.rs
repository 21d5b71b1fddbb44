//! For tests: a store whose usage cannot be written or read, or whose answers are lost, while it is
//! told so. Everything else is the real one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portico_core::activity::Activity;
use portico_core::label::SessionId;
use portico_core::quota::{Batch, Total};
use portico_core::record::{Document, DocumentKey, Kind, Record};
use portico_core::session::Name;
use portico_core::usage::Usage;

use super::{
    Added, Answer, AuditPage, AuditQuery, Author, Beat, Conflict, Entry, Gap, Page, Position,
    Query, Snapshot, Store, StoreError, Stored, UsageBatch, UsageQuery, Write,
};

pub struct Faulty {
    inner: Arc<dyn Store>,
    fault: Mutex<Fault>,
    tries: AtomicUsize,
    asked: AtomicUsize,
    /// Of this session the activity cannot be read.
    damaged: Mutex<Option<SessionId>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    Refuse,
    /// What is written is written, and nobody hears of it.
    LoseAnswer,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            fault: Mutex::new(Fault::None),
            tries: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            damaged: Mutex::new(None),
        }
    }

    pub fn fail(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    pub fn damage(&self, session: SessionId) {
        *self.damaged.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    }

    /// How often for activity.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Of writing usage.
    pub fn tries(&self) -> usize {
        self.tries.load(Ordering::Relaxed)
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Faulty {
    fn add_usage(&self, batch: UsageBatch) -> Answer<'_, Added> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match self.fault() {
                Fault::None => self.inner.add_usage(batch).await,
                Fault::Refuse => Err(StoreError::Ended),
                Fault::LoseAnswer => {
                    self.inner.add_usage(batch).await?;
                    Err(StoreError::Ended)
                }
            }
        })
    }

    fn activity(&self, session: SessionId) -> Answer<'_, Vec<(Name, Activity)>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.fault() {
            _ if damaged.as_ref() == Some(&session) => {
                Box::pin(async { Err(StoreError::UnknownChange("damage".to_owned())) })
            }
            Fault::None | Fault::LoseAnswer => self.inner.activity(session),
            Fault::Refuse => Box::pin(async { Err(StoreError::Ended) }),
        }
    }

    fn usage(&self, query: UsageQuery) -> Answer<'_, Vec<Usage>> {
        self.inner.usage(query)
    }

    fn charge_quotas(&self, batch: Batch) -> Answer<'_, Vec<Total>> {
        self.inner.charge_quotas(batch)
    }

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
        self.inner.snapshot()
    }

    fn changes(&self, after: Position) -> Answer<'_, Result<Vec<Entry>, Gap>> {
        self.inner.changes(after)
    }

    fn audit(&self, query: AuditQuery) -> Answer<'_, AuditPage> {
        self.inner.audit(query)
    }

    fn beat(&self, beat: Beat, ttl: Duration) -> Answer<'_, ()> {
        self.inner.beat(beat, ttl)
    }

    fn beating(&self) -> Answer<'_, Vec<Beat>> {
        self.inner.beating()
    }

    fn identity(&self) -> Answer<'_, Arc<str>> {
        self.inner.identity()
    }

    fn adopt(&self) -> Answer<'_, Arc<str>> {
        self.inner.adopt()
    }
}
