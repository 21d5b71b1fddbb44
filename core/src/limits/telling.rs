//! Bounds of what is told of requests: lines of the logs, last errors, and questions about them.

use std::time::Duration;

/// Lines of the process's log waiting for the writer; beyond it they are dropped and counted. Fewer
/// than the access log's, because one may quote a whole request head.
pub const LOG_QUEUE_MAX: usize = 2_048;
/// Access-log lines waiting for the writer; beyond it lines are dropped and counted.
pub const ACCESS_LOG_QUEUE_MAX: usize = 8_192;
/// A host, target or user agent in such a line is cut here, which bounds the queue's memory.
pub const ACCESS_LOG_FIELD_BYTES_MAX: usize = 2 * 1024;

/// Sessions whose last errors a worker remembers, those that had some last. Where more have errors
/// at a time something is wrong with all of them, which metrics tell better.
pub const ERRORS_SESSIONS_MAX: usize = 1_024;
/// Kinds of error of one session, each with its count: repetition pushes nothing out.
pub const ERRORS_PER_SESSION_MAX: usize = 4;
/// Memory of one such error, and of a session around them with its place in the table; the data
/// plane proves that its types are no larger.
pub const ERROR_BYTES_MAX: usize = 64;
pub const ERRORS_SESSION_BYTES_MAX: usize = 208;
/// Of this many sessions one is forgotten, those at once that had no errors for longest, when there
/// are too many: finding them means looking at all.
pub const ERRORS_FORGOTTEN_PART: usize = 16;
/// Questions of operators that wait for one worker, and how long an answer is waited for: a worker
/// that is busy for as long has no time for questions, and is told apart.
pub const QUESTIONS_MAX: usize = 16;
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);

const _: () = assert!(
    ERRORS_SESSIONS_MAX * (ERRORS_PER_SESSION_MAX * ERROR_BYTES_MAX + ERRORS_SESSION_BYTES_MAX)
        <= 512 * 1024,
    "half a megabyte for each worker"
);
const _: () = assert!(ERRORS_FORGOTTEN_PART <= ERRORS_SESSIONS_MAX, "at least one is forgotten");
