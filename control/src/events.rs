//! The newest changes, kept for those who listen to the API's event stream. A listener that was
//! away for less than what is kept goes on where it was; one that was away for longer is told to
//! begin anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_core::limits;
use tokio::sync::watch;

use crate::feed::Follower;
use crate::store::{Entry, Position, Snapshot};

#[derive(Clone)]
pub struct Events {
    kept: Arc<Mutex<Kept>>,
    newest: watch::Receiver<Position>,
}

pub struct EventsFollower {
    kept: Arc<Mutex<Kept>>,
    announce: watch::Sender<Position>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Arc<Entry>>,
    /// Everything after this position is kept.
    after: Position,
}

/// What a listener that has seen everything up to a position gets next.
pub enum Next {
    Entries(Vec<Arc<Entry>>),
    /// Something before this position is lost to it.
    Missed(Position),
}

impl Events {
    pub fn new() -> (Self, EventsFollower) {
        let (announce, newest) = watch::channel(Position(0));
        let kept = Arc::<Mutex<Kept>>::default();
        (Self { kept: kept.clone(), newest }, EventsFollower { kept, announce })
    }

    pub fn newest(&self) -> Position {
        *self.newest.borrow()
    }

    /// Waits until there is something behind `after`, which a listener may also have heard from
    /// another replica that is ahead of this one. None when nothing more will come.
    pub async fn next(&self, after: Position) -> Option<Next> {
        let mut newest = self.newest.clone();
        loop {
            let known = *newest.borrow();
            if after.0 > known.0 + limits::EVENTS_AHEAD_MAX {
                // Of another store, or of this one before it was restored.
                return Some(Next::Missed(known));
            }
            newest.wait_for(|newest| *newest > after).await.ok()?;
            let kept = locked(&self.kept);
            if after < kept.after {
                return Some(Next::Missed(kept.after));
            }
            let entries = kept.entries.iter().filter(|entry| entry.position > after);
            let entries: Vec<_> = entries.take(limits::CHANGES_PER_READ_MAX).cloned().collect();
            // None where the newest position came with a snapshot.
            if !entries.is_empty() {
                return Some(Next::Entries(entries));
            }
        }
    }
}

impl EventsFollower {
    fn announce(&self, position: Position) {
        self.announce.send_replace(position);
    }
}

impl Follower for EventsFollower {
    /// What lies between is not known entry by entry.
    fn load(&mut self, snapshot: &Snapshot) {
        let mut kept = locked(&self.kept);
        kept.entries.clear();
        kept.after = snapshot.position;
        drop(kept);
        self.announce(snapshot.position);
    }

    fn follow(&mut self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        let mut kept = locked(&self.kept);
        kept.entries.extend(entries.iter().cloned().map(Arc::new));
        while kept.entries.len() > limits::EVENTS_KEPT_MAX {
            if let Some(oldest) = kept.entries.pop_front() {
                kept.after = oldest.position;
            }
        }
        drop(kept);
        self.announce(last.position);
    }
}

/// Entries are whole when they come in, so what a panic left is as good as any.
fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use portico_core::label::Label;
    use portico_core::session::Timestamp;

    use super::*;
    use crate::store::Change;

    fn entries(positions: impl IntoIterator<Item = u64>) -> Vec<Entry> {
        let change = Change::Forgotten(Label::parse("a").unwrap());
        let entry = |position| Entry {
            position: Position(position),
            at: Timestamp(0),
            change: change.clone(),
        };
        positions.into_iter().map(entry).collect()
    }

    async fn positions(events: &Events, after: u64) -> Result<Vec<u64>, u64> {
        match events.next(Position(after)).await.unwrap() {
            Next::Entries(entries) => Ok(entries.iter().map(|entry| entry.position.0).collect()),
            Next::Missed(position) => Err(position.0),
        }
    }

    #[tokio::test]
    async fn a_listener_goes_on_where_it_was_or_learns_what_it_missed() {
        let (events, mut follower) = Events::new();
        follower.load(&Snapshot { position: Position(10), ..Snapshot::default() });
        follower.follow(&entries([11, 12]));
        assert_eq!(positions(&events, 10).await, Ok(vec![11, 12]));
        assert_eq!(positions(&events, 11).await, Ok(vec![12]));
        assert_eq!(positions(&events, 9).await, Err(10));
        let far = 12 + limits::EVENTS_AHEAD_MAX;
        assert_eq!(positions(&events, far + 1).await, Err(12), "of another store");
        let waiting = positions(&events, 12);
        let (woken, ()) = tokio::join!(waiting, async { follower.follow(&entries([13])) });
        assert_eq!(woken, Ok(vec![13]));
        follower.load(&Snapshot { position: Position(20), ..Snapshot::default() });
        assert_eq!(positions(&events, 13).await, Err(20));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let (events, mut follower) = Events::new();
        let more = limits::EVENTS_KEPT_MAX as u64 + 5;
        follower.follow(&entries(1..=more));
        assert_eq!(locked(&events.kept).entries.len(), limits::EVENTS_KEPT_MAX);
        assert_eq!(positions(&events, 4).await, Err(5));
        assert_eq!(positions(&events, 5).await.unwrap()[0], 6);
    }
}
