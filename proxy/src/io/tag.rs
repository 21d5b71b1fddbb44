//! The private socket option by which a socket is counted for somebody: the kernel programs of
//! accounting catch it. It must not know what a key stands for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use portico_ebpf::{LEVEL, LOOK, TAG, Tag};

/// Has the socket counted for the key of `tag` from here on. It must be connected.
///
/// Fails with `ENOPROTOOPT` where it is not counted: without the programs, or when it was connected
/// before they were attached.
pub(crate) fn tag(fd: BorrowedFd<'_>, tag: &Tag) -> io::Result<()> {
    // SAFETY: a reference is valid for reads of its size for the duration of the call, and the
    // descriptor is open because it is borrowed. `Tag` has no padding.
    let result = unsafe {
        let length = size_of::<Tag>() as libc::socklen_t;
        libc::setsockopt(fd.as_raw_fd(), LEVEL, TAG, std::ptr::from_ref(tag).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has everything up to now counted and the round-trip time sampled, which otherwise waits for the
/// next tag or the end.
pub(crate) fn look(fd: BorrowedFd<'_>) -> io::Result<()> {
    let nothing: libc::c_int = 0;
    // SAFETY: as in `tag`.
    let result = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(fd.as_raw_fd(), LEVEL, LOOK, (&raw const nothing).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
