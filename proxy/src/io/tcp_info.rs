//! What the kernel knows of one connection (`TCP_INFO`, all of it since Linux 4.19).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kernel's `struct tcp_info`, as far as it is read here; a kernel fills in what it has.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct TcpInfo {
    pub(super) state: u8,
    more: [u8; 7],
    timers_and_windows: [u32; 15],
    /// Smoothed, in microseconds.
    pub(super) rtt_us: u32,
    congestion: [u32; 7],
    pub(super) retransmits: u32,
    pacing: [u64; 2],
    /// With one for each of SYN and FIN.
    pub(super) bytes_acked: u64,
    /// With one for FIN.
    pub(super) bytes_received: u64,
    pub(super) segments_out: u32,
    pub(super) segments_in: u32,
    not_sent: u32,
    pub(super) rtt_minimum_us: u32,
}

const _: () = assert!(std::mem::offset_of!(TcpInfo, rtt_us) == 68);
const _: () = assert!(std::mem::offset_of!(TcpInfo, bytes_acked) == 120);
const _: () = assert!(size_of::<TcpInfo>() == 152);

/// `TCP_CLOSE` of the kernel's `enum`.
pub(super) const STATE_CLOSE: u8 = 7;

impl TcpInfo {
    pub(super) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let mut info = Self::default();
        let mut length = size_of::<Self>() as libc::socklen_t;
        // SAFETY: the structure is valid for writes of `length` bytes, any of which are valid
        // values of its integers, and the descriptor is open because it is borrowed.
        let result = unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut info).cast(),
                &raw mut length,
            )
        };
        match result {
            0 => Ok(info),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
