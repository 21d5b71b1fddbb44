//! The control plane's clock. The data plane and `core` are given the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portico_core::session::Timestamp;

pub fn now() -> Timestamp {
    // Before 1970 only where the clock was never set.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as u64)
}

/// As the API and answers say a time.
pub fn rfc3339(Timestamp(milliseconds): Timestamp) -> String {
    /// 9999-12-31T23:59:59.999Z, the last moment that the format can say.
    const LAST: u64 = 253_402_300_799_999;
    let time = UNIX_EPOCH + Duration::from_millis(milliseconds.min(LAST));
    humantime::format_rfc3339_millis(time).to_string()
}
