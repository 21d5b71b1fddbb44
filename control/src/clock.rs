//! The control plane's clock. The data plane and `core` are given the time.

use std::time::{SystemTime, UNIX_EPOCH};

use portico_core::session::Timestamp;

pub fn now() -> Timestamp {
    // Before 1970 only where the clock was never set.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}
