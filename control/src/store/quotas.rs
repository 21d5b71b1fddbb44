//! What a store keeps of traffic quotas: for each window of each account what all replicas have
//! counted, for as long as it counts. It is in no log and no snapshot, and losing it (a Redis
//! without its data, a failover) only gives everybody a new window: it decides nothing but that.
//!
//! Rules for every implementation:
//! - A batch is one atomic step, and counts as `Span::count` does.
//! - One whose writer has written that number, or a greater one, counts nothing and is answered.
//! - The answer has a total for each delta, in their order.
//! - Windows are forgotten when they are over, writers `limits::QUOTA_WRITER_TTL` after their last
//!   batch.

pub use portico_core::quota::{Batch, Delta, Part, Total, WindowKey};

/// The name of a window in a store. No bucket's name has a comma.
pub fn name(of: &WindowKey) -> String {
    let WindowKey { bucket, value, span } = of;
    format!("{}:{}:{bucket},{value}", span.kind.as_str(), span.milliseconds())
}
