//! Sockets, the one place that touches the kernel: a closed set of operations, completion-shaped,
//! on io_uring (`uring`) or epoll (`epoll`), chosen once at start. The rest of the data plane
//! cannot tell which it runs on.
//!
//! The rules that keep io_uring safe hold for both (the hazards are measured, see the design):
//! - **An operation is awaited to its end.** It is never raced in `select!` nor dropped in flight:
//!   a dropped read eats the next bytes. A deadline calls [`Socket::shutdown`], and the operation
//!   then completes.
//! - **A socket is shut down before it is dropped** while an operation may be in flight, or the
//!   other side gets no FIN.
//! - **Waiting holds no buffer.** A receive takes one when bytes are there.

// The lint table refuses unsafe code everywhere else.
#![allow(unsafe_code)]

mod accept;
mod chunk;
mod counted;
mod driver;
mod epoll;
mod pace;
mod probe;
mod socket;
mod tag;
mod tcp_info;
mod uring;

pub(crate) use accept::Acceptor;
pub(crate) use chunk::{Chunk, Leading, StableBytes};
pub(crate) use driver::{Driver, EventLoop, open_files_max, pin_to_core, spawn};
pub(crate) use probe::{Refused, probe_uring};
pub(crate) use socket::{Peek, Presence, RecvState, SendState, Socket};
// Tests of accounting have sockets of the standard library.
#[cfg(test)]
pub(crate) use socket::disconnect;
#[cfg(test)]
pub(crate) use tag::{look, tag};
