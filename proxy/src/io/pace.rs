//! How fast a socket sends at most (`SO_MAX_PACING_RATE`; TCP paces by itself since Linux 4.13,
//! without a queueing discipline that does).

use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What the kernel takes for "as fast as it can".
const UNLIMITED: u64 = u64::MAX;

/// Whoever cannot be paced is not, which the next look of its quota's owner tries again.
pub(super) fn set(fd: BorrowedFd<'_>, bytes_per_second: Option<NonZeroU64>) {
    let rate = bytes_per_second.map_or(UNLIMITED, NonZeroU64::get);
    // SAFETY: the number is valid for reads of its size for the duration of the call, and the
    // descriptor is open because it is borrowed.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MAX_PACING_RATE,
            (&raw const rate).cast(),
            size_of::<u64>() as libc::socklen_t,
        );
    }
}
