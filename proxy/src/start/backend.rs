//! Which io back end drives the workers: asked for, or the best that this machine allows. `auto`
//! means that Portico serves, on whatever is there, and says so; `uring` means that it does not
//! start without io_uring, not even with one worker less.

use std::io;

use super::StartError;
use crate::io::{EventLoop, Refused, probe_uring};
use crate::settings::IoChoice;

/// A back end, and why this one, in a word for the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) kind: Kind,
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Uring,
    Epoll,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Uring => "uring",
            Kind::Epoll => "epoll",
        }
    }
}

/// For all workers, by a probe.
pub(super) fn choose(choice: IoChoice) -> Result<Backend, StartError> {
    let uring = |reason| Ok(Backend { kind: Kind::Uring, reason });
    match choice {
        IoChoice::Epoll => Ok(Backend { kind: Kind::Epoll, reason: "requested" }),
        IoChoice::Uring => match probe_uring() {
            Ok(()) => uring("requested"),
            Err(refused) => Err(StartError::Uring(refused.advice)),
        },
        IoChoice::Auto => match probe_uring() {
            Ok(()) => uring("available"),
            Err(refused) => {
                tracing::warn!(
                    reason = refused.reason,
                    "falling back to epoll: {}. See deploy/README.md",
                    refused.advice
                );
                Ok(Backend { kind: Kind::Epoll, reason: refused.reason })
            }
        },
    }
}

/// On a worker's thread. The probe's ring is gone by now, and the other workers have theirs: this
/// one may still be refused.
pub(super) fn event_loop(
    choice: IoChoice,
    chosen: Backend,
    uring: impl FnOnce() -> io::Result<EventLoop>,
) -> Result<(EventLoop, Backend), StartError> {
    let epoll = || EventLoop::epoll().map_err(StartError::EventLoop);
    let error = match chosen.kind {
        Kind::Epoll => return Ok((epoll()?, chosen)),
        Kind::Uring => match uring() {
            Ok(event_loop) => return Ok((event_loop, chosen)),
            Err(error) => error,
        },
    };
    let refused = Refused::of(&error);
    match choice {
        IoChoice::Uring => Err(StartError::Uring(refused.advice)),
        IoChoice::Auto | IoChoice::Epoll => {
            tracing::warn!(
                reason = refused.reason,
                %error,
                "one worker is falling back to epoll: {}. See deploy/README.md",
                refused.advice
            );
            Ok((epoll()?, Backend { kind: Kind::Epoll, reason: refused.reason }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHOSEN: Backend = Backend { kind: Kind::Uring, reason: "available" };

    fn no_memory() -> io::Result<EventLoop> {
        Err(io::Error::from_raw_os_error(libc::ENOMEM))
    }

    #[test]
    fn a_worker_that_is_refused_its_ring_runs_on_epoll_under_auto() {
        let (event_loop, backend) = event_loop(IoChoice::Auto, CHOSEN, no_memory).unwrap();
        assert_eq!(backend, Backend { kind: Kind::Epoll, reason: "enomem" });
        assert_eq!(event_loop.run(|_| async { 7 }), 7);
    }

    #[test]
    fn a_worker_that_is_refused_its_ring_ends_the_start_where_it_was_asked_for() {
        let refused = event_loop(IoChoice::Uring, CHOSEN, no_memory).map(drop);
        assert!(matches!(refused, Err(StartError::Uring(advice)) if advice.contains("ENOMEM")));
    }
}
