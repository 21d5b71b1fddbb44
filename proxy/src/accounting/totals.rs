//! Sums for Prometheus, since the process started: of the workspaces with most traffic, each with a
//! label of its own, and of all others together. Who gets a label starts at nothing, and who loses
//! it is counted with the others from then on, so that every sum only grows.

use std::collections::HashMap;

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::Name;
use portico_core::usage::{Counted, Rtt, Usage};

#[derive(Default)]
pub(crate) struct Totals {
    workspaces: Labelled<Name>,
    /// Only when asked for.
    sessions: Option<Labelled<SessionId>>,
    pub(crate) rtt: Rtt,
    pub(crate) retransmits: Shares,
}

/// Of each session and reading, the part of its segments that was sent again.
#[derive(Default)]
pub(crate) struct Shares {
    /// By `Shares::BOUNDS`, and one for what is above.
    pub(crate) counts: [u64; Shares::BOUNDS.len() + 1],
    pub(crate) sum: f64,
}

/// Sums with a bounded number of labels.
pub(crate) struct Labelled<K> {
    max: usize,
    sums: HashMap<K, Counted>,
    others: Counted,
    /// Bytes that count less with every reading.
    recent: HashMap<K, f64>,
}

/// What is left of a byte after a reading: traffic of a quarter of an hour decides.
const FADING: f64 = 0.99;
/// Who is this much busier than one with a label takes it over: once, and not in turns.
const BUSIER: f64 = 2.0;

impl Default for Labelled<Name> {
    fn default() -> Self {
        Self::new(limits::WORKSPACE_LABELS_MAX)
    }
}

impl<K: Clone + Eq + std::hash::Hash> Labelled<K> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, sums: HashMap::new(), others: Counted::default(), recent: HashMap::new() }
    }

    fn add(&mut self, key: &K, counted: Counted) {
        let bytes = (counted.bytes_in.saturating_add(counted.bytes_out)) as f64;
        *self.recent.entry(key.clone()).or_default() += bytes;
        let has_room = self.sums.len() < self.max;
        match self.sums.get_mut(key) {
            Some(sum) => *sum += counted,
            None if has_room => drop(self.sums.insert(key.clone(), counted)),
            None => self.others += counted,
        }
    }

    /// At the end of a reading.
    fn rank(&mut self) {
        let sums = &self.sums;
        self.recent.retain(|key, bytes| {
            *bytes *= FADING;
            *bytes >= 1.0 || sums.contains_key(key)
        });
        let bytes_of = |key: &K| self.recent.get(key).copied().unwrap_or_default();
        let least = self.sums.keys().min_by(|a, b| bytes_of(a).total_cmp(&bytes_of(b))).cloned();
        let most = self.recent.iter().filter(|(key, _)| !self.sums.contains_key(key));
        let most = most.max_by(|a, b| a.1.total_cmp(b.1)).map(|(key, bytes)| (key.clone(), *bytes));
        if let (Some(least), Some((most, bytes))) = (least, most)
            && self.sums.len() >= self.max
            && bytes > BUSIER * bytes_of(&least)
        {
            self.sums.remove(&least);
            self.sums.insert(most, Counted::default());
        }
    }

    pub(crate) fn labelled(&self) -> impl Iterator<Item = (&K, &Counted)> {
        self.sums.iter()
    }

    pub(crate) fn others(&self) -> &Counted {
        &self.others
    }
}

impl Shares {
    pub(crate) const BOUNDS: [f64; 8] = [0.0, 0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1];

    fn observe(&mut self, counted: &Counted) {
        if counted.segments_out == 0 {
            return;
        }
        let share = counted.retransmits as f64 / counted.segments_out as f64;
        let bucket = Self::BOUNDS.iter().position(|bound| share <= *bound);
        self.counts[bucket.unwrap_or(Self::BOUNDS.len())] += 1;
        self.sum += share;
    }
}

impl Totals {
    pub(crate) fn with_sessions(sessions: bool) -> Self {
        let sessions = sessions.then(|| Labelled::new(limits::SESSION_LABELS_MAX));
        Self { sessions, ..Self::default() }
    }

    pub(crate) fn add(&mut self, reading: &[Usage]) {
        for Usage { of, counted } in reading {
            self.workspaces.add(&of.workspace, *counted);
            if let Some(sessions) = &mut self.sessions {
                sessions.add(&of.session, *counted);
            }
            self.rtt += counted.rtt;
            self.retransmits.observe(counted);
        }
        self.workspaces.rank();
        if let Some(sessions) = &mut self.sessions {
            sessions.rank();
        }
    }

    pub(crate) fn workspaces(&self) -> &Labelled<Name> {
        &self.workspaces
    }

    pub(crate) fn sessions(&self) -> Option<&Labelled<SessionId>> {
        self.sessions.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(bytes_in: u64) -> Counted {
        Counted { bytes_in, ..Counted::default() }
    }

    #[test]
    fn labels_are_bounded_and_sums_only_grow() {
        let mut labelled = Labelled::new(2);
        for (key, count) in [("a", 100), ("b", 10), ("c", 15)] {
            labelled.add(&key, bytes(count));
        }
        labelled.rank();
        let label = |labelled: &Labelled<&'static str>, key| {
            labelled.labelled().find(|(k, _)| **k == key).map(|(_, sum)| sum.bytes_in)
        };
        assert_eq!((label(&labelled, "b"), labelled.others().bytes_in), (Some(10), 15));
        // Not yet twice as busy.
        assert_eq!(label(&labelled, "c"), None);
        labelled.add(&"c", bytes(100));
        labelled.rank();
        assert_eq!((label(&labelled, "b"), label(&labelled, "c")), (None, Some(0)));
        labelled.add(&"c", bytes(7));
        labelled.add(&"b", bytes(1));
        labelled.rank();
        assert_eq!((label(&labelled, "c"), labelled.others().bytes_in), (Some(7), 116));
        assert_eq!(label(&labelled, "a"), Some(100));
    }

    #[test]
    fn who_falls_silent_is_forgotten() {
        let mut labelled = Labelled::new(1);
        labelled.add(&0, bytes(1));
        for key in 1..1000 {
            labelled.add(&key, bytes(1));
            labelled.rank();
        }
        assert!(labelled.recent.len() < 3, "{}", labelled.recent.len());
    }
}
