//! A request's body on its way to the session. Runs beside the download until the body has ended,
//! or the client has: after the answer it goes on reading and drops what comes, for the linger's
//! time.

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::time::Duration;

use portico_core::http::exchange::Exchange;
use portico_core::http::refusal::Refusal;
use portico_core::limits;

use super::download::End;
use crate::io::{Chunk, Socket};
use crate::metrics::labels::Direction;
use crate::stream::Stream;
use crate::watch::{Phase, Watch};
use crate::worker::Worker;

pub(super) struct Upload<'a> {
    worker: &'a Worker,
    client: &'a Stream,
    upstream: &'a Socket,
    exchange: &'a RefCell<Exchange>,
    watch: &'a Watch,
    inbound: Cell<Chunk>,
    destination: Cell<Destination>,
    refusal: Cell<Option<Refusal>>,
    client_gone: Cell<bool>,
    bytes: Cell<u64>,
}

/// Where the body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    Upstream,
    /// The upstream takes no more, but may still answer.
    Nowhere,
    /// The answer was given.
    Linger,
}

pub(super) struct Outcome {
    /// Behind the body: the start of the next request.
    pub(super) rest: Chunk,
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
        upstream: &'a Socket,
        exchange: &'a RefCell<Exchange>,
        watch: &'a Watch,
        inbound: Chunk,
    ) -> Self {
        Self {
            worker,
            client,
            upstream,
            exchange,
            watch,
            inbound: Cell::new(inbound),
            destination: Cell::new(Destination::Upstream),
            refusal: Cell::new(None),
            client_gone: Cell::new(false),
            bytes: Cell::new(0),
        }
    }

    pub(super) async fn run(&self) {
        while !self.exchange.borrow().upload_done() {
            let mut chunk = self.inbound.replace(Chunk::EMPTY);
            if chunk.is_empty() {
                match self.receive().await {
                    Some(received) => chunk = received,
                    None => return self.client_ended(),
                }
            }
            let taken = self.exchange.borrow_mut().upload(&chunk);
            let taken = match taken {
                Ok(taken) => taken,
                Err(refusal) => {
                    self.refusal.set(Some(refusal));
                    // A reset, so that the tool does not take what it has for the whole.
                    self.upstream.reset();
                    return;
                }
            };
            if taken < chunk.len() {
                self.inbound.set(Chunk::from(chunk[taken..].to_vec()));
                chunk.truncate(taken);
            }
            self.pass_on(chunk).await;
        }
        if self.destination.get() == Destination::Upstream {
            self.watch.begin(Phase::Answering);
        }
    }

    /// The answer has ended while the body may not have.
    pub(super) async fn answered(&self, end: &End) {
        if self.exchange.borrow().upload_done() {
            return;
        }
        // Frees a send that waits for an upstream that reads no more.
        self.upstream.shutdown(Shutdown::Both);
        self.destination.set(Destination::Linger);
        self.watch.enter(Phase::Linger, limits::LINGER_TIMEOUT);
        match end {
            End::Complete => self.client.close_write().await,
            // The edge will answer instead; what is still arriving is of no use to anybody.
            End::Silent | End::Fault(_) => self.client.socket().shutdown(Shutdown::Read),
            End::Cut(_) | End::ClientGone | End::Switched(_) => self.client.socket().reset(),
        }
    }

    pub(super) fn into_outcome(self) -> Outcome {
        Outcome {
            rest: self.inbound.into_inner(),
            bytes: self.bytes.get(),
            refusal: self.refusal.get(),
            client_gone: self.client_gone.get(),
            delivered: self.destination.get() == Destination::Upstream,
        }
    }

    async fn receive(&self) -> Option<Chunk> {
        if self.destination.get() != Destination::Linger {
            self.watch.enter(Phase::Body, patience(self.bytes.get()));
        }
        let chunk = self.client.recv().await.ok().filter(|chunk| !chunk.is_empty())?;
        self.worker.counters.bytes.at(Direction::ClientIn).add(chunk.len() as u64);
        Some(chunk)
    }

    async fn pass_on(&self, chunk: Chunk) {
        let bytes = chunk.len() as u64;
        self.bytes.set(self.bytes.get() + bytes);
        if self.destination.get() != Destination::Upstream || chunk.is_empty() {
            return;
        }
        // The client is not to blame for a session that takes its time to read.
        self.watch.begin(Phase::Answering);
        let (sent, _) = self.upstream.send(chunk).await;
        match sent {
            Ok(()) => self.worker.counters.bytes.at(Direction::UpstreamOut).add(bytes),
            Err(_) if self.destination.get() == Destination::Upstream => {
                self.destination.set(Destination::Nowhere);
            }
            Err(_) => {}
        }
    }

    fn client_ended(&self) {
        if self.destination.get() == Destination::Linger {
            return;
        }
        if self.watch.expired() {
            self.refusal.set(Some(Refusal::Timeout));
        } else {
            self.client_gone.set(true);
        }
        self.upstream.reset();
    }
}

/// How long the next piece of a body may take. What came faster than the least rate is credit, up
/// to a bound; so a whole body is never limited, only a client that stalls.
fn patience(bytes: u64) -> Duration {
    let credit = Duration::from_secs(bytes / limits::BODY_BYTES_PER_SECOND_MIN);
    limits::BODY_PATIENCE + credit.min(limits::BODY_PATIENCE)
}
