//! What a worker asks of a workspace at each request: two loads where nothing is limited. All
//! workers of a process share it, so it is made of atomics, none of which orders anything else. A
//! rate is kept as the moment at which everything taken so far is paid for (GCRA), so it needs one
//! number, no timer, and allows a burst of one second.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Limits;
use crate::limits;
use crate::session::Name;

/// One workspace, the same object for all of its routes in all tables.
#[derive(Debug)]
pub struct Workspace {
    pub name: Name,
    allowed: AtomicBool,
    /// Whether any limit below is set.
    limited: AtomicBool,
    /// 0: none.
    connections_max: AtomicU64,
    requests_per_second_max: AtomicU64,
    bytes_per_second_max: AtomicU64,
    connections: AtomicU64,
    requests_paid_at: AtomicU64,
    bytes_paid_at: AtomicU64,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    Connections,
    Requests { retry_after: Duration },
    Bytes { retry_after: Duration },
}

/// How many processes share the limits; each keeps its part of them, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(pub NonZeroU64);

/// Of the clock that the caller gives.
const PER_SECOND: u64 = 1_000_000;

impl Workspace {
    pub fn new(name: Name, allowed: bool, limits: Limits, share: Share) -> Self {
        let workspace = Self {
            name,
            allowed: AtomicBool::new(allowed),
            limited: AtomicBool::new(false),
            connections_max: AtomicU64::new(0),
            requests_per_second_max: AtomicU64::new(0),
            bytes_per_second_max: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests_paid_at: AtomicU64::new(0),
            bytes_paid_at: AtomicU64::new(0),
        };
        workspace.limit(limits, share);
        workspace
    }

    pub fn unlimited(name: Name) -> Self {
        Self::new(name, true, Limits::NONE, Share(NonZeroU64::MIN))
    }

    pub fn is_allowed(&self) -> bool {
        self.allowed.load(Relaxed)
    }

    pub fn allow(&self, allowed: bool) {
        self.allowed.store(allowed, Relaxed);
    }

    pub fn limit(&self, limits: Limits, share: Share) {
        let part =
            |limit: Option<NonZeroU64>| limit.map_or(0, |all| all.get().div_ceil(share.0.get()));
        self.connections_max.store(part(limits.connections_max), Relaxed);
        self.requests_per_second_max.store(part(limits.requests_per_second_max), Relaxed);
        self.bytes_per_second_max.store(part(limits.bytes_per_second_max), Relaxed);
        let limited = limits != Limits { sessions_max: limits.sessions_max, ..Limits::NONE };
        self.limited.store(limited, Relaxed);
    }

    /// Whether `enter` and `charge` have anything to do.
    pub fn is_limited(&self) -> bool {
        self.limited.load(Relaxed)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// A request wants to begin at `now`, in microseconds of any clock that the process shares and
    /// that does not begin at 0. What is let in must `leave`.
    pub fn enter(&self, now: u64) -> Result<(), Excess> {
        if let Some(retry_after) = self.byte_debt(now) {
            return Err(Excess::Bytes { retry_after });
        }
        if self.is_full(self.connections.fetch_add(1, Relaxed)) {
            self.leave();
            return Err(Excess::Connections);
        }
        let requests = self.requests_per_second_max.load(Relaxed);
        if requests > 0
            && let Err(retry_after) = self.take_request(requests, now)
        {
            self.leave();
            return Err(Excess::Requests { retry_after });
        }
        Ok(())
    }

    /// What a request would be told that came at `now`, in the order of `enter`; it takes nothing.
    pub fn excess(&self, now: u64) -> Option<Excess> {
        if let Some(retry_after) = self.byte_debt(now) {
            return Some(Excess::Bytes { retry_after });
        }
        if self.is_full(self.connections()) {
            return Some(Excess::Connections);
        }
        let requests = self.requests_per_second_max.load(Relaxed);
        let paid_at = self.requests_paid_at.load(Relaxed);
        let wait = (requests > 0).then(|| paid(paid_at, requests, now).err()).flatten();
        wait.map(|retry_after| Excess::Requests { retry_after })
    }

    /// How long until so little is owed that another request may begin.
    fn byte_debt(&self, now: u64) -> Option<Duration> {
        if self.bytes_per_second_max.load(Relaxed) == 0 {
            return None;
        }
        let ahead = self.bytes_paid_at.load(Relaxed).saturating_sub(now);
        (ahead > PER_SECOND).then(|| Duration::from_micros(ahead - PER_SECOND))
    }

    /// Whether there is no room beside so many.
    fn is_full(&self, connections: u64) -> bool {
        let connections_max = self.connections_max.load(Relaxed);
        connections_max > 0 && connections >= connections_max
    }

    pub fn leave(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Bytes went through at `now`; they are not held back, but paid for before the next request.
    pub fn charge(&self, bytes: u64, now: u64) {
        let per_second = self.bytes_per_second_max.load(Relaxed);
        if per_second > 0 {
            let price = cost(bytes, per_second);
            let latest = now + limits::BYTE_DEBT_MAX.as_micros() as u64 + PER_SECOND;
            let pay = |paid_at: u64| Some(paid_at.max(now).saturating_add(price).min(latest));
            let _ = self.bytes_paid_at.fetch_update(Relaxed, Relaxed, pay);
        }
    }

    fn take_request(&self, per_second: u64, now: u64) -> Result<(), Duration> {
        let mut wait = Duration::ZERO;
        let pay = |paid_at: u64| paid(paid_at, per_second, now).inspect_err(|w| wait = *w).ok();
        match self.requests_paid_at.fetch_update(Relaxed, Relaxed, pay) {
            Ok(_) => Ok(()),
            Err(_) => Err(wait),
        }
    }
}

/// Up to when everything is paid for with one more request at `now`, or how long to wait for that.
fn paid(paid_at: u64, per_second: u64, now: u64) -> Result<u64, Duration> {
    let price = cost(1, per_second);
    let (paid_at, burst) = (paid_at.max(now) + price, PER_SECOND.max(price));
    match paid_at - now {
        ahead if ahead <= burst => Ok(paid_at),
        ahead => Err(Duration::from_micros(ahead - burst)),
    }
}

/// The time that so many units are worth, rounded up so that a rate is never exceeded.
fn cost(units: u64, per_second: u64) -> u64 {
    units.saturating_mul(PER_SECOND).div_ceil(per_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000;
    const ALONE: Share = Share(NonZeroU64::MIN);

    fn limited(limits: Limits) -> Workspace {
        Workspace::new("w".parse().unwrap(), true, limits, ALONE)
    }

    fn some(number: u64) -> Option<NonZeroU64> {
        NonZeroU64::new(number)
    }

    #[test]
    fn without_limits_everything_enters() {
        let workspace = limited(Limits { sessions_max: some(1), ..Limits::NONE });
        assert!(!workspace.is_limited());
        for _ in 0..1_000 {
            workspace.enter(NOW).unwrap();
            workspace.charge(1 << 40, NOW);
        }
        assert_eq!(workspace.connections(), 1_000);
    }

    #[test]
    fn connections_are_bounded_and_come_free() {
        let workspace = limited(Limits { connections_max: some(2), ..Limits::NONE });
        assert!(workspace.is_limited());
        workspace.enter(NOW).unwrap();
        workspace.enter(NOW).unwrap();
        assert_eq!(workspace.excess(NOW), Some(Excess::Connections));
        assert_eq!(workspace.enter(NOW), Err(Excess::Connections));
        assert_eq!(workspace.connections(), 2);
        workspace.leave();
        workspace.enter(NOW).unwrap();
    }

    /// A second's worth at once, then as fast as the rate; what is refused costs nothing.
    #[test]
    fn a_rate_allows_a_burst_and_then_its_pace() {
        let workspace = limited(Limits { requests_per_second_max: some(10), ..Limits::NONE });
        let entered = |now| workspace.enter(now).inspect(|()| workspace.leave());
        for _ in 0..10 {
            entered(NOW).unwrap();
        }
        for _ in 0..3 {
            let retry_after = Duration::from_millis(100);
            assert_eq!(workspace.excess(NOW), Some(Excess::Requests { retry_after }));
            assert_eq!(entered(NOW), Err(Excess::Requests { retry_after }));
        }
        // To ask takes nothing.
        assert!((0..9).all(|_| workspace.excess(NOW + 100_000).is_none()));
        entered(NOW + 100_000).unwrap();
        assert!(entered(NOW + 100_000).is_err());
        let hour = 3_600 * PER_SECOND;
        let later = (0..20).filter(|_| entered(NOW + hour).is_ok()).count();
        assert_eq!(later, 10, "an idle hour is not saved up");
        assert_eq!(workspace.connections(), 0);
    }

    #[test]
    fn a_slow_rate_still_lets_one_in() {
        let workspace = limited(Limits { requests_per_second_max: some(1), ..Limits::NONE });
        workspace.enter(NOW).unwrap();
        let retry_after = Duration::from_secs(1);
        assert_eq!(workspace.enter(NOW), Err(Excess::Requests { retry_after }));
        workspace.enter(NOW + PER_SECOND).unwrap();
    }

    #[test]
    fn bytes_are_paid_for_before_the_next_request() {
        let workspace = limited(Limits { bytes_per_second_max: some(1_000), ..Limits::NONE });
        workspace.enter(NOW).unwrap();
        workspace.charge(4_000, NOW);
        let retry_after = Duration::from_secs(3);
        assert_eq!(workspace.excess(NOW), Some(Excess::Bytes { retry_after }));
        assert_eq!(workspace.enter(NOW), Err(Excess::Bytes { retry_after }));
        workspace.enter(NOW + 3 * PER_SECOND).unwrap();
        workspace.charge(1 << 40, NOW);
        assert!(matches!(workspace.enter(NOW + 9 * PER_SECOND), Err(Excess::Bytes { .. })));
        workspace.enter(NOW + 10 * PER_SECOND).unwrap();
    }

    #[test]
    fn processes_share_a_limit() {
        let limits = Limits { connections_max: some(5), ..Limits::NONE };
        let workspace = limited(limits);
        workspace.limit(limits, Share(NonZeroU64::new(2).unwrap()));
        let entered = (0..10).filter(|_| workspace.enter(NOW).is_ok()).count();
        assert_eq!(entered, 3, "half of it, rounded up");
        workspace.limit(Limits::NONE, ALONE);
        assert!(!workspace.is_limited());
        workspace.enter(NOW).unwrap();
    }
}
