//! The least rate of a client's body, as a budget of time: waiting spends it, bytes earn it back.
//! Only the time in which the client is waited for counts, not that in which the session is slow to
//! take what came. Times are since any fixed moment.

use std::time::Duration;

use crate::limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    left: Duration,
    waiting_since: Option<Duration>,
}

impl Pace {
    #[must_use]
    pub fn new() -> Self {
        Self { left: limits::BODY_PATIENCE, waiting_since: None }
    }

    /// From now on the client is waited for: how long that may last.
    #[must_use]
    pub fn wait(&mut self, now: Duration) -> Duration {
        self.waiting_since = Some(now);
        self.left
    }

    /// The wait is over: `bytes` came. Without a wait nothing is spent.
    pub fn received(&mut self, now: Duration, bytes: usize) {
        let waited = self.waiting_since.take().map_or(Duration::ZERO, |s| now.saturating_sub(s));
        let earned = (bytes as u64).saturating_mul(1_000_000_000);
        let earned = Duration::from_nanos(earned / limits::BODY_BYTES_PER_SECOND_MIN);
        let left = self.left.saturating_sub(waited).saturating_add(earned);
        self.left = left.min(limits::BODY_CREDIT_MAX);
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `bytes` every `every` seconds: after how many seconds is it cut, if at all in a day?
    fn cut_after(bytes: usize, every: f64) -> Option<u64> {
        let (mut pace, every) = (Pace::new(), Duration::from_secs_f64(every));
        let mut now = Duration::from_secs(1_000);
        while now < Duration::from_secs(87_400) {
            let left = pace.wait(now);
            if left < every {
                return Some((now + left).as_secs() - 1_000);
            }
            now += every;
            pace.received(now, bytes);
        }
        None
    }

    #[test]
    fn a_body_is_cut_by_its_rate_however_its_pieces_come() {
        for (bytes, every, expected) in [
            // Silent from the start.
            (0, 100.0, Some(20)),
            // A byte just before each receive's patience would end.
            (1, 19.0, Some(20)),
            (1, 1.0, Some(20)),
            // Half of the least rate: what comes lengthens it.
            (120, 1.0, Some(40)),
            (12, 0.1, Some(40)),
            // Steady at the least rate, in any pieces, or above it.
            (240, 1.0, None),
            (24, 0.1, None),
            (4_800, 20.0, None),
            (14_400, 60.0, Some(20)),
            (1_000_000, 19.0, None),
        ] {
            let cut = cut_after(bytes, every);
            let near = match (cut, expected) {
                (Some(cut), Some(expected)) => cut.abs_diff(expected) <= 1,
                (cut, expected) => cut == expected,
            };
            assert!(near, "{bytes} bytes every {every} s: {cut:?} instead of {expected:?}");
        }
    }

    #[test]
    fn what_came_fast_is_credit_up_to_a_bound() {
        let mut pace = Pace::new();
        let start = Duration::ZERO;
        assert_eq!(pace.wait(start), limits::BODY_PATIENCE);
        pace.received(start, 1 << 30);
        assert_eq!(pace.wait(start), limits::BODY_CREDIT_MAX);
        pace.received(Duration::from_secs(59), 240);
        assert_eq!(pace.wait(Duration::from_secs(59)), Duration::from_secs(2));
    }

    #[test]
    fn only_waiting_for_the_client_is_charged() {
        let mut pace = Pace::new();
        let _ = pace.wait(Duration::from_secs(0));
        pace.received(Duration::from_secs(5), 240);
        // An hour in which the session took nothing.
        let now = Duration::from_secs(3_605);
        assert_eq!(pace.wait(now), limits::BODY_PATIENCE - Duration::from_secs(4));
        // And bytes that came while nobody had begun to wait.
        let mut early = Pace::new();
        early.received(now, 0);
        assert_eq!(early.wait(now), limits::BODY_PATIENCE);
    }
}
