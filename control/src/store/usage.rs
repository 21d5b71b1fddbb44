//! What processes have counted of sessions, and what they know of their activity: kept beside the
//! sessions, outside of the change log and the audit log. Here is what stores are asked and the
//! form in which they keep it; it must not know where any of them keeps it.
//!
//! **Once.** A process numbers its batches, upwards. One that has a number not above its writer's
//! last was added before and changes nothing, so a batch whose outcome is unknown is sent again as
//! it was. Sums of a key add up over batches and writers; of a session's activity each writer's
//! last word stands.

use std::fmt::Write as _;

use portico_core::activity::{Activity, Open};
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use portico_core::usage::{Counted, Hour, Reading, Rtt, UsageKey};

/// What one process has counted, of at most `limits::USAGE_ROWS_PER_BATCH_MAX` rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBatch {
    pub writer: Name,
    /// Above those of the writer's batches before.
    pub number: u64,
    /// When it was counted. By this, old rows are forgotten.
    pub at: Timestamp,
    pub reading: Reading,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Now,
    /// This batch, or one that is numbered after it.
    Before,
}

/// Of which hours, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    pub from: Hour,
    /// The first hour that is not wanted; at most `limits::USAGE_HOURS_PER_READ_MAX` after `from`
    /// are read at once.
    pub until: Hour,
    pub workspace: Option<Name>,
    pub user: Option<Name>,
    pub session: Option<SessionId>,
}

impl UsageQuery {
    pub fn hours(from: Hour, until: Hour) -> Self {
        Self { from, until, workspace: None, user: None, session: None }
    }

    /// Without regard to the hour.
    pub(super) fn wants(&self, workspace: &str, user: &str, session: &str) -> bool {
        let is = |wanted: Option<&str>, found| wanted.is_none_or(|wanted| wanted == found);
        is(self.workspace.as_ref().map(Name::as_str), workspace)
            && is(self.user.as_ref().map(Name::as_str), user)
            && is(self.session.as_ref().map(SessionId::as_str), session)
    }

    pub(super) fn until_now(&self) -> Hour {
        let last = self.from.0.saturating_add(limits::USAGE_HOURS_PER_READ_MAX);
        Hour(self.until.0.min(last))
    }
}

impl UsageBatch {
    /// What was last written before this is forgotten.
    pub(super) fn forgotten_before(&self) -> Timestamp {
        Timestamp(self.at.0.saturating_sub(limits::USAGE_RETENTION.as_millis() as u64))
    }
}

/// What was written as a key is one; anything else is of nobody.
pub(super) fn key(hour: Hour, workspace: &str, user: &str, session: &str) -> Option<UsageKey> {
    Some(UsageKey {
        hour,
        workspace: workspace.parse().ok()?,
        user: user.parse().ok()?,
        session: SessionId::parse(session).ok()?,
    })
}

/// The numbers of a row: the sums in their order, the buckets of round-trip times, and their
/// minimum, which does not add up.
pub(super) const NUMBERS: usize = SUMS + 1;
pub(super) const SUMS: usize = Counted::NUMBERS + Rtt::BUCKETS;
pub(super) const ROW_BYTES: usize = 8 * NUMBERS;

pub(super) fn numbers(counted: &Counted) -> [u64; NUMBERS] {
    let rtt = &counted.rtt;
    let all = counted.numbers().into_iter().chain(rtt.buckets);
    let mut all = all.chain([u64::from(rtt.minimum_us)]);
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

/// Of a row as Redis's `BITFIELD` writes it: big-endian, eight bytes a number, without zeros at the
/// end.
pub(super) fn counted_of_words(bytes: &[u8]) -> Counted {
    let mut words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_be_bytes(word)
    });
    counted(|| words.next())
}

/// Seven bits a byte, lowest first, the eighth says that more follow (LEB128): most numbers of a
/// row are small, and so is the row.
pub(super) fn encode(counted: &Counted) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * NUMBERS);
    for mut number in numbers(counted) {
        while number > 0x7f {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }
    bytes
}

/// What is missing is 0.
pub(super) fn decode(bytes: &[u8]) -> Counted {
    let mut bytes = bytes.iter().copied();
    counted(|| {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes.next()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    })
}

fn counted(mut next: impl FnMut() -> Option<u64>) -> Counted {
    let mut next = || next().unwrap_or_default();
    let sums = std::array::from_fn(|_| next());
    let buckets = std::array::from_fn(|_| next());
    let minimum_us = u32::try_from(next()).unwrap_or(u32::MAX);
    Counted::of_numbers(sums, Rtt { buckets, minimum_us })
}

/// One writer's word on a session, as it is kept.
pub(super) fn words(activity: &Activity) -> String {
    let Activity { client_data_at, session_data_at, ping_at, open } = activity;
    let mut words = String::new();
    for at in [client_data_at, session_data_at, ping_at] {
        // Writing to a String cannot fail.
        let _ = match at {
            Some(Timestamp(at)) => write!(words, "{at} "),
            None => write!(words, "- "),
        };
    }
    let _ = write!(words, "{} {} {}", open.requests, open.websockets, open.upgrades);
    words
}

/// What is kept of a session: a line for each writer, who spoke last at the end.
pub(super) fn lines_with(lines: &str, writer: &Name, activity: &Activity) -> String {
    let of_others = |line: &&str| line.split(' ').next() != Some(writer.as_str());
    let others: Vec<_> = lines.lines().filter(of_others).collect();
    let kept = &others[others.len().saturating_sub(limits::ACTIVITY_WRITERS_MAX - 1)..];
    let own = format!("{writer} {}", words(activity));
    kept.iter().copied().chain([own.as_str()]).map(|line| format!("{line}\n")).collect()
}

/// In the order of the writers' names, without what is no line.
pub(super) fn read_lines(lines: &str) -> Vec<(Name, Activity)> {
    let mut read: Vec<_> = lines.lines().filter_map(read_line).collect();
    read.sort_by(|(one, _), (other, _)| one.cmp(other));
    read
}

fn read_line(line: &str) -> Option<(Name, Activity)> {
    let mut words = line.split(' ');
    let writer = words.next()?.parse().ok()?;
    let mut at = || match words.next()? {
        "-" => Some(None),
        at => at.parse().ok().map(|at| Some(Timestamp(at))),
    };
    let (client_data_at, session_data_at, ping_at) = (at()?, at()?, at()?);
    let mut count = || words.next()?.parse().ok();
    let open = Open { requests: count()?, websockets: count()?, upgrades: count()? };
    Some((writer, Activity { client_data_at, session_data_at, ping_at, open }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Counted {
        let numbers = [0, 1, 127, 128, 1 << 20, (1 << 53) + 1, u64::MAX, 0, 300, 7];
        let mut counted = Counted::of_numbers(numbers, Rtt::of_sample(900));
        counted.rtt += Rtt::of_sample(u32::MAX);
        counted
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        for counted in [counted(), Counted::default()] {
            assert_eq!(decode(&encode(&counted)), counted);
            let words: Vec<u8> = numbers(&counted).into_iter().flat_map(u64::to_be_bytes).collect();
            assert_eq!((words.len(), counted_of_words(&words)), (ROW_BYTES, counted));
        }
        assert_eq!(encode(&Counted::default()).len(), NUMBERS);
        assert_eq!((decode(&[]), counted_of_words(&[])), (Counted::default(), Counted::default()));
        assert_eq!(decode(&[0xff; 99]).connections, 0, "damage is no panic");
    }

    #[test]
    fn a_writer_has_one_line_and_old_ones_go() {
        let open = Open { requests: 1, websockets: 2, upgrades: 3 };
        let activity = Activity { client_data_at: Some(Timestamp(5)), open, ..Activity::default() };
        let name = |text: &str| text.parse::<Name>().unwrap();
        let mut lines = String::new();
        for writer in ["b", "a", "b"] {
            lines = lines_with(&lines, &name(writer), &activity);
        }
        assert_eq!(lines, "a 5 - - 1 2 3\nb 5 - - 1 2 3\n");
        assert_eq!(read_lines(&lines), [(name("a"), activity), (name("b"), activity)]);
        for number in 0..limits::ACTIVITY_WRITERS_MAX - 1 {
            lines = lines_with(&lines, &name(&format!("w{number}")), &activity);
        }
        assert!(lines.lines().count() == limits::ACTIVITY_WRITERS_MAX && lines.starts_with("b "));
        assert_eq!(read_lines("a 5 -\n\u{7} - - - 1 1 1\nx - - - 1 1 -1\n"), []);
    }
}
