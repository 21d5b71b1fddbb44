//! A request's body on its way to the session, beside the download. When the answer ends first, the
//! upload stops where it is and hands over the receive that may still be in flight: an answer can
//! be sent meanwhile, but the connection may not be dropped before the receive has completed.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Poll, ready};

use portico_core::http::exchange::Exchange;
use portico_core::http::pace::Pace;
use portico_core::http::refusal::Refusal;

use crate::io::{Chunk, Socket};
use crate::metrics::labels::Direction;
use crate::pool::Lease;
use crate::stream::{Stream, StreamRecv};
use crate::watch::{Phase, Watch};
use crate::worker::Worker;

pub(super) struct Upload<'a> {
    worker: &'a Worker,
    client: &'a Stream,
    watch: &'a Watch,
    inbound: RefCell<Chunk>,
    /// Stays here from one try of the request to the next: a receive is never dropped in flight.
    receiving: RefCell<Option<StreamRecv<'a>>>,
    pace: Cell<Pace>,
    /// The whole body, while it may have to be sent once more.
    kept: RefCell<Vec<u8>>,
    state: Cell<State>,
    bytes: Cell<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passing,
    /// The upstream takes no more, but may still answer.
    Dropping,
    /// The upstream has all of it.
    Delivered,
    /// The answer ended before the body did.
    Stopped,
    /// The body itself is at fault.
    Refused(Refusal),
    ClientGone,
}

/// What is left of an upload.
pub(super) struct Rest<'a> {
    /// Behind the body: the start of the next request.
    pub(super) inbound: Chunk,
    pub(super) receiving: Option<StreamRecv<'a>>,
    pub(super) bytes: u64,
    pub(super) refusal: Option<Refusal>,
    pub(super) client_gone: bool,
    /// The upstream got all of the body, and may get another request.
    pub(super) delivered: bool,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        client: &'a Stream,
        watch: &'a Watch,
        inbound: Chunk,
    ) -> Self {
        Self {
            worker,
            client,
            watch,
            inbound: RefCell::new(inbound),
            receiving: RefCell::new(None),
            pace: Cell::new(Pace::new()),
            kept: RefCell::default(),
            state: Cell::new(State::Passing),
            bytes: Cell::new(0),
        }
    }

    /// To the end of the body, or until it is stopped. May be run again when `may_run_again`.
    pub(super) async fn run(&self, exchange: &RefCell<Exchange>, lease: &Lease) {
        self.state.set(State::Passing);
        let kept = self.kept.take();
        if !kept.is_empty() {
            self.pass_on(Chunk::from(kept), &lease.socket).await;
        }
        while self.is_under_way() && !exchange.borrow().upload_done() {
            let Some(mut chunk) = self.next(exchange, lease).await else { return };
            let taken = exchange.borrow_mut().upload(&chunk);
            let taken = match taken {
                Ok(taken) => taken,
                Err(refusal) => return self.fail(State::Refused(refusal), lease),
            };
            if taken < chunk.len() {
                self.inbound.replace(Chunk::from(chunk[taken..].to_vec()));
                chunk.truncate(taken);
            }
            let first = self.bytes.replace(self.bytes.get() + taken as u64) == 0;
            if first && lease.reused && exchange.borrow().may_retry(true) {
                self.kept.replace(chunk.to_vec());
            }
            self.pass_on(chunk, &lease.socket).await;
        }
        match self.state.get() {
            State::Passing => self.state.set(State::Delivered),
            State::Dropping => {}
            State::Delivered | State::Stopped | State::Refused(_) | State::ClientGone => return,
        }
        self.watch.begin(Phase::Answering);
    }

    /// The answer has ended. An upload that is under way stops; a receive stays in flight, a send
    /// fails, also one to an upstream that reads no more.
    pub(super) async fn stop(&self, exchange: &RefCell<Exchange>, lease: &Lease) {
        if self.is_under_way() && exchange.borrow().upload_done() {
            // Its last piece may have been sent already, and nobody has looked yet.
            tokio::task::yield_now().await;
        }
        if self.is_under_way() {
            self.state.set(State::Stopped);
            lease.socket.shutdown(Shutdown::Both);
        }
    }

    /// The client was told to begin: from now on its body is awaited.
    pub(super) fn note_interim(&self, exchange: &RefCell<Exchange>) {
        if self.receiving.borrow().is_some() {
            self.await_client(exchange);
        }
    }

    /// After an upstream that was silent: whether nothing of the body is lost.
    pub(super) fn may_run_again(&self, exchange: &RefCell<Exchange>) -> bool {
        let is_kept = !self.kept.borrow().is_empty();
        match self.state.get() {
            State::Refused(_) | State::ClientGone => false,
            State::Passing | State::Dropping | State::Delivered | State::Stopped => {
                !self.timed_out() && exchange.borrow().may_retry(is_kept)
            }
        }
    }

    /// Whether a piece of the body can be sent at once behind the head.
    pub(super) fn at_hand(&self) -> bool {
        !self.inbound.borrow().is_empty() || !self.kept.borrow().is_empty()
    }

    /// To be asked before the watch begins another phase.
    pub(super) fn into_rest(self) -> Rest<'a> {
        let refusal = match self.state.get() {
            State::Refused(refusal) => Some(refusal),
            State::Stopped if self.timed_out() => Some(Refusal::Timeout),
            State::Passing
            | State::Dropping
            | State::Delivered
            | State::Stopped
            | State::ClientGone => None,
        };
        Rest {
            refusal,
            client_gone: self.state.get() == State::ClientGone,
            delivered: self.state.get() == State::Delivered,
            inbound: self.inbound.into_inner(),
            receiving: self.receiving.into_inner(),
            bytes: self.bytes.get(),
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(self.state.get(), State::Passing | State::Dropping)
    }

    /// The client was slower than the least rate; the watch has reset the upstream.
    fn timed_out(&self) -> bool {
        self.watch.is_in(Phase::Body) && self.watch.expired()
    }

    /// The next piece; `None` when there is none any more, which `state` tells the reason of.
    async fn next(&self, exchange: &RefCell<Exchange>, lease: &Lease) -> Option<Chunk> {
        let at_hand = self.inbound.replace(Chunk::EMPTY);
        if !at_hand.is_empty() {
            return Some(at_hand);
        }
        self.await_client(exchange);
        let received = self.receive().await?;
        let Some(chunk) = received.ok().filter(|chunk| !chunk.is_empty()) else {
            self.fail(State::ClientGone, lease);
            return None;
        };
        self.worker.counters.bytes.at(Direction::ClientIn).add(chunk.len() as u64);
        if self.timed_out() {
            self.fail(State::Refused(Refusal::Timeout), lease);
            return None;
        }
        let mut pace = self.pace.get();
        pace.received(self.watch.now(), chunk.len());
        self.pace.set(pace);
        Some(chunk)
    }

    /// A client that waits for `100 Continue` has no deadline: the session takes its time.
    fn await_client(&self, exchange: &RefCell<Exchange>) {
        if exchange.borrow().awaits_continue() {
            return self.watch.begin(Phase::Answering);
        }
        let mut pace = self.pace.get();
        let left = pace.wait(self.watch.now());
        self.pace.set(pace);
        self.watch.enter(Phase::Body, left);
    }

    /// `None` when it was stopped; the receive is then still in flight.
    async fn receive(&self) -> Option<io::Result<Chunk>> {
        poll_fn(|context| {
            if self.state.get() == State::Stopped {
                return Poll::Ready(None);
            }
            let mut receiving = self.receiving.borrow_mut();
            let receive = receiving.get_or_insert_with(|| self.client.recv());
            let received = ready!(Pin::new(receive).poll(context));
            *receiving = None;
            Poll::Ready(Some(received))
        })
        .await
    }

    async fn pass_on(&self, chunk: Chunk, upstream: &Socket) {
        if self.state.get() != State::Passing || chunk.is_empty() {
            return;
        }
        // The client is not to blame for a session that takes its time to read.
        self.watch.begin(Phase::Answering);
        let bytes = chunk.len() as u64;
        let (sent, _) = upstream.send(chunk).await;
        match sent {
            Ok(()) => self.worker.counters.bytes.at(Direction::UpstreamOut).add(bytes),
            Err(_) if self.state.get() == State::Passing => self.state.set(State::Dropping),
            Err(_) => {}
        }
    }

    /// A reset, so that the tool does not take what it has for the whole.
    fn fail(&self, state: State, lease: &Lease) {
        self.state.set(state);
        lease.socket.reset();
    }
}

/// Reads and drops what comes, from a receive in flight to the end of the client's stream. The
/// watch bounds it.
pub(super) async fn drain(worker: &Worker, client: &Stream, receiving: StreamRecv<'_>) {
    let mut received = receiving.await;
    while let Ok(chunk) = received {
        if chunk.is_empty() {
            return;
        }
        worker.counters.bytes.at(Direction::ClientIn).add(chunk.len() as u64);
        drop(chunk);
        received = client.recv().await;
    }
}
