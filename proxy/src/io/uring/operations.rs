//! What a ring has in flight, by the key that the kernel tells with each completion; keys are used
//! again. An operation that nobody waits for any more keeps its place until the kernel is done with
//! it.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use io_uring::cqueue;
use portico_core::limits::RECEIVE_BUFFER_BYTES;

use super::super::chunk::Chunk;
use super::buffers::BufferRing;

pub(super) struct Operations {
    slots: Vec<Operation>,
    free: Vec<u32>,
    buffers: Rc<BufferRing>,
}

enum Operation {
    Free,
    InFlight(Option<Waker>),
    Done(Completed),
    Arriving(Arriving),
    /// What it works on is kept for the kernel.
    Dropped(#[expect(dead_code, reason = "held for the kernel, not for us")] Box<dyn Any>),
}

/// An idle connection keeps one.
const _: () = assert!(size_of::<Operation>() <= 32);

/// What a completion says: bytes or an error, and flags.
#[derive(Clone, Copy)]
pub(in crate::io) struct Completed {
    pub(super) result: i32,
    pub(super) flags: u32,
}

impl Completed {
    pub(super) fn count(self) -> io::Result<u32> {
        u32::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

/// A receive that goes on until it is stopped or fails. What came before it was asked for waits
/// here.
#[derive(Default)]
struct Arriving {
    waker: Option<Waker>,
    first: Option<First>,
    /// There is none, as a rule, and every socket has this.
    rest: Option<Box<Rest>>,
}

/// The buffer that came first, and how many bytes are in it, of which there is one at least.
struct First {
    buffer: u16,
    bytes_less_one: u16,
}

const _: () = assert!(RECEIVE_BUFFER_BYTES - 1 <= u16::MAX as usize);

/// What there is to say of a receive that is ahead of who asks, or about to be over.
#[derive(Default)]
struct Rest {
    /// Copies, so that who does not keep up holds one of the shared buffers at most.
    more: VecDeque<Chunk>,
    /// Comes after all that arrived: nothing, or an error's number.
    end: Option<i32>,
    is_stopped: bool,
}

/// What comes next of a receive that goes on.
pub(super) enum Arrival {
    Bytes(Chunk),
    /// It is over with this result, and its key is gone.
    End(i32),
}

/// What is to be done about a completion.
pub(super) enum Then {
    Nothing,
    Wake(Waker),
    /// More arrives than is asked for: the kernel is to stop.
    Stop(u32),
}

impl Operations {
    pub(super) fn new(buffers: Rc<BufferRing>) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), buffers }
    }

    /// One that ends with its first completion.
    pub(super) fn begin(&mut self) -> u32 {
        self.insert(Operation::InFlight(None))
    }

    /// One that goes on.
    pub(super) fn begin_arriving(&mut self) -> u32 {
        self.insert(Operation::Arriving(Arriving::default()))
    }

    /// How many the kernel, or somebody here, is not done with.
    pub(super) fn open(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn completed(&mut self, completion: &cqueue::Entry) -> Then {
        let completed = Completed { result: completion.result(), flags: completion.flags() };
        if cqueue::buffer_select(completed.flags).is_some() {
            self.buffers.picked();
        }
        // Cancellations have no key: what became of them is told by what they cancel.
        let Ok(key) = u32::try_from(completion.user_data()) else { return Then::Nothing };
        let is_over = !cqueue::more(completed.flags);
        match &mut self.slots[key as usize] {
            Operation::InFlight(waker) => {
                let waker = waker.take();
                self.slots[key as usize] = Operation::Done(completed);
                waker.map_or(Then::Nothing, Then::Wake)
            }
            Operation::Arriving(arriving) => arriving.arrived(key, completed, &self.buffers),
            Operation::Dropped(_) => {
                give_back(completed, &self.buffers);
                if is_over {
                    self.remove(key);
                }
                Then::Nothing
            }
            Operation::Free | Operation::Done(_) => unreachable!("a completion without operation"),
        }
    }

    pub(super) fn poll(&mut self, key: u32, context: &Context<'_>) -> Poll<Completed> {
        match &mut self.slots[key as usize] {
            Operation::InFlight(waker) => wait(waker, context),
            Operation::Done(completed) => {
                let completed = *completed;
                self.remove(key);
                Poll::Ready(completed)
            }
            _ => unreachable!("an operation is polled until it is done"),
        }
    }

    pub(super) fn poll_arrival(&mut self, key: u32, context: &Context<'_>) -> Poll<Arrival> {
        let Operation::Arriving(arriving) = &mut self.slots[key as usize] else {
            unreachable!("a receive is polled until its end");
        };
        if let Some(chunk) = arriving.next(&self.buffers) {
            return Poll::Ready(Arrival::Bytes(chunk));
        }
        let Some(end) = arriving.end() else { return wait(&mut arriving.waker, context) };
        self.remove(key);
        Poll::Ready(Arrival::End(end))
    }

    pub(super) fn has_arrived(&self, key: u32) -> bool {
        match &self.slots[key as usize] {
            Operation::Arriving(arriving) => !arriving.is_empty(),
            _ => false,
        }
    }

    /// Whether the kernel is still to be told.
    pub(super) fn stop(&mut self, key: u32) -> bool {
        match &mut self.slots[key as usize] {
            Operation::Arriving(arriving) => {
                let rest = arriving.rest.get_or_insert_default();
                rest.end.is_none() && !mem::replace(&mut rest.is_stopped, true)
            }
            _ => false,
        }
    }

    /// Nobody waits for it any more; `data` is what the kernel may still read.
    pub(super) fn abandon(&mut self, key: u32, data: impl Any) {
        match &mut self.slots[key as usize] {
            Operation::Done(completed) => {
                give_back(*completed, &self.buffers);
                self.remove(key);
            }
            Operation::Arriving(arriving) => {
                while arriving.next(&self.buffers).is_some() {}
                match arriving.end() {
                    Some(_) => self.remove(key),
                    None => self.slots[key as usize] = Operation::Dropped(Box::new(data)),
                }
            }
            slot => *slot = Operation::Dropped(Box::new(data)),
        }
    }

    fn insert(&mut self, operation: Operation) -> u32 {
        let Some(key) = self.free.pop() else {
            self.slots.push(operation);
            return (self.slots.len() - 1) as u32;
        };
        self.slots[key as usize] = operation;
        key
    }

    fn remove(&mut self, key: u32) {
        self.slots[key as usize] = Operation::Free;
        self.free.push(key);
    }
}

impl Arriving {
    fn arrived(&mut self, key: u32, completed: Completed, buffers: &Rc<BufferRing>) -> Then {
        let buffer = cqueue::buffer_select(completed.flags);
        // Where buffers are short, nobody keeps one for later.
        let may_hold = self.waker.is_some() || !buffers.is_crowded();
        match (u32::try_from(completed.result), buffer) {
            (Ok(length @ 1..), Some(buffer)) if self.is_empty() && may_hold => {
                self.first = Some(First { buffer, bytes_less_one: (length - 1) as u16 });
            }
            (Ok(length @ 1..), Some(id)) => {
                let chunk = Chunk::from_ring(buffers.take(id), length as usize);
                self.rest.get_or_insert_default().more.push_back(Chunk::from(chunk.to_vec()));
            }
            _ => give_back(completed, buffers),
        }
        if !cqueue::more(completed.flags) {
            // At its bound it is over with bytes, which is no end of the stream: it begins again.
            let end = if completed.result > 0 { -libc::EAGAIN } else { completed.result };
            self.rest.get_or_insert_default().end = Some(end);
        }
        match (self.waker.take(), &self.rest) {
            (Some(waker), _) => Then::Wake(waker),
            (None, Some(rest)) if !rest.more.is_empty() && rest.end.is_none() => Then::Stop(key),
            (None, _) => Then::Nothing,
        }
    }

    fn next(&mut self, buffers: &Rc<BufferRing>) -> Option<Chunk> {
        if let Some(First { buffer, bytes_less_one }) = self.first.take() {
            let length = usize::from(bytes_less_one) + 1;
            return Some(Chunk::from_ring(buffers.take(buffer), length));
        }
        self.rest.as_mut()?.more.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.as_ref().is_none_or(|rest| rest.more.is_empty())
    }

    fn end(&self) -> Option<i32> {
        self.rest.as_ref()?.end
    }
}

fn wait<T>(waker: &mut Option<Waker>, context: &Context<'_>) -> Poll<T> {
    match waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => *waker = Some(context.waker().clone()),
    }
    Poll::Pending
}

/// The buffer of a completion that nobody takes.
fn give_back(completed: Completed, buffers: &Rc<BufferRing>) {
    drop(cqueue::buffer_select(completed.flags).map(|id| buffers.take(id)));
}
