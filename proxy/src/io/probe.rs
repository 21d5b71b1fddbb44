//! Whether this process may use io_uring: a ring as a worker has it is set up, and an operation
//! goes through it. A small one would be let through where a worker's is refused. Refusals are
//! common (Docker's and containerd's default seccomp profiles, a sysctl) and must not
//! be a panic.

use std::io;

use super::driver::{Driver, EventLoop};

/// Why io_uring cannot be used, in words for the log and in one for the metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{advice}")]
pub(crate) struct Refused {
    pub(crate) reason: &'static str,
    pub(crate) advice: &'static str,
}

pub(crate) fn probe_uring() -> Result<(), Refused> {
    // On a thread of its own: a runtime cannot be made inside another.
    let probe = std::thread::spawn(|| EventLoop::uring()?.run(Driver::probe));
    match probe.join() {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Refused::of(&error)),
        Err(_) => Err(Refused { reason: "other", advice: "the probe of io_uring panicked" }),
    }
}

impl Refused {
    pub(crate) fn of(error: &io::Error) -> Self {
        let (reason, advice) = match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => (
                "eperm",
                "io_uring_setup is refused (EPERM): by the container's seccomp profile, or by \
                 `sysctl kernel.io_uring_disabled`",
            ),
            Some(libc::ENOSYS) => ("enosys", "this kernel or sandbox has no io_uring (ENOSYS)"),
            Some(libc::ENOMEM) => (
                "enomem",
                "io_uring_setup got no memory (ENOMEM): raise the limit of locked memory (`ulimit \
                 -l`) or the container's memory",
            ),
            Some(libc::EINVAL) => ("einval", "io_uring of this kernel is older than Linux 5.19"),
            _ => ("other", "io_uring_setup failed"),
        };
        Self { reason, advice }
    }
}
