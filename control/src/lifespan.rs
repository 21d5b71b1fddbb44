//! Ends sessions whose lifespan is over. Every control replica does so; the version that a write
//! expects lets one of them win. It follows the feed only to know when to wake.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::record::Record;
use portico_core::session::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock;
use crate::feed::Follower;
use crate::store::{Author, Change, Entry, Expected, Snapshot, Store};

#[derive(Default)]
struct Due {
    by_time: BTreeSet<(Timestamp, SessionId)>,
    times: HashMap<SessionId, Timestamp>,
}

#[derive(Clone, Default)]
pub struct Lifespans {
    due: Arc<Mutex<Due>>,
    changed: Arc<Notify>,
}

pub struct LifespansFollower(Lifespans);

/// The running task; it ends when this is dropped.
#[must_use = "lifespans end nothing once their handle is dropped"]
pub struct LifespansHandle(JoinHandle<()>);

impl Lifespans {
    pub fn follower(&self) -> LifespansFollower {
        LifespansFollower(self.clone())
    }

    pub fn start(self, store: Arc<dyn Store>) -> LifespansHandle {
        LifespansHandle(tokio::spawn(async move {
            loop {
                let pause = self.end_those_due(&*store).await;
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.changed.notified() => {}
                }
            }
        }))
    }

    /// Answers how long to wait for the next one.
    async fn end_those_due(&self, store: &dyn Store) -> Duration {
        loop {
            let now = clock::now();
            let first = self.due().by_time.first().cloned();
            let Some((at, id)) = first else { return limits::LIFESPAN_CHECK_MAX };
            if at > now {
                let wait = Duration::from_millis(at.0 - now.0);
                return wait.min(limits::LIFESPAN_CHECK_MAX);
            }
            if let Err(error) = end(store, &id, now).await {
                let error = crate::with_causes(&error);
                tracing::warn!(session = %id, error, "its lifespan is over; tried again soon");
                return limits::LIFESPAN_RETRY;
            }
            // The feed brings it back should it still have a time.
            self.due().forget(&id);
        }
    }

    /// Each change is whole before the lock is let go, so what a panic left is as good as any.
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Once more on what others left, as often as they overtake.
async fn end(
    store: &dyn Store,
    id: &SessionId,
    now: Timestamp,
) -> Result<(), crate::store::StoreError> {
    loop {
        let Some(record) = store.fetch(id.clone()).await? else { return Ok(()) };
        let Some(ended) = record.session.expired(now) else { return Ok(()) };
        let detail = ended.reason.clone().unwrap_or_default();
        let expected = Expected::Version(record.version);
        if store.put_by(ended, expected, Author::portico().saying(detail)).await?.is_ok() {
            tracing::info!(session = %id, "its lifespan is over: stopped");
            return Ok(());
        }
    }
}

impl Due {
    fn note(&mut self, record: &Record) {
        let session = &record.session;
        self.forget(&session.id);
        if let Some(lifespan) = session.lifespan.filter(|_| !session.state.is_over()) {
            self.times.insert(session.id.clone(), lifespan.ends_at);
            self.by_time.insert((lifespan.ends_at, session.id.clone()));
        }
    }

    fn forget(&mut self, id: &SessionId) {
        if let Some(at) = self.times.remove(id) {
            self.by_time.remove(&(at, id.clone()));
        }
    }
}

impl Follower for LifespansFollower {
    fn load(&mut self, snapshot: &Snapshot) {
        let mut due = self.0.due();
        *due = Due::default();
        snapshot.records.iter().for_each(|record| due.note(record));
        drop(due);
        self.0.changed.notify_one();
    }

    fn follow(&mut self, entries: &[Entry]) {
        let mut due = self.0.due();
        let before = due.by_time.first().cloned();
        for entry in entries {
            match &entry.change {
                Change::Put(record) => due.note(record),
                Change::Deleted(record) => due.forget(&record.session.id),
                // One whose record cannot be read is not known here.
                Change::Gone(_)
                | Change::Forgotten(_)
                | Change::DocumentPut(_)
                | Change::DocumentDeleted(_)
                | Change::Noted
                | Change::Unreadable(_) => {}
            }
        }
        if due.by_time.first() != before.as_ref() {
            self.0.changed.notify_one();
        }
    }
}

impl Drop for LifespansHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}
