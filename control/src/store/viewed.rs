//! A store on another machine, with a view of it: while it is away, reads are answered from what
//! was last known, and writes are refused. It must not know which store it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portico_core::activity::Activity;
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::quota::{Batch, Total};
use portico_core::record::{Document, DocumentKey, Kind, Record};
use portico_core::session::Name;
use portico_core::usage::Usage;

use super::view::View;
use super::{
    Added, Answer, AuditPage, AuditQuery, Author, Beat, Conflict, Entry, Gap, Page, Position,
    Query, Snapshot, Store, StoreError, Stored, UsageBatch, UsageQuery, Write,
};

pub struct Viewed {
    store: Arc<dyn Store>,
    view: View,
    started: Instant,
    /// Milliseconds since `started`: until then, reads do not even try.
    away_until: AtomicU64,
}

impl Viewed {
    pub fn new(store: Arc<dyn Store>, view: View) -> Self {
        Self { store, view, started: Instant::now(), away_until: AtomicU64::new(0) }
    }

    /// From the store, or, while it is away, as it was last known.
    async fn read<T>(
        &self,
        asked: Answer<'_, T>,
        known: impl FnOnce(&View) -> T,
    ) -> Result<T, StoreError> {
        let now = self.started.elapsed().as_millis() as u64;
        if now < self.away_until.load(Ordering::Relaxed) {
            return Ok(known(&self.view));
        }
        match asked.await {
            Err(error) if error.is_absence() => {
                tracing::warn!(
                    error = crate::with_causes(&error),
                    "the store is away: answered from what was last known"
                );
                let until = self.started.elapsed() + limits::STORE_AWAY_PAUSE;
                self.away_until.store(until.as_millis() as u64, Ordering::Relaxed);
                Ok(known(&self.view))
            }
            answer => answer,
        }
    }
}

impl Store for Viewed {
    fn write(&self, write: Write, by: Author) -> Answer<'_, Result<Stored, Conflict>> {
        self.store.write(write, by)
    }

    fn fetch(&self, id: SessionId) -> Answer<'_, Option<Record>> {
        let asked = self.store.fetch(id.clone());
        Box::pin(self.read(asked, move |view| view.fetch(&id)))
    }

    fn list(&self, query: Query) -> Answer<'_, Page> {
        let asked = self.store.list(query.clone());
        Box::pin(self.read(asked, move |view| view.list(&query)))
    }

    fn document(&self, key: DocumentKey) -> Answer<'_, Option<Document>> {
        let asked = self.store.document(key.clone());
        Box::pin(self.read(asked, move |view| view.document(&key)))
    }

    fn documents(&self, kind: Kind) -> Answer<'_, Vec<Document>> {
        Box::pin(self.read(self.store.documents(kind), move |view| view.documents(kind)))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.store.snapshot()
    }

    fn changes(&self, after: Position) -> Answer<'_, Result<Vec<Entry>, Gap>> {
        self.store.changes(after)
    }

    fn audit(&self, query: AuditQuery) -> Answer<'_, AuditPage> {
        self.store.audit(query)
    }

    fn add_usage(&self, batch: UsageBatch) -> Answer<'_, Added> {
        self.store.add_usage(batch)
    }

    /// Nothing of it is known here: whoever asks is to learn that the store is away.
    fn usage(&self, query: UsageQuery) -> Answer<'_, Vec<Usage>> {
        self.store.usage(query)
    }

    fn activity(&self, session: SessionId) -> Answer<'_, Vec<(Name, Activity)>> {
        self.store.activity(session)
    }

    fn beat(&self, beat: Beat, ttl: Duration) -> Answer<'_, ()> {
        self.store.beat(beat, ttl)
    }

    /// Nobody is known to live while the store is away; the list itself is.
    fn beating(&self) -> Answer<'_, Vec<Beat>> {
        Box::pin(self.read(self.store.beating(), |_| Vec::new()))
    }

    fn charge_quotas(&self, batch: Batch) -> Answer<'_, Vec<Total>> {
        self.store.charge_quotas(batch)
    }

    fn identity(&self) -> Answer<'_, Arc<str>> {
        self.store.identity()
    }

    fn adopt(&self) -> Answer<'_, Arc<str>> {
        self.store.adopt()
    }
}
