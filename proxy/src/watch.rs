//! Deadlines. Each connection says in a cell what it is waiting for and until when; once a tick the
//! worker looks at all of them. Setting a deadline is two stores, no timer is made or cancelled,
//! and one that has passed shuts a socket down, so that the operation in flight completes.

mod taken;
mod used;

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use portico_core::http::websocket::CLOSE_GOING_AWAY;
use portico_core::limits;
use portico_core::quota::Account;
use portico_core::session::Timestamp;

use crate::connection::Live;
use crate::io::{Presence, Socket};
use crate::metrics::WorkerCounters;
use crate::metrics::labels::Limit;
use crate::presence::Present;
use taken::Taken;

/// Ticks of `limits::SWEEP_INTERVAL` since the worker started.
pub(crate) type Tick = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// PROXY header and TLS.
    Handshake,
    /// Between requests.
    Idle,
    /// A request head has begun.
    Head,
    /// The client's body is waited for.
    Body,
    Connecting,
    /// The upstream is answering, however long it takes.
    Answering,
    /// The last answer was given; the rest of what the client says is dropped.
    Linger,
    Relay,
}

/// What the worker knows of one connection.
pub(crate) struct Watch {
    phase: Cell<Phase>,
    /// When `phase` began.
    since: Cell<Tick>,
    /// 0: none.
    deadline: Cell<Tick>,
    expired: Cell<bool>,
    /// Both sides were shut down from here.
    ended: Cell<bool>,
    client: Socket,
    upstream: RefCell<Option<Socket>>,
    /// What it is let in to, while it is.
    live: RefCell<Option<Live>>,
    taken: Taken,
    /// Positions in the client's two streams up to which its quotas know.
    charged: Cell<(u32, u32)>,
    /// Bytes a second that it may send.
    paced: Cell<Option<NonZeroU64>>,
    /// The throttled accounts whose pace it shares.
    held: RefCell<Vec<Arc<Account>>>,
    clock: Rc<Cell<Tick>>,
}

/// All connections of a worker.
pub(crate) struct Watches {
    clock: Rc<Cell<Tick>>,
    /// The time of day at the last tick: what is noted a thousand times a second needs no better.
    wall: Cell<Timestamp>,
    all: RefCell<Vec<Option<Rc<Watch>>>>,
    free: RefCell<Vec<usize>>,
}

/// Registers a connection for as long as it lives.
pub(crate) struct Watched {
    pub(crate) watch: Rc<Watch>,
    slot: usize,
    watches: Rc<Watches>,
}

pub(crate) fn ticks(duration: Duration) -> Tick {
    // One more, because the current tick has partly gone by.
    (duration.as_millis() / limits::SWEEP_INTERVAL.as_millis()) as Tick + 1
}

impl Watch {
    pub(crate) fn enter(&self, phase: Phase, timeout: Duration) {
        self.begin(phase);
        self.deadline.set(self.clock.get() + ticks(timeout));
    }

    /// A phase without a deadline. What became of the one before is forgotten: who wants to know
    /// asks before the next begins.
    pub(crate) fn begin(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.clock.get());
        self.deadline.set(0);
        self.expired.set(false);
    }

    /// Moves the deadline of the current phase.
    pub(crate) fn extend(&self, timeout: Duration) {
        self.deadline.set(self.clock.get() + ticks(timeout));
    }

    /// One direction of a relay has ended: the other may be silent for this long.
    pub(crate) fn half_closed(&self, timeout: Duration) {
        if !self.revoked() {
            self.extend(timeout);
        }
    }

    /// Bytes went through a relay: where it is half closed, the wait starts again.
    pub(crate) fn moved(&self, timeout: Duration) {
        if self.deadline.get() != 0 && !self.revoked() {
            self.extend(timeout);
        }
    }

    /// The worker's clock, since it started.
    pub(crate) fn now(&self) -> Duration {
        limits::SWEEP_INTERVAL * self.clock.get()
    }

    pub(crate) fn is_in(&self, phase: Phase) -> bool {
        self.phase.get() == phase
    }

    /// The deadline of the current phase passed, which ended the operation in flight.
    pub(crate) fn expired(&self) -> bool {
        self.expired.get()
    }

    /// The worker has ended both sides, because the client left or the process ends: whatever
    /// fails after that is nobody's fault, and nobody waits for an answer.
    pub(crate) fn ended(&self) -> bool {
        self.ended.get()
    }

    /// Ends both sides; what is in flight on them completes.
    pub(crate) fn shut_down(&self) {
        self.ended.set(true);
        match self.phase.get() {
            // Neither side may take what it has of a message for the whole.
            Phase::Body | Phase::Answering => {
                self.client.reset();
                self.reset_upstream();
            }
            Phase::Handshake
            | Phase::Idle
            | Phase::Head
            | Phase::Connecting
            | Phase::Linger
            | Phase::Relay => {
                self.client.shutdown(Shutdown::Both);
                self.shut_down_upstream();
            }
        }
    }

    /// Its user is there, for who asks; none where nobody needs to be known.
    pub(crate) fn present(&self, presence: &Arc<crate::presence::Presence>) -> Option<Present> {
        let live = self.live.borrow();
        let live = live.as_ref()?;
        Some(presence.enter(live.session(), live.user()?.clone(), crate::clock::now()))
    }

    fn shut_down_upstream(&self) {
        if let Some(upstream) = &*self.upstream.borrow() {
            upstream.shutdown(Shutdown::Both);
        }
    }

    fn reset_upstream(&self) {
        if let Some(upstream) = &*self.upstream.borrow() {
            upstream.reset();
        }
    }

    fn sweep(&self, now: Tick, draining_since: Option<Tick>, counters: &WorkerCounters) {
        let phase = self.phase.get();
        if let (Phase::Idle, Some(since)) = (phase, draining_since) {
            let begin = since.max(self.since.get());
            if now >= begin + ticks(limits::DRAIN_IDLE_GRACE) {
                self.client.shutdown(Shutdown::Read);
            }
        }
        if phase == Phase::Answering {
            self.look_for_the_client(now, counters);
        }
        let deadline = self.deadline.get();
        if deadline == 0 || now < deadline {
            return;
        }
        self.deadline.set(0);
        self.expired.set(true);
        let limit = match phase {
            Phase::Handshake => Limit::HandshakeTimeout,
            Phase::Idle => Limit::KeepAliveTimeout,
            Phase::Head => Limit::HeadTimeout,
            Phase::Body => Limit::BodyRate,
            Phase::Connecting => Limit::ConnectTimeout,
            Phase::Linger => Limit::LingerTimeout,
            Phase::Relay => Limit::HalfClosedTimeout,
            Phase::Answering => return,
        };
        if !self.revoked() {
            counters.limit_reached.at(limit).add(1);
        }
        match phase {
            // Only the receive ends: the client may still be told why.
            Phase::Idle | Phase::Head => self.client.shutdown(Shutdown::Read),
            // Not even that: a client that goes on sending would be reset after our FIN, and may
            // lose the answer with it. The exchange ends by its other side.
            Phase::Body => self.reset_upstream(),
            Phase::Connecting => self.shut_down_upstream(),
            Phase::Handshake | Phase::Linger => self.client.shutdown(Shutdown::Both),
            Phase::Relay => self.end_relay(),
            Phase::Answering => {}
        }
    }

    /// A piece of an answer went to the client, or is about to. What is sent to a client that left
    /// fails, so it need not be looked for meanwhile.
    pub(crate) fn answer_moved(&self) {
        self.since.set(self.clock.get());
    }

    /// While the upstream is answering nobody reads from the client, so nobody would notice that it
    /// left, and a request that is never answered would hold its connections for ever.
    fn look_for_the_client(&self, now: Tick, counters: &WorkerCounters) {
        let waited = now.wrapping_sub(self.since.get());
        let interval = ticks(limits::CLIENT_CHECK_INTERVAL);
        if waited == 0 || !waited.is_multiple_of(interval) {
            return;
        }
        match self.client.presence() {
            Presence::Whole => {}
            // It may still read: it has merely said everything (RFC 9112 §9.6). Whether it closed
            // instead, nobody can tell before something is sent to it.
            Presence::HalfClosed if waited < ticks(limits::HALF_CLOSED_ANSWER_TIMEOUT) => {}
            Presence::HalfClosed => {
                counters.limit_reached.at(Limit::HalfClosedAnswerTimeout).add(1);
                self.shut_down();
            }
            Presence::Gone => self.shut_down(),
        }
    }
}

impl Watches {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            // Tick 0 means "no deadline".
            clock: Rc::new(Cell::new(1)),
            wall: Cell::new(crate::clock::now()),
            all: RefCell::default(),
            free: RefCell::default(),
        })
    }

    pub(crate) fn now(&self) -> Tick {
        self.clock.get()
    }

    pub(crate) fn add(self: &Rc<Self>, client: Socket) -> Watched {
        let watch = Rc::new(Watch {
            phase: Cell::new(Phase::Handshake),
            since: Cell::new(self.now()),
            deadline: Cell::new(self.now() + ticks(limits::HANDSHAKE_TIMEOUT)),
            expired: Cell::new(false),
            ended: Cell::new(false),
            client,
            upstream: RefCell::new(None),
            live: RefCell::new(None),
            taken: Taken::default(),
            charged: Cell::new((0, 0)),
            paced: Cell::new(None),
            held: RefCell::default(),
            clock: self.clock.clone(),
        });
        let mut all = self.all.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            all.push(None);
            all.len() - 1
        });
        all[slot] = Some(watch.clone());
        Watched { watch, slot, watches: self.clone() }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.borrow().len() - self.free.borrow().len()
    }

    /// The time of day, to a tick.
    pub(crate) fn wall(&self) -> Timestamp {
        self.wall.get()
    }

    /// One tick of the clock.
    pub(crate) fn sweep(&self, draining_since: Option<Tick>, counters: &WorkerCounters) {
        self.wall.set(crate::clock::now());
        self.clock.set(self.clock.get().wrapping_add(1).max(1));
        for watch in self.all.borrow().iter().flatten() {
            watch.sweep(self.now(), draining_since, counters);
        }
    }

    /// The worker ends.
    pub(crate) fn shut_down_all(&self) {
        for watch in self.all.borrow().iter().flatten() {
            watch.revoke(CLOSE_GOING_AWAY);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.let_in(None, self.watch.client.position(), None);
        self.watch.let_go();
        self.watches.all.borrow_mut()[self.slot] = None;
        self.watches.free.borrow_mut().push(self.slot);
    }
}

#[cfg(test)]
mod tests;
