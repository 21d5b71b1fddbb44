//! A worker's ring: operations are pushed as their futures are polled, handed to the kernel all
//! together when the worker has nothing else to do (`turn`), and their completions wake the tasks.
//!
//! The kernel works on what an operation owns until its completion. An operation that is dropped
//! before that leaves what it owns here.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue, types};

use super::super::chunk::Chunk;
use super::buffers::BufferRing;
use super::operations::{Arrival, Completed, Operations, Then};

/// Entries of the submission queue: one turn takes what a full round of the worker produced.
const SUBMISSIONS: u32 = 1024;
/// Completions wait here while the worker is busy: two for each of several thousand connections.
/// More than that the kernel keeps aside (IORING_FEAT_NODROP), at a cost.
const COMPLETIONS: u32 = 16 * 1024;
/// Completions copied out of the ring at a time. A turn takes all that are there: what it left
/// would hold its buffers while the next turn lets the kernel fill more of them.
const BATCH: usize = 64;
/// The key of what needs no answer.
const NOBODY: u64 = u64::MAX;

pub(in crate::io) struct Ring {
    ring: RefCell<IoUring>,
    /// Told when there is something to reap, but not during a turn: what ends a sleep. (A ring that
    /// puts its work off is not readable itself while that waits.)
    event: OwnedFd,
    /// Something was pushed since the last turn.
    is_pushed: Cell<bool>,
    operations: RefCell<Operations>,
    buffers: Rc<BufferRing>,
}

/// An operation in the kernel's hands, with what it works on.
pub(in crate::io) struct InFlight<D: Unpin + 'static> {
    ring: Rc<Ring>,
    key: u32,
    /// Until the completion was taken.
    data: Option<D>,
}

impl Ring {
    pub(in crate::io) fn new() -> io::Result<Rc<Self>> {
        let ring = made()?;
        let event = event()?;
        ring.submitter().register_eventfd(event.as_raw_fd())?;
        let buffers = BufferRing::new(ring.as_raw_fd())?;
        let operations = RefCell::new(Operations::new(buffers.clone()));
        let is_pushed = Cell::new(false);
        Ok(Rc::new(Self { ring: RefCell::new(ring), event, is_pushed, operations, buffers }))
    }

    pub(super) fn buffers(&self) -> &Rc<BufferRing> {
        &self.buffers
    }

    pub(in crate::io) fn take_exhausted(&self) -> u64 {
        self.buffers.take_exhausted()
    }

    /// `entry` points to nothing but what `data` owns at a stable place.
    pub(super) fn submit<D: Unpin>(self: &Rc<Self>, data: D, entry: squeue::Entry) -> InFlight<D> {
        let key = self.operations.borrow_mut().begin();
        self.push(entry.user_data(u64::from(key)));
        InFlight { ring: self.clone(), key, data: Some(data) }
    }

    /// A receive that goes on (`entry`), until `poll_arrival` has told its end.
    pub(super) fn begin_arriving(&self, entry: squeue::Entry) -> u32 {
        let key = self.operations.borrow_mut().begin_arriving();
        self.push(entry.user_data(u64::from(key)));
        key
    }

    pub(super) fn poll_arrival(&self, key: u32, context: &Context<'_>) -> Poll<Arrival> {
        self.operations.borrow_mut().poll_arrival(key, context)
    }

    /// The receive ends when what has arrived by then is taken.
    pub(super) fn stop_arriving(&self, key: u32) {
        if self.operations.borrow_mut().stop(key) {
            self.cancel(key);
        }
    }

    /// The receive ends, and nobody takes what arrives.
    pub(super) fn abandon_arriving(&self, key: u32) {
        self.stop_arriving(key);
        self.operations.borrow_mut().abandon(key, ());
    }

    /// Whether bytes have arrived that were not taken. The kernel is not called for that: what it
    /// has put off is still in the socket.
    pub(super) fn has_arrived(&self, key: u32) -> bool {
        self.reap();
        self.operations.borrow().has_arrived(key)
    }

    /// The bytes of a receive that picked a buffer; none where it brought none.
    pub(super) fn picked(&self, completed: Completed) -> Option<Chunk> {
        let buffer = self.buffers.take(cqueue::buffer_select(completed.flags)?);
        let length = completed.count().ok().filter(|length| *length > 0)?;
        Some(Chunk::from_ring(buffer, length as usize))
    }

    /// Hands over what was pushed, and wakes whoever's operation is done.
    pub(in crate::io) fn turn(&self) {
        self.ring.borrow_mut().completion().disable_eventfd();
        let mut has_woken = false;
        // Again for what the first time pushed.
        for _ in 0..2 {
            if self.is_pushed.get() || self.has_work() {
                self.enter();
            }
            has_woken |= self.reap();
            if !self.is_pushed.get() {
                break;
            }
        }
        self.ring.borrow_mut().completion().enable_eventfd();
        // Nobody was told of what came before that. Some of it is enough where it wakes a task,
        // because then another turn follows: the kernel does so much at a call (20 receives, Linux
        // 6.18), and what is done while it is in the processor's caches costs half.
        loop {
            if self.has_work() {
                self.enter();
            }
            has_woken |= self.reap();
            if has_woken || !self.has_work() {
                return;
            }
        }
    }

    /// Whether the kernel keeps something back until it is called: work that it has put off, or
    /// completions that had no place.
    fn has_work(&self) -> bool {
        let mut ring = self.ring.borrow_mut();
        let submission = ring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    /// Whether somebody was woken.
    fn reap(&self) -> bool {
        let mut has_woken = false;
        let mut batch = [const { MaybeUninit::uninit() }; BATCH];
        loop {
            let done = self.ring.borrow_mut().completion().fill(&mut batch).len();
            let mut stopped = Vec::new();
            for completion in &batch[..done] {
                // SAFETY: `fill` has initialised that many.
                let completion = unsafe { completion.assume_init_ref() };
                let then = self.operations.borrow_mut().completed(completion);
                match then {
                    Then::Nothing => {}
                    Then::Wake(waker) => {
                        waker.wake();
                        has_woken = true;
                    }
                    Then::Stop(key) => stopped.push(key),
                }
            }
            // Not before: a push may have to reap, and completions have an order.
            stopped.into_iter().for_each(|key| self.stop_arriving(key));
            if done < BATCH {
                return has_woken;
            }
        }
    }

    fn cancel(&self, key: u32) {
        let by_key = types::CancelBuilder::user_data(u64::from(key));
        self.push(opcode::AsyncCancel2::new(by_key).build().user_data(NOBODY));
    }

    fn push(&self, entry: squeue::Entry) {
        // SAFETY: what the entry points to is owned by the operation until its completion
        // (`submit`); the others point to nothing.
        while unsafe { self.ring.borrow_mut().submission().push(&entry) }.is_err() {
            self.enter();
            if self.is_pushed.get() {
                self.reap();
            }
        }
        self.is_pushed.set(true);
    }

    fn enter(&self) {
        // Interrupted, short of memory, or with more to tell than it has room for, the kernel takes
        // the rest when it is told of it again.
        let mut ring = self.ring.borrow_mut();
        let pushed = ring.submission().len() as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: there is no argument, and as many entries as were pushed, each a whole one.
        let taken = unsafe { ring.submitter().enter::<libc::sigset_t>(pushed, 0, flags, None) };
        self.is_pushed.set(taken.is_err());
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

impl Drop for Ring {
    /// Ends what is in flight before what it works on goes.
    fn drop(&mut self) {
        let all = types::CancelBuilder::any().all();
        self.push(opcode::AsyncCancel2::new(all).build().user_data(NOBODY));
        while self.operations.borrow().open() > 0 {
            let waited = self.ring.borrow().submit_and_wait(1);
            if waited.is_err_and(|e| e.raw_os_error() != Some(libc::EINTR)) {
                // What the kernel may still write to must not be given back.
                mem::forget(self.operations.replace(Operations::new(self.buffers.clone())));
                mem::forget(self.buffers.clone());
                return;
            }
            self.turn();
        }
    }
}

/// `DEFER_TASKRUN` (Linux 6.1) has the kernel do its part of what arrived when a turn calls it, all
/// together, and not whenever the worker happens to be in the kernel. Kernels before refuse the
/// flags with EINVAL and get a plain ring.
fn made() -> io::Result<IoUring> {
    let make = |deferring: bool| {
        let mut builder = IoUring::builder();
        // Of those pushed together, one that is refused does not keep back the others.
        builder.dontfork().setup_cqsize(COMPLETIONS).setup_submit_all();
        if deferring {
            builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag();
        }
        builder.build(SUBMISSIONS)
    };
    match make(true) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => make(false),
        made => made,
    }
}

fn event() -> io::Result<OwnedFd> {
    // SAFETY: the call takes no pointer; what it returns, where it does not fail, is a new
    // descriptor that nobody else owns.
    unsafe {
        match libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

impl<D: Unpin> Future for InFlight<D> {
    type Output = (Completed, D);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let completed = ready!(self.ring.operations.borrow_mut().poll(self.key, context));
        let data = self.data.take().expect("a completion is taken once");
        Poll::Ready((completed, data))
    }
}

impl<D: Unpin> Drop for InFlight<D> {
    fn drop(&mut self) {
        if let Some(data) = self.data.take() {
            self.ring.operations.borrow_mut().abandon(self.key, data);
        }
    }
}
