//! What was counted of a session: sums over an hour, which add up to those of a workspace, a user
//! or a longer time in whatever order. Where the numbers come from is the data plane's business,
//! where they are kept the store's.

mod rtt;

use std::ops::AddAssign;
use std::time::Duration;

use crate::activity::SessionActivity;
use crate::label::SessionId;
use crate::session::{Name, Timestamp};

pub use rtt::Rtt;

/// A session's usage in one hour, or a part of it: parts of the same key add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub of: UsageKey,
    pub counted: Counted,
}

/// What a process has counted since it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    pub usage: Vec<Usage>,
    /// Of the sessions whose activity has changed.
    pub activity: Vec<SessionActivity>,
}

/// Whose usage, and when. A session that is deleted and created anew for somebody else is counted
/// apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageKey {
    pub hour: Hour,
    pub workspace: Name,
    /// The session's owner.
    pub user: Name,
    pub session: SessionId,
}

/// Hours since the Unix epoch: records are kept by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hour(pub u32);

/// Sums. Bytes are TCP payload, TLS with its overhead. A segment and a retransmit are the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Client connections that began to serve the session; one that goes from session to session
    /// counts for each.
    pub connections: u64,
    /// Those that ended without the edge's FIN: reset by either side, or timed out.
    pub resets: u64,
    /// Requests whose head was forwarded.
    pub requests: u64,
    /// From clients, and to them.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// From the session, and to it.
    pub upstream_bytes_in: u64,
    pub upstream_bytes_out: u64,
    /// On client connections, as all below.
    pub segments_in: u64,
    pub segments_out: u64,
    pub retransmits: u64,
    pub rtt: Rtt,
}

impl Hour {
    const MILLISECONDS: u64 = 3_600_000;
    pub const LENGTH: Duration = Duration::from_millis(Self::MILLISECONDS);

    /// The last one there is for times beyond it, which is the year 491,936.
    pub fn of(time: Timestamp) -> Self {
        Self(u32::try_from(time.0 / Self::MILLISECONDS).unwrap_or(u32::MAX))
    }

    pub fn begins_at(self) -> Timestamp {
        Timestamp(u64::from(self.0) * Self::MILLISECONDS)
    }
}

impl Counted {
    /// How many numbers there are, without those of `rtt`.
    pub const NUMBERS: usize = 10;

    /// In the order of their declaration: how stores keep them.
    pub fn numbers(&self) -> [u64; Self::NUMBERS] {
        [
            self.connections,
            self.resets,
            self.requests,
            self.bytes_in,
            self.bytes_out,
            self.upstream_bytes_in,
            self.upstream_bytes_out,
            self.segments_in,
            self.segments_out,
            self.retransmits,
        ]
    }

    pub fn of_numbers(numbers: [u64; Self::NUMBERS], rtt: Rtt) -> Self {
        let [
            connections,
            resets,
            requests,
            bytes_in,
            bytes_out,
            upstream_bytes_in,
            upstream_bytes_out,
            segments_in,
            segments_out,
            retransmits,
        ] = numbers;
        Self {
            connections,
            resets,
            requests,
            bytes_in,
            bytes_out,
            upstream_bytes_in,
            upstream_bytes_out,
            segments_in,
            segments_out,
            retransmits,
            rtt,
        }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Never wraps: a sum that is too large stays as large as it can be.
impl AddAssign for Counted {
    fn add_assign(&mut self, more: Self) {
        let (mut sums, others) = (self.numbers(), more.numbers());
        for (sum, other) in sums.iter_mut().zip(others) {
            *sum = sum.saturating_add(other);
        }
        let mut rtt = self.rtt;
        rtt += more.rtt;
        *self = Self::of_numbers(sums, rtt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_number_by_number() {
        let numbers = std::array::from_fn(|i| i as u64 + 1);
        let mut sum = Counted::of_numbers(numbers, Rtt::of_sample(900));
        assert_eq!(sum.numbers(), numbers);
        sum += sum;
        assert_eq!(sum.numbers(), numbers.map(|number| 2 * number));
        assert_eq!(sum.rtt.samples(), 2);
        sum += Counted { bytes_in: u64::MAX, ..Counted::default() };
        assert_eq!(sum.bytes_in, u64::MAX);
        assert!(!sum.is_nothing() && Counted::default().is_nothing());
    }

    #[test]
    fn an_hour_begins_where_it_says() {
        let hour = Hour::of(Timestamp(1_795_593_599_999));
        assert_eq!(hour.begins_at(), Timestamp(1_795_590_000_000));
        assert_eq!(Hour::of(hour.begins_at()), hour);
    }
}
