//! A socket driven by completions: receives that pick one of the ring's provided buffers when bytes
//! are there, once or until they are stopped, and sends from whatever memory holds the bytes.
//!
//! Unsafe code stands here because the kernel reads and writes memory that it was told of. Every
//! entry pushed to the ring owns, in the operation's data, what it points to.

use std::cell::Cell;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::{opcode, squeue, types};
use portico_core::limits::RECEIVE_BUFFER_BYTES;

use super::chunk::{self, Chunk, StableBytes};

pub(super) mod buffers;
mod operations;
mod ring;

use operations::Arrival;
use ring::InFlight;
pub(super) use ring::Ring;

pub(super) struct UringSocket {
    fd: OwnedFd,
    /// The receive that goes on, by its key.
    arriving: Cell<Option<u32>>,
    habit: Cell<Habit>,
    ring: Rc<Ring>,
}

/// What the last receives brought, and so how the next one is done.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Habit {
    /// Messages, so many one after the other: each goes to a buffer that the kernel picks, and from
    /// `STEADY` on one receive is for all of them.
    Messages(u8),
    /// Parts of a large body, which begin so many times at once before others have their turn. They
    /// go to a buffer from the heap: the kernel takes its own in turn, through all of their memory,
    /// and one from the heap is the one that was just sent, still in the processor's caches.
    Bulk(u8),
}

impl Habit {
    fn after(self, bytes: usize) -> Self {
        match (self, bytes >= BULK_BYTES) {
            (Habit::Messages(count), false) => Habit::Messages(STEADY.min(count + 1)),
            (Habit::Messages(_), true) => Habit::Bulk(AT_ONCE),
            (Habit::Bulk(_), false) => Habit::Messages(0),
            (bulk, true) => bulk,
        }
    }
}

/// Until then the connection may be one of few messages, where a receive to be stopped costs more.
const STEADY: u8 = 4;
const AT_ONCE: u8 = 8;
/// What one receive may bring before it has to begin again: many messages, few parts of a body.
const ARRIVING_BYTES: u32 = 4 * RECEIVE_BUFFER_BYTES as u32;
/// IORING_RECVSEND_POLL_FIRST (Linux 5.19).
const POLL_FIRST: u16 = 1;

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

/// How a send is done.
#[derive(Clone, Copy, Default)]
pub(super) struct How {
    pub(super) flags: i32,
    /// Not with what others send: the other side has work to do with it.
    pub(super) at_once: bool,
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
    pub(super) fn new(ring: Rc<Ring>, fd: OwnedFd) -> Self {
        Self { fd, arriving: Cell::new(None), habit: Cell::new(Habit::Messages(0)), ring }
    }

    pub(super) fn poll_recv(
        &self,
        state: &mut Receiving,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Chunk>> {
        loop {
            let received = match (&mut *state, self.arriving.get()) {
                (Receiving::Begin, Some(key)) => {
                    if self.ring.buffers().is_crowded() {
                        self.ring.stop_arriving(key);
                    }
                    match ready!(self.ring.poll_arrival(key, context)) {
                        Arrival::Bytes(chunk) => Ok(chunk),
                        Arrival::End(result) => {
                            self.arriving.set(None);
                            if result == -libc::EINVAL {
                                self.ring.buffers().cannot_arrive();
                                continue;
                            }
                            received_nothing(result)
                        }
                    }
                }
                (Receiving::Begin, None) => match self.begin_receive(state) {
                    Some(received) => received,
                    None => continue,
                },
                (Receiving::Picking(operation), _) => {
                    let (completed, ()) = ready!(Pin::new(operation).poll(context));
                    *state = Receiving::Begin;
                    match self.ring.picked(completed) {
                        Some(chunk) => Ok(chunk),
                        None => received_nothing(completed.result),
                    }
                }
                (Receiving::Waiting(operation), _) => {
                    let (completed, ()) = ready!(Pin::new(operation).poll(context));
                    *state = Receiving::Begin;
                    if let Habit::Bulk(_) = self.habit.get() {
                        self.habit.set(Habit::Bulk(AT_ONCE));
                    }
                    completed.count().and_then(|_| recv_to_heap(&self.fd))
                }
            };
            match received {
                Ok(chunk) => return Poll::Ready(Ok(self.received(chunk))),
                Err(e) if is_transient(&e) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    // Where all are held by connections that wait to send, this one takes its own,
                    // so that nobody starves behind slow readers.
                    if !self.ring.buffers().found_none() {
                        *state = Receiving::Waiting(self.poll_entry(libc::POLLIN));
                    }
                }
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    /// What was received at once, if anything.
    fn begin_receive(&self, state: &mut Receiving) -> Option<io::Result<Chunk>> {
        match self.habit.get() {
            Habit::Bulk(left @ 1..) => {
                self.habit.set(Habit::Bulk(left - 1));
                match recv_to_heap(&self.fd) {
                    Err(e) if is_transient(&e) => {}
                    received => return Some(received),
                }
            }
            Habit::Messages(STEADY) if self.ring.buffers().may_arrive() => {
                self.arriving.set(Some(self.ring.begin_arriving(self.arrive_entry())));
                return None;
            }
            Habit::Messages(_) if self.ring.buffers().is_registered() => {
                *state = Receiving::Picking(self.ring.submit((), self.pick_entry()));
                return None;
            }
            Habit::Messages(_) | Habit::Bulk(_) => {}
        }
        *state = Receiving::Waiting(self.poll_entry(libc::POLLIN));
        None
    }

    fn received(&self, chunk: Chunk) -> Chunk {
        let habit = self.habit.get().after(chunk.len());
        self.habit.set(habit);
        if let (Habit::Bulk(_), Some(key)) = (habit, self.arriving.get()) {
            self.ring.stop_arriving(key);
        }
        chunk
    }

    /// Whether bytes have arrived already, where a look at the socket does not find them.
    pub(super) fn has_arrived(&self) -> bool {
        self.arriving.get().is_some_and(|key| self.ring.has_arrived(key))
    }

    /// Through the ring, not by a system call each: under load one flush sends for many, and who
    /// receives is woken once for several. (A GET over 64 connections costs 30 % more with a call.)
    /// What is large goes by a call, while it is in the processor's caches.
    pub(super) fn poll_send<B: StableBytes>(
        &self,
        state: &mut Sending<B>,
        sent: &mut usize,
        How { flags, at_once }: How,
        context: &mut Context<'_>,
    ) -> Poll<(io::Result<()>, B)> {
        let flags = flags | libc::MSG_NOSIGNAL;
        let mut by_call = at_once;
        loop {
            match mem::replace(state, Sending::Done) {
                Sending::Begin(bytes) => {
                    let rest = &bytes.bytes()[*sent..];
                    if rest.is_empty() {
                        return Poll::Ready((Ok(()), bytes));
                    }
                    if mem::take(&mut by_call) || rest.len() >= BULK_BYTES {
                        match send_now(&self.fd, rest, flags) {
                            Ok(count) if count == rest.len() => {
                                *sent += count;
                                return Poll::Ready((Ok(()), bytes));
                            }
                            Ok(count) => *sent += count,
                            Err(e) if is_transient(&e) => {}
                            Err(e) => return Poll::Ready((Err(e), bytes)),
                        }
                    }
                    // The kernel waits until there is room.
                    let rest = &bytes.bytes()[*sent..];
                    let entry = opcode::Send::new(self.target(), rest.as_ptr(), rest.len() as u32)
                        .flags(flags | libc::MSG_WAITALL)
                        .build();
                    *state = Sending::InFlight(self.ring.submit(bytes, entry));
                }
                Sending::InFlight(mut operation) => {
                    let Poll::Ready((completed, bytes)) = Pin::new(&mut operation).poll(context)
                    else {
                        *state = Sending::InFlight(operation);
                        return Poll::Pending;
                    };
                    match completed.count() {
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
        self.poll_entry(libc::POLLOUT).await.0.count().map(|_| ())
    }

    /// It waits before it looks: what is received next is an answer to what was just sent, so
    /// looking first would find nothing.
    fn pick_entry(&self) -> squeue::Entry {
        opcode::Recv::new(self.target(), ptr::null_mut(), 0)
            .buf_group(buffers::GROUP)
            .ioprio(POLL_FIRST)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT)
    }

    fn arrive_entry(&self) -> squeue::Entry {
        at_most(ARRIVING_BYTES, opcode::RecvMulti::new(self.target(), buffers::GROUP).build())
    }

    fn poll_entry(&self, events: libc::c_short) -> InFlight<()> {
        self.ring.submit((), opcode::PollAdd::new(self.target(), events as u32).build())
    }

    fn target(&self) -> types::Fd {
        types::Fd(self.fd.as_raw_fd())
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for UringSocket {
    /// A receive in flight would keep the connection open.
    fn drop(&mut self) {
        if let Some(key) = self.arriving.get() {
            self.ring.abandon_arriving(key);
        }
    }
}

/// Waits for a connection on a listening socket.
pub(super) async fn readable(ring: &Rc<Ring>, fd: BorrowedFd<'_>) -> io::Result<()> {
    let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), libc::POLLIN as u32).build();
    ring.submit((), entry).await.0.count().map(|_| ())
}

/// Makes every operation in flight on `fd` complete with ECANCELED.
pub(super) async fn cancel(ring: &Rc<Ring>, fd: BorrowedFd<'_>) {
    let by_fd = types::CancelBuilder::fd(types::Fd(fd.as_raw_fd())).all();
    // Finding nothing to cancel is an error to the kernel and none to us.
    let _ = ring.submit((), opcode::AsyncCancel2::new(by_fd).build()).await;
}

/// What the newest kernel is needed for of all that this cannot do without: to cancel whatever is
/// in flight, which is nothing (Linux 5.19, EINVAL before).
pub(super) async fn probe(ring: &Rc<Ring>) -> io::Result<()> {
    let all = types::CancelBuilder::any().all();
    match ring.submit((), opcode::AsyncCancel2::new(all).build()).await.0.count() {
        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
        _ => Ok(()),
    }
}

/// Bounds what a receive that goes on brings in all (Linux 6.17, `optlen`): without, a peer that
/// sends as fast as the kernel takes it keeps the kernel at it until no buffer is left. Kernels
/// before refuse it with EINVAL.
fn at_most(bytes: u32, mut entry: squeue::Entry) -> squeue::Entry {
    const OPTLEN_OFFSET: usize = 44;
    // SAFETY: an entry is the kernel's `struct io_uring_sqe` of 64 bytes (asserted below), in which
    // these four bytes are `optlen`, and any value of it is valid memory.
    unsafe {
        (&raw mut entry).byte_add(OPTLEN_OFFSET).cast::<u32>().write(bytes);
    }
    entry
}

const _: () = assert!(size_of::<squeue::Entry>() == 64, "struct io_uring_sqe");

/// Of a receive that brought no bytes: the end of the stream, or an error.
fn received_nothing(result: i32) -> io::Result<Chunk> {
    match result {
        0 => Ok(Chunk::EMPTY),
        result => Err(io::Error::from_raw_os_error(-result)),
    }
}

/// Also of a receive that was stopped: what it did not bring, the next one does.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::ECANCELED))
}

/// As much as there is room for, without waiting.
fn send_now(fd: &OwnedFd, bytes: &[u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the bytes are valid for reads of their length for the duration of the call, and the
    // descriptor is open because it is borrowed.
    let sent = unsafe {
        let (start, length) = (bytes.as_ptr().cast(), bytes.len());
        libc::send(fd.as_raw_fd(), start, length, flags | libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
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

#[cfg(test)]
mod tests;
