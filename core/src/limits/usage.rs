//! Bounds of what is counted of sessions, and of what is known of their activity.

use std::time::Duration;

use super::{CLOCK_SKEW_MAX, REDIS_CALL_TIMEOUT};

/// A month and some days to write its bill. Rows, what was said of a session's activity, and a
/// writer's last number are kept for so long. A writer whose batch is older than that may be
/// forgotten, although it can still send it again: all that is in the batch is over by then.
pub const USAGE_RETENTION: Duration = Duration::from_secs(35 * 24 * 60 * 60);
/// Rows of usage and of activity that are written in one step. A Redis does nothing else meanwhile:
/// 22 ms were measured for 500 rows without a 0 in them (Redis 7, on this project's machine), which
/// makes 9 ms at the worst.
pub const USAGE_ROWS_PER_BATCH_MAX: usize = 200;
/// Of each kind, old rows that one batch forgets: more than it adds, so that forgetting keeps up.
pub const USAGE_FORGET_PER_BATCH: usize = 1_000;
/// Hours that are read in one step: with 10,000 sessions that are in use, some 20 MB.
pub const USAGE_HOURS_PER_READ_MAX: u32 = 4;
/// Questions of the API about usage that are answered at the same time; who comes later waits, but
/// no longer than this.
pub const USAGE_READS_MAX: usize = 4;
pub const USAGE_READ_WAIT: Duration = Duration::from_secs(5);
/// Processes whose word on a session's activity is kept, those that spoke last: far more than have
/// connections of one session.
pub const ACTIVITY_WRITERS_MAX: usize = 64;
/// How often a process writes down what it has counted.
pub const METER_INTERVAL: Duration = Duration::from_secs(10);
/// How long an operator may make that.
pub const METER_INTERVAL_MAX: Duration = Duration::from_secs(12);
/// Between tries to write down what was counted: while the store is away, and for the last time at
/// the end, which is short.
pub const METER_RETRY: Duration = Duration::from_secs(1);
/// At the end, before what could not be written down is given up: a part of the half minute that a
/// process usually has between SIGTERM and SIGKILL.
pub const METER_FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that wait for the store, some 50 MB: hours of a busy edge, because rows of an hour add up.
pub const USAGE_PENDING_ROWS_MAX: usize = 100_000;
/// Rows that an answer of the API is put together from, some 50 MB.
pub const USAGE_GROUPS_MAX: usize = 100_000;
/// What a process has seen is in the store after so long: the interval, a try that runs out of
/// time, and one more. Nobody is taken for idle for as long after a start, or after the store was
/// away.
pub const ACTIVITY_LAG: Duration = Duration::from_secs(30);
/// What a session's time without data may be set to. Below it a laptop that changes networks would
/// be taken for an idle user.
pub const IDLE_TIMEOUT_SECONDS_MIN: u64 = 60;
pub const IDLE_TIMEOUT_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;
/// How often it is looked which sessions are idle.
pub const IDLE_CHECK: Duration = Duration::from_secs(10);
/// How often it is looked whether one that is idle is used again, a check later at most. A minute
/// is soon enough for a mark, and there may be many that nobody will ever use again.
pub const IDLE_CHECK_AGAIN: Duration = Duration::from_secs(50);
/// So many calls that fail one after the other: the store is away, and the rest is not asked.
pub const IDLE_FAILURES_MAX: u32 = 3;

const _: () = assert!(USAGE_ROWS_PER_BATCH_MAX < USAGE_FORGET_PER_BATCH);
const _: () = assert!(24 % USAGE_HOURS_PER_READ_MAX == 0, "a day is read in whole steps");
const _: () = assert!(USAGE_ROWS_PER_BATCH_MAX < USAGE_PENDING_ROWS_MAX);
const _: () = assert!(
    IDLE_TIMEOUT_SECONDS_MAX + ACTIVITY_LAG.as_secs() + CLOCK_SKEW_MAX.as_secs()
        < USAGE_RETENTION.as_secs(),
    "what makes a session busy is not forgotten before it is idle"
);
const _: () = assert!(METER_INTERVAL.as_secs() <= METER_INTERVAL_MAX.as_secs());
const _: () = assert!(
    2 * METER_INTERVAL_MAX.as_secs() + REDIS_CALL_TIMEOUT.as_secs() <= ACTIVITY_LAG.as_secs()
);
const _: () = assert!(2 * METER_INTERVAL_MAX.as_secs() < IDLE_TIMEOUT_SECONDS_MIN);
