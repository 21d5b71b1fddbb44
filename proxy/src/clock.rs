//! The clock that all workers of a process share where they count together.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use portico_core::session::Timestamp;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

/// Far from 0, so that a moment before the start has a name.
const AHEAD: Duration = Duration::from_secs(3_600);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn microseconds(self) -> u64 {
        (self.0.elapsed() + AHEAD).as_micros() as u64
    }
}

/// The time of day, by which grants end.
pub(crate) fn now() -> Timestamp {
    // Before 1970 only where the clock was never set.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}
