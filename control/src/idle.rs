//! Marks running sessions that nobody has used for their idle timeout, or stops them, and takes the
//! mark away when they are used again. Every control replica does so; the version that a write
//! expects lets one of them win. It follows the feed for which sessions have a timeout, and asks
//! the store when they were last used; who does not know, for the store is away, judges nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_core::activity::Activity;
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::record::Record;
pub use portico_core::session::OnIdle;
use portico_core::session::{Idle, State, Timestamp, Verdict};
use tokio::task::JoinHandle;

use crate::clock;
use crate::feed::Follower;
use crate::store::{Author, Change, Entry, Expected, Snapshot, Store, StoreError};

/// The running sessions that have a timeout, and when to look at each.
type Watched = HashMap<SessionId, Watch>;

#[derive(Debug, Clone, Copy)]
struct Watch {
    idle: Idle,
    look_at: Timestamp,
}

#[derive(Clone, Default)]
pub struct IdleSessions(Arc<Mutex<Watched>>);

pub struct IdleFollower(IdleSessions);

/// The running task; it ends when this is dropped.
#[must_use = "nothing is found to be idle once its handle is dropped"]
pub struct IdleHandle(JoinHandle<()>);

impl IdleSessions {
    pub fn follower(&self) -> IdleFollower {
        IdleFollower(self.clone())
    }

    /// `store` is the one that activity is written to, and not a view of it.
    pub fn start(self, store: Arc<dyn Store>, on_idle: OnIdle) -> IdleHandle {
        let mut checks = Checks::new(self, store, on_idle, clock::now());
        IdleHandle(tokio::spawn(async move {
            loop {
                tokio::time::sleep(limits::IDLE_CHECK).await;
                checks.check(clock::now()).await;
            }
        }))
    }

    /// Each change is whole before the lock is let go, so what a panic left is as good as any.
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Checks {
    sessions: IdleSessions,
    store: Arc<dyn Store>,
    on_idle: OnIdle,
    /// Nobody is judged before: what was used while the store was away is not written down yet.
    judges_from: Timestamp,
    is_away: bool,
}

impl Checks {
    fn new(sessions: IdleSessions, store: Arc<dyn Store>, on_idle: OnIdle, now: Timestamp) -> Self {
        let judges_from = now.plus(limits::ACTIVITY_LAG);
        Self { sessions, store, on_idle, judges_from, is_away: false }
    }

    async fn check(&mut self, now: Timestamp) {
        if now < self.judges_from && !self.is_away {
            return;
        }
        match self.look_at_those_due(now).await {
            Ok(()) if std::mem::take(&mut self.is_away) => {
                self.judges_from = now.plus(limits::ACTIVITY_LAG);
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    let error = crate::with_causes(&error);
                    tracing::warn!(
                        error,
                        "it is not known which sessions are idle: none is judged"
                    );
                }
            }
        }
    }

    async fn look_at_those_due(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.is_away {
            // Only whether it is back: any session's activity is as good a question as another's.
            let any = self.sessions.watched().keys().next().cloned();
            if let Some(id) = any {
                self.store.activity(id).await?;
            }
            return Ok(());
        }
        let due: Vec<(SessionId, Idle)> = {
            let watched = self.sessions.watched();
            let due = watched.iter().filter(|(_, watch)| watch.look_at <= now);
            due.map(|(id, watch)| (id.clone(), watch.idle)).collect()
        };
        let (mut failures, mut is_there, mut last) = (0, false, None);
        for (id, idle) in due {
            match self.look_at(&id, idle, now).await {
                Ok(()) => (failures, is_there) = (0, true),
                // One may be of this session only, which has its turn again with the next check.
                Err(error) => {
                    failures += 1;
                    let causes = crate::with_causes(&error);
                    tracing::debug!(session = %id, error = causes, "it is not judged");
                    if failures == limits::IDLE_FAILURES_MAX {
                        return Err(error);
                    }
                    last = Some(error);
                }
            }
        }
        last.filter(|_| !is_there).map_or(Ok(()), Err)
    }

    async fn look_at(&self, id: &SessionId, idle: Idle, now: Timestamp) -> Result<(), StoreError> {
        let told = self.store.activity(id.clone()).await?;
        let merged = told.into_iter().fold(Activity::default(), |all, (_, one)| all.merged(one));
        match (idle.judge(merged.data_at(), now), idle.since) {
            (Verdict::Busy { until }, None) => self.look_again(id, idle, until),
            (Verdict::Idle, Some(_)) => {
                self.look_again(id, idle, now.plus(limits::IDLE_CHECK_AGAIN));
            }
            (Verdict::Busy { .. }, Some(_)) | (Verdict::Idle, None) => {
                self.mark(id, merged.data_at(), now).await?;
            }
        }
        Ok(())
    }

    /// Unless the session has changed since it was looked at.
    fn look_again(&self, id: &SessionId, judged: Idle, at: Timestamp) {
        let mut watched = self.sessions.watched();
        if let Some(watch) = watched.get_mut(id).filter(|watch| watch.idle == judged) {
            watch.look_at = at;
        }
    }

    /// What others change at the same time is looked at again, with the next check.
    async fn mark(
        &self,
        id: &SessionId,
        data_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let record = match self.store.fetch(id.clone()).await {
            // The feed tells of those that cannot be read; it must not hold up the others.
            Ok(None) | Err(StoreError::Record(_)) => return Ok(()),
            Ok(Some(record)) => record,
            Err(error) => return Err(error),
        };
        let Some(marked) = record.session.judged(data_at, now, self.on_idle) else {
            return Ok(());
        };
        let (is_idle, state) = (marked.has_become_idle(), marked.state.as_str());
        let detail = match is_idle {
            true => format!("idle, {state}"),
            false => "in use again".to_owned(),
        };
        let expected = Expected::Version(record.version);
        let author = Author { at: now, ..Author::portico().saying(&*detail) };
        if self.store.put_by(marked, expected, author).await?.is_ok() {
            tracing::info!(session = %id, state, "{}", detail);
        }
        Ok(())
    }
}

fn note(watched: &mut Watched, record: &Record) {
    let session = &record.session;
    match session.idle.filter(|_| session.state == State::Running) {
        // At once: what has changed may be the timeout.
        Some(idle) => {
            watched.insert(session.id.clone(), Watch { idle, look_at: Timestamp(0) });
        }
        None => {
            watched.remove(&session.id);
        }
    }
}

impl Follower for IdleFollower {
    fn load(&mut self, snapshot: &Snapshot) {
        let mut watched = self.0.watched();
        watched.clear();
        snapshot.records.iter().for_each(|record| note(&mut watched, record));
    }

    fn follow(&mut self, entries: &[Entry]) {
        let mut watched = self.0.watched();
        for entry in entries {
            match &entry.change {
                Change::Put(record) => note(&mut watched, record),
                Change::Deleted(record) => {
                    watched.remove(&record.session.id);
                }
                // One whose record cannot be read is not known here.
                Change::Gone(_)
                | Change::Forgotten(_)
                | Change::DocumentPut(_)
                | Change::DocumentDeleted(_)
                | Change::Noted
                | Change::Unreadable(_) => {}
            }
        }
    }
}

impl Drop for IdleHandle {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
