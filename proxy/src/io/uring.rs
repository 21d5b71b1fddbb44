//! A socket driven by completions, through tokio-uring: one-shot receives that pick one of the
//! ring's provided buffers when bytes are there, and sends from whatever memory holds the bytes.
//!
//! Unsafe code stands here because the kernel reads and writes memory that it was told of. Every
//! entry pushed to the ring owns, in the operation's data, what it points to.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::{cqueue, opcode, squeue, types};
use portico_core::limits::RECEIVE_BUFFER_BYTES;
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

use super::chunk::{self, Chunk, StableBytes};

mod buffers;

pub(super) use buffers::{BufferRing, RingBuffer};

pub(super) struct UringSocket {
    fd: OwnedFd,
    /// The last receive filled what it got: more of a large body is likely there.
    is_bulk: Cell<bool>,
    ring: Rc<BufferRing>,
}

/// A receive on its way. Written out, as is `Sending`, because these futures lie in every
/// connection's task: as async functions they would be four times as large.
#[derive(Default)]
pub(super) enum Receiving {
    #[default]
    Begin,
    /// A receive that picks a provided buffer.
    Picking(InFlight<()>),
    /// A wait for bytes that will go to a buffer from the heap.
    Waiting(InFlight<()>),
}

/// A send on its way; owns the bytes.
pub(super) enum Sending<B: StableBytes> {
    Begin(B),
    InFlight(InFlight<B>),
    Done,
}

/// Larger than a message and its head; what TCP brings of a body at once is mostly more.
const BULK_BYTES: usize = RECEIVE_BUFFER_BYTES / 2;

impl UringSocket {
    pub(super) fn new(ring: Rc<BufferRing>, fd: OwnedFd) -> Self {
        Self { fd, is_bulk: Cell::new(false), ring }
    }

    pub(super) fn poll_recv(
        &self,
        state: &mut Receiving,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Chunk>> {
        loop {
            match state {
                // The kernel takes the provided buffers in turn, so large bodies go through all of
                // their memory. One from the heap is the one that was just sent, still in the
                // processor's caches: that outweighs an operation more.
                Receiving::Begin if self.ring.is_registered() && !self.is_bulk.get() => {
                    *state = Receiving::Picking(submit((), self.receive_entry()));
                }
                Receiving::Begin => *state = Receiving::Waiting(self.poll_entry(libc::POLLIN)),
                Receiving::Picking(operation) => {
                    let (result, flags, ()) = ready!(Pin::new(operation).poll(context));
                    *state = Receiving::Begin;
                    // A completion that names a buffer hands it over, also when it holds nothing.
                    let buffer = cqueue::buffer_select(flags).map(|id| self.ring.take(id));
                    match (result, buffer) {
                        (Ok(0), _) => return Poll::Ready(Ok(Chunk::EMPTY)),
                        (Ok(length), Some(buffer)) => {
                            let chunk = Chunk::from_ring(buffer, length as usize);
                            return Poll::Ready(Ok(self.received(chunk)));
                        }
                        (Ok(_), None) => {
                            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                        }
                        (Err(e), _) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                            // All provided buffers are held by connections that wait to send: this
                            // one takes its own, so that nobody starves behind slow readers.
                            self.ring.note_exhausted();
                            *state = Receiving::Waiting(self.poll_entry(libc::POLLIN));
                        }
                        (Err(e), _) if is_transient(&e) => {}
                        (Err(e), _) => return Poll::Ready(Err(e)),
                    }
                }
                Receiving::Waiting(operation) => {
                    let (result, _, ()) = ready!(Pin::new(operation).poll(context));
                    *state = Receiving::Begin;
                    match result.and_then(|_| recv_to_heap(&self.fd)) {
                        Ok(chunk) => return Poll::Ready(Ok(self.received(chunk))),
                        Err(e) if is_transient(&e) => {}
                        Err(e) => return Poll::Ready(Err(e)),
                    }
                }
            }
        }
    }

    fn received(&self, chunk: Chunk) -> Chunk {
        self.is_bulk.set(chunk.len() >= BULK_BYTES);
        chunk
    }

    /// Through the ring, not by a system call each: under load one flush sends for many, and who
    /// receives is woken once for several. (A GET over 64 connections costs 30 % more with a call.)
    pub(super) fn poll_send<B: StableBytes>(
        &self,
        state: &mut Sending<B>,
        sent: &mut usize,
        flags: i32,
        context: &mut Context<'_>,
    ) -> Poll<(io::Result<()>, B)> {
        loop {
            match std::mem::replace(state, Sending::Done) {
                Sending::Begin(bytes) => {
                    let rest = &bytes.bytes()[*sent..];
                    if rest.is_empty() {
                        return Poll::Ready((Ok(()), bytes));
                    }
                    let entry = opcode::Send::new(self.target(), rest.as_ptr(), rest.len() as u32)
                        .flags(flags | libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
                        .build();
                    *state = Sending::InFlight(submit(bytes, entry));
                }
                Sending::InFlight(mut operation) => {
                    let Poll::Ready((result, _, bytes)) = Pin::new(&mut operation).poll(context)
                    else {
                        *state = Sending::InFlight(operation);
                        return Poll::Pending;
                    };
                    match result {
                        Ok(count) => *sent += count as usize,
                        Err(e) if is_transient(&e) => {}
                        Err(e) => return Poll::Ready((Err(e), bytes)),
                    }
                    *state = Sending::Begin(bytes);
                }
                Sending::Done => panic!("a send was polled after it was done"),
            }
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.poll_entry(libc::POLLOUT).await.0.map(|_| ())
    }

    fn receive_entry(&self) -> squeue::Entry {
        let entry = opcode::Recv::new(self.target(), std::ptr::null_mut(), 0)
            .buf_group(buffers::GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT);
        wait_first(entry)
    }

    fn poll_entry(&self, events: libc::c_short) -> InFlight<()> {
        submit((), opcode::PollAdd::new(self.target(), events as u32).build())
    }

    fn target(&self) -> types::Fd {
        types::Fd(self.fd.as_raw_fd())
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Waits for a connection on a listening socket.
pub(super) async fn readable(fd: BorrowedFd<'_>) -> io::Result<()> {
    let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), libc::POLLIN as u32).build();
    submit((), entry).await.0.map(|_| ())
}

/// Makes every operation in flight on `fd` complete with ECANCELED.
pub(super) async fn cancel(fd: BorrowedFd<'_>) {
    let by_fd = types::CancelBuilder::fd(types::Fd(fd.as_raw_fd())).all();
    // Finding nothing to cancel is an error to the kernel and none to us.
    let _ = submit((), opcode::AsyncCancel2::new(by_fd).build()).await;
}

/// Hands back what an operation owned, with its result.
pub(super) struct Outcome<D>(PhantomData<fn() -> D>);

impl<D: 'static> OneshotOutputTransform for Outcome<D> {
    type Output = (io::Result<u32>, u32, D);
    type StoredData = D;

    fn transform_oneshot_output(self, data: D, cqe: cqueue::Entry) -> Self::Output {
        let result =
            u32::try_from(cqe.result()).map_err(|_| io::Error::from_raw_os_error(-cqe.result()));
        (result, cqe.flags(), data)
    }
}

/// An operation in the kernel's hands. It owns `data` until its completion, also when this is
/// dropped.
type InFlight<D> = InFlightOneshot<D, Outcome<D>>;

/// `entry` points to nothing but what `data` owns at a stable place.
fn submit<D: Unpin + 'static>(data: D, entry: squeue::Entry) -> InFlight<D> {
    UnsubmittedOneshot::new(data, Outcome(PhantomData), entry).submit()
}

/// Makes a receive wait before it looks: what is received next is an answer to what was just sent,
/// so looking first would find nothing (IORING_RECVSEND_POLL_FIRST, Linux 5.19; the flag lies in
/// the entry's `ioprio`, which this version of the crate does not show for a receive).
fn wait_first(mut entry: squeue::Entry) -> squeue::Entry {
    const POLL_FIRST: u16 = 1;
    const IOPRIO_OFFSET: usize = 2;
    // SAFETY: an entry is the kernel's `struct io_uring_sqe` of 64 bytes (asserted below), in which
    // `ioprio` is the two bytes behind `opcode` and `flags`, and any value of it is valid memory.
    unsafe {
        (&raw mut entry).byte_add(IOPRIO_OFFSET).cast::<u16>().write(POLL_FIRST);
    }
    entry
}

const _: () = assert!(size_of::<squeue::Entry>() == 64, "struct io_uring_sqe");

fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN))
}

fn recv_to_heap(fd: &OwnedFd) -> io::Result<Chunk> {
    let mut buffer = chunk::pool_buffer();
    // SAFETY: the buffer is valid for writes of its length for the duration of the call, and the
    // descriptor is open because it is borrowed.
    let received = unsafe {
        libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
    };
    let failed = io::Error::last_os_error();
    match usize::try_from(received) {
        // The buffer of an empty chunk goes back to the pool with it.
        Ok(length) => Ok(Chunk::from_pool(buffer, length)),
        Err(_) => {
            chunk::return_to_pool(buffer);
            Err(failed)
        }
    }
}
