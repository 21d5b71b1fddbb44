//! Counts that wait for the store: the batch under way, which stays as it is until it is confirmed,
//! and what has come since. No I/O and no clock.

use std::collections::BTreeMap;

use portico_core::activity::{Activity, SessionActivity};
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use portico_core::usage::{Counted, Hour, Reading, Usage, UsageKey};

use crate::store::UsageBatch;

pub struct Pending {
    writer: Name,
    rows_max: usize,
    under_way: Option<UnderWay>,
    last_number: u64,
    usage: BTreeMap<UsageKey, Counted>,
    activity: BTreeMap<SessionId, Activity>,
}

struct UnderWay {
    batch: UsageBatch,
    is_tried: bool,
}

/// To be given to the store now.
pub struct Attempt {
    pub batch: UsageBatch,
    pub is_first: bool,
}

impl Pending {
    pub fn new(writer: Name, rows_max: usize) -> Self {
        let (usage, activity) = (BTreeMap::new(), BTreeMap::new());
        Self { writer, rows_max, under_way: None, last_number: 0, usage, activity }
    }

    pub fn rows(&self) -> usize {
        let under_way = self.under_way.as_ref().map(|under_way| &under_way.batch.reading);
        let under_way = under_way.map_or(0, |reading| reading.usage.len() + reading.activity.len());
        under_way + self.usage.len() + self.activity.len()
    }

    /// Answers how many rows were lost, because there is no room.
    pub fn add(&mut self, reading: Reading) -> u64 {
        let mut lost = 0;
        for Usage { of, counted } in reading.usage {
            if !counted.is_nothing() && !self.count(of, counted) {
                lost += 1;
            }
        }
        // A session that is counted in two places at once has two rows in one reading.
        let mut latest: BTreeMap<SessionId, Activity> = BTreeMap::new();
        for SessionActivity { session, activity } in reading.activity {
            let all = latest.entry(session).or_default();
            *all = all.merged(activity);
        }
        for (session, activity) in latest {
            if let Some(before) = self.activity.get_mut(&session) {
                // What is open is so now; clocks do not go back.
                *before = Activity { open: activity.open, ..before.merged(activity) };
            } else if self.activity.len() < self.rows_max {
                self.activity.insert(session, activity);
            } else {
                lost += 1;
            }
        }
        lost
    }

    /// Where there is no room for a new hour, it is counted to the last one that waits of the same
    /// session: totals stay right.
    fn count(&mut self, of: UsageKey, counted: Counted) -> bool {
        if let Some(sum) = self.usage.get_mut(&of) {
            *sum += counted;
            return true;
        }
        if self.usage.len() < self.rows_max {
            self.usage.insert(of, counted);
            return true;
        }
        let first = self.usage.first_key_value().map_or(of.hour, |(key, _)| key.hour);
        for hour in (first.0..of.hour.0).rev().map(Hour) {
            if let Some(sum) = self.usage.get_mut(&UsageKey { hour, ..of.clone() }) {
                *sum += counted;
                return true;
            }
        }
        false
    }

    /// The batch under way, or else the next one: the oldest rows, as many as fit.
    pub fn attempt(&mut self, now: Timestamp) -> Option<Attempt> {
        if self.under_way.is_none() {
            let reading = self.take(limits::USAGE_ROWS_PER_BATCH_MAX);
            if reading == Reading::default() {
                return None;
            }
            self.last_number = now.0.max(self.last_number + 1);
            let (writer, number) = (self.writer.clone(), self.last_number);
            let batch = UsageBatch { writer, number, at: now, reading };
            self.under_way = Some(UnderWay { batch, is_tried: false });
        }
        let under_way = self.under_way.as_mut()?;
        let is_first = !std::mem::replace(&mut under_way.is_tried, true);
        Some(Attempt { batch: under_way.batch.clone(), is_first })
    }

    /// The store has the batch under way.
    pub fn confirmed(&mut self) {
        self.under_way = None;
    }

    fn take(&mut self, rows_max: usize) -> Reading {
        let mut reading = Reading::default();
        while reading.usage.len() < rows_max
            && let Some((of, counted)) = self.usage.pop_first()
        {
            reading.usage.push(Usage { of, counted });
        }
        while reading.usage.len() + reading.activity.len() < rows_max
            && let Some((session, activity)) = self.activity.pop_first()
        {
            reading.activity.push(SessionActivity { session, activity });
        }
        reading
    }
}

#[cfg(test)]
mod tests {
    use portico_core::activity::Open;

    use super::*;

    fn row(hour: u32, session: &str, bytes_in: u64) -> Usage {
        let (workspace, user) = ("genomics".parse().unwrap(), "ada".parse().unwrap());
        let session = SessionId::parse(session).unwrap();
        let of = UsageKey { hour: Hour(hour), workspace, user, session };
        Usage { of, counted: Counted { bytes_in, ..Counted::default() } }
    }

    fn reading(usage: Vec<Usage>) -> Reading {
        Reading { usage, activity: Vec::new() }
    }

    fn pending(rows_max: usize) -> Pending {
        Pending::new("w1".parse().unwrap(), rows_max)
    }

    #[test]
    fn a_batch_stays_as_it_is_until_it_is_confirmed() {
        let mut pending = pending(9);
        assert!(pending.attempt(Timestamp(5)).is_none());
        pending.add(reading(vec![row(1, "one", 1), row(1, "one", 2), row(1, "two", 0)]));
        let first = pending.attempt(Timestamp(5)).unwrap();
        assert_eq!((first.batch.number, first.is_first), (5, true));
        assert_eq!(first.batch.reading.usage, [row(1, "one", 3)]);
        pending.add(reading(vec![row(1, "one", 4)]));
        let again = pending.attempt(Timestamp(6)).unwrap();
        assert_eq!((&again.batch, again.is_first), (&first.batch, false));
        assert_eq!(pending.rows(), 2);
        pending.confirmed();
        // A clock that is set back does not set numbers back.
        let next = pending.attempt(Timestamp(2)).unwrap().batch;
        assert_eq!((next.number, &next.reading.usage[..]), (6, &[row(1, "one", 4)][..]));
        pending.confirmed();
        assert!(pending.attempt(Timestamp(9)).is_none());
    }

    #[test]
    fn a_batch_has_a_bounded_size_and_the_oldest_first() {
        let more = limits::USAGE_ROWS_PER_BATCH_MAX + 7;
        let mut pending = pending(more);
        let session = |number: usize| format!("s{number:04}");
        let rows = (0..more).rev().map(|number| row(1, &session(number), 1)).collect();
        let activity = Activity::default();
        let of =
            |text: &str| SessionActivity { session: SessionId::parse(text).unwrap(), activity };
        pending.add(Reading { usage: rows, activity: vec![of("one"), of("one"), of("two")] });
        let first = pending.attempt(Timestamp(1)).unwrap().batch.reading;
        assert_eq!((first.usage.len(), first.activity.len()), (more - 7, 0));
        assert_eq!(first.usage[0], row(1, "s0000", 1));
        pending.confirmed();
        let rest = pending.attempt(Timestamp(1)).unwrap().batch.reading;
        assert_eq!((rest.usage.len(), rest.activity), (7, vec![of("one"), of("two")]));
    }

    #[test]
    fn a_session_in_two_places_has_the_latest_of_both() {
        let at = |ms| Some(Timestamp(ms));
        let row = |client, session, requests| SessionActivity {
            session: SessionId::parse("one").unwrap(),
            activity: Activity {
                client_data_at: client,
                session_data_at: session,
                open: Open { requests, ..Open::default() },
                ..Activity::default()
            },
        };
        let reading = |activity| Reading { usage: Vec::new(), activity };
        let mut pending = pending(9);
        pending.add(reading(vec![row(at(9), at(4), 2), row(at(5), at(6), 1)]));
        let both = pending.activity.values().next().copied();
        assert_eq!(both, Some(row(at(9), at(6), 3).activity), "of one moment: both are open");
        pending.add(reading(vec![row(at(7), None, 1)]));
        let written = pending.attempt(Timestamp(1)).unwrap().batch.reading.activity;
        assert_eq!(written, [row(at(9), at(6), 1)], "of a later one: what is open now");
    }

    #[test]
    fn without_room_an_hour_is_counted_to_the_one_before() {
        let mut pending = pending(2);
        assert_eq!(pending.add(reading(vec![row(1, "one", 1), row(2, "two", 1)])), 0);
        assert_eq!(pending.add(reading(vec![row(1, "one", 1), row(3, "one", 5)])), 0);
        assert_eq!(pending.add(reading(vec![row(3, "three", 1), row(2, "one", 2)])), 1);
        let written = pending.attempt(Timestamp(1)).unwrap().batch.reading.usage;
        assert_eq!(written, [row(1, "one", 9), row(2, "two", 1)]);
    }
}
