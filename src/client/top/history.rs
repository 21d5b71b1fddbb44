//! Rates from answers that only move when a replica writes down what it has counted. A rate is what
//! came between two changes of the answer, divided by the time between them: over any other time it
//! would jump with each change and be 0 in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::rows::{Rows, difference};

/// Times are those since the start of the program.
pub struct History {
    /// What replicas write down is written at least so often; 0: no rates are wanted.
    over: Duration,
    /// Changes that a rate may begin at, in the order of time.
    bases: VecDeque<Sample>,
    newest: Option<Newest>,
    /// What is told while there is not enough to tell anew.
    told: Option<Arc<Rates>>,
}

struct Sample {
    at: Duration,
    rows: Arc<Rows>,
}

struct Newest {
    sample: Sample,
    seen_at: Duration,
    /// The first answer is not: nobody knows how old it is.
    is_change: bool,
}

/// What came within a time.
#[derive(Debug, PartialEq)]
pub struct Rates {
    pub over: Duration,
    pub came: Rows,
}

/// How many changes are kept for one `over`, however often there are some.
const BASES_PER_OVER: u32 = 16;

impl History {
    pub fn new(over: Duration) -> Self {
        Self { over, bases: VecDeque::new(), newest: None, told: None }
    }

    /// The next answer counts from another time. What was told is told until it is known anew.
    pub fn begin_anew(&mut self) {
        self.bases.clear();
        self.newest = None;
    }

    pub fn rows(&self) -> Arc<Rows> {
        self.newest.as_ref().map(|newest| newest.sample.rows.clone()).unwrap_or_default()
    }

    pub fn rates(&self) -> Option<Arc<Rates>> {
        self.told.clone()
    }

    pub fn add(&mut self, at: Duration, rows: Rows) {
        if self.over.is_zero() {
            let sample = Sample { at, rows: Arc::new(rows) };
            self.newest = Some(Newest { sample, seen_at: at, is_change: false });
            return;
        }
        match &mut self.newest {
            Some(newest) if *newest.sample.rows == rows => newest.seen_at = at,
            newest => {
                let is_change = newest.is_some();
                let sample = Sample { at, rows: Arc::new(rows) };
                let before = newest.replace(Newest { sample, seen_at: at, is_change });
                if let Some(before) = before.filter(|before| before.is_change) {
                    self.keep(before.sample, at);
                }
            }
        }
        if let Some(rates) = self.known() {
            self.told = Some(Arc::new(rates));
        }
    }

    /// Where nothing had changed for long, what came now came within the last `over`.
    fn keep(&mut self, Sample { at, rows }: Sample, now: Duration) {
        let at = at.max(now.saturating_sub(self.over));
        let is_apart = |last: &Sample| at >= last.at + self.over / BASES_PER_OVER;
        if self.bases.back().is_none_or(is_apart) {
            self.bases.push_back(Sample { at, rows });
        }
        let begin = self.latest_begin(now);
        while self.bases.get(1).is_some_and(|second| second.at <= begin) {
            self.bases.pop_front();
        }
    }

    /// A quarter less than `over`: answers are looked at now and then, so two changes may seem
    /// closer than they are.
    fn latest_begin(&self, now: Duration) -> Duration {
        now.saturating_sub(self.over * 3 / 4)
    }

    fn known(&self) -> Option<Rates> {
        let Newest { sample, seen_at, is_change } = self.newest.as_ref()?;
        let unchanged = seen_at.saturating_sub(sample.at);
        if unchanged > self.over * 3 / 2 {
            return Some(Rates { over: unchanged, came: Rows::new() });
        }
        let begin = self.latest_begin(sample.at);
        let base = self.bases.iter().rev().find(|base| base.at <= begin).filter(|_| *is_change)?;
        let rows = sample.rows.iter().filter_map(|(whose, counted)| {
            let earlier = base.rows.get(whose).copied().unwrap_or_default();
            let came = difference(counted, &earlier);
            (!came.is_nothing()).then(|| (whose.clone(), came))
        });
        Some(Rates { over: sample.at - base.at, came: rows.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::rows;
    use super::*;

    const OVER: Duration = Duration::from_secs(10);

    /// Bytes that came in of all rows, and over which time, in seconds.
    fn told(history: &History) -> Option<(u64, u64)> {
        let rates = history.rates()?;
        Some((rates.came.values().map(|came| came.bytes_in).sum(), rates.over.as_secs()))
    }

    fn feed(history: &mut History, answers: &[(u64, u64)]) {
        for (at, bytes) in answers {
            history.add(Duration::from_secs(*at), rows(&[("one", "genomics", *bytes)]));
        }
    }

    #[test]
    fn a_rate_is_between_two_changes_and_stays_until_the_next() {
        let mut history = History::new(OVER);
        feed(&mut history, &[(0, 7), (2, 7), (4, 100), (6, 100), (12, 100)]);
        assert_eq!(told(&history), None, "one change is not enough");
        feed(&mut history, &[(14, 150)]);
        assert_eq!(told(&history), Some((50, 10)));
        feed(&mut history, &[(22, 150)]);
        assert_eq!(told(&history), Some((50, 10)));
        feed(&mut history, &[(24, 250)]);
        assert_eq!(told(&history), Some((100, 10)));
    }

    #[test]
    fn what_several_replicas_write_is_told_of_all_of_them() {
        let mut history = History::new(OVER);
        // Three, each with 10 bytes in ten seconds.
        for at in [0, 1, 4, 7, 11, 14, 17, 21, 24, 27] {
            feed(&mut history, &[(at, 100 + at / 10 * 30 + at % 10 / 3 * 10)]);
        }
        assert_eq!(told(&history), Some((30, 10)));
    }

    #[test]
    fn what_rests_has_no_rate_and_begins_with_a_whole_one() {
        let mut history = History::new(OVER);
        feed(&mut history, &[(0, 7), (14, 7)]);
        assert_eq!(told(&history), None);
        feed(&mut history, &[(16, 7)]);
        assert_eq!(told(&history), Some((0, 16)));
        feed(&mut history, &[(20, 10), (30, 20), (46, 20), (60, 20), (70, 120)]);
        assert_eq!(told(&history), Some((100, 10)));
    }

    #[test]
    fn a_session_that_is_new_came_as_a_whole() {
        let mut history = History::new(OVER);
        feed(&mut history, &[(0, 1), (1, 2)]);
        let both = rows(&[("one", "genomics", 3), ("two", "genomics", 50)]);
        history.add(Duration::from_secs(11), both);
        assert_eq!(told(&history), Some((51, 10)));
    }

    #[test]
    fn another_beginning_keeps_what_was_told() {
        let mut history = History::new(OVER);
        feed(&mut history, &[(0, 1), (1, 2), (11, 12)]);
        history.begin_anew();
        feed(&mut history, &[(13, 1), (21, 5)]);
        assert_eq!(told(&history), Some((10, 10)));
        feed(&mut history, &[(31, 25)]);
        assert_eq!(told(&history), Some((20, 10)));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = History::new(OVER);
        for at in 0..10_000 {
            history.add(Duration::from_millis(at * 50), rows(&[("one", "genomics", at)]));
        }
        assert!(history.bases.len() <= BASES_PER_OVER as usize + 1);
        assert_eq!(told(&history).map(|(_, over)| over), Some(7));
        let mut none = History::new(Duration::ZERO);
        feed(&mut none, &[(0, 1), (1, 2), (11, 12)]);
        assert_eq!((told(&none), none.rows().len()), (None, 1));
    }
}
