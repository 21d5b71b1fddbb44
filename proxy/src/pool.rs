//! Connections to upstreams: idle ones kept for the next request, new ones opened with a deadline
//! to an address that is allowed, and a short memory of addresses that just refused.

mod names;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::upstream::{Host, Upstream};

use crate::io::{Driver, Peek, Socket};
use crate::metrics::WorkerCounters;
use crate::metrics::labels::{ConnectError, Limit};
use crate::watch::{Phase, Tick, Watch, Watches, ticks};
use names::Names;

pub(crate) struct Pool {
    /// Of each address the one that was idle for longest first.
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    /// The sum of their lengths, and its bound.
    idle_count: Cell<usize>,
    idle_max: usize,
    /// Until when an address that refused is not tried.
    failing: RefCell<HashMap<SocketAddr, Tick>>,
    names: Names,
}

struct Idle {
    socket: Socket,
    since: Tick,
}

/// A connection to an upstream, for one exchange.
pub(crate) struct Lease {
    pub(crate) socket: Socket,
    pub(crate) address: SocketAddr,
    pub(crate) reused: bool,
}

/// Why there is none, and of which address: the last of those that were tried; none where a name
/// has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unconnected {
    pub(crate) reason: ConnectError,
    pub(crate) address: Option<SocketAddr>,
}

/// An upstream's address, as one worker has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownAddress {
    pub(crate) address: SocketAddr,
    /// Connections that wait for a request.
    pub(crate) idle: usize,
    /// For how long it is not tried, because the last try failed.
    pub(crate) backoff: Option<Duration>,
}

/// How to choose among idle connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// An idle one, where there is one that is open and silent.
    Idle,
    /// A new one.
    New,
}

/// What opening a connection depends on.
pub(crate) struct Context<'a> {
    pub(crate) driver: &'a Driver,
    pub(crate) networks: &'a UpstreamNetworks,
    pub(crate) counters: &'a WorkerCounters,
    /// The clock, not a time: between two looks at it there may be a wait of seconds.
    pub(crate) clock: &'a Rc<Watches>,
}

/// One of so many idle connections goes when there are too many.
const EVICTED_PART: usize = 64;

impl Context<'_> {
    fn now(&self) -> Tick {
        self.clock.now()
    }
}

impl Pool {
    /// With room for so many idle connections in all.
    pub(crate) fn new(idle_max: usize) -> Self {
        Self {
            idle: RefCell::default(),
            idle_count: Cell::new(0),
            idle_max,
            failing: RefCell::default(),
            names: Names::new(),
        }
    }

    pub(crate) async fn lease(
        &self,
        upstream: &Upstream,
        choice: Choice,
        context: &Context<'_>,
        watch: &Watch,
    ) -> Result<Lease, Unconnected> {
        // The common case first: an address, and an idle connection to it.
        if let Some(address) = upstream.address()
            && let Some(lease) = self.take(address, choice, context)
        {
            return Ok(lease);
        }
        Box::pin(self.lease_new(upstream, choice, context, watch)).await
    }

    fn take(&self, address: SocketAddr, choice: Choice, context: &Context<'_>) -> Option<Lease> {
        if choice == Choice::New {
            return None;
        }
        let mut idle = self.idle.borrow_mut();
        let sockets = idle.get_mut(&address)?;
        while let Some(Idle { socket, .. }) = sockets.pop() {
            self.idle_count.set(self.idle_count.get() - 1);
            // A system call, and worth it: bytes that came after an answer belong to nobody, and
            // would be taken for the next one; and a closed connection is found before the request
            // is sent.
            if socket.peek() == Peek::Nothing {
                context.counters.upstream_connections_reused.add(1);
                return Some(Lease { socket, address, reused: true });
            }
            context.counters.upstream_connections_open.sub(1);
        }
        None
    }

    async fn lease_new(
        &self,
        upstream: &Upstream,
        choice: Choice,
        context: &Context<'_>,
        watch: &Watch,
    ) -> Result<Lease, Unconnected> {
        // From here on there are waits: none of them may count as the client's silence, for which
        // a deadline or a drain would end its side.
        watch.enter(Phase::Connecting, limits::CONNECT_TIMEOUT);
        let mut last = Unconnected { reason: ConnectError::Resolve, address: None };
        for ip in self.addresses(upstream, context).await.iter() {
            let address = SocketAddr::new(*ip, upstream.port);
            if let Some(lease) = self.take(address, choice, context) {
                return Ok(lease);
            }
            match self.open(address, context, watch).await {
                Ok(socket) => return Ok(Lease { socket, address, reused: false }),
                Err(reason) => {
                    context.counters.upstream_connect_errors.at(reason).add(1);
                    last = Unconnected { reason, address: Some(address) };
                }
            }
        }
        if last.reason == ConnectError::Resolve {
            context.counters.upstream_connect_errors.at(last.reason).add(1);
        }
        Err(last)
    }

    /// The addresses to try, at most a few; none where a name has none.
    async fn addresses(&self, upstream: &Upstream, context: &Context<'_>) -> Rc<[IpAddr]> {
        match &upstream.host {
            Host::Address(ip) => Rc::new([*ip]),
            Host::Name(name) => self.names.addresses(name, context).await,
        }
    }

    async fn open(
        &self,
        address: SocketAddr,
        context: &Context<'_>,
        watch: &Watch,
    ) -> Result<Socket, ConnectError> {
        // Asked of the resolved address, at each connect: what a name means can change.
        if context.networks.check(address).is_err() {
            return Err(ConnectError::Forbidden);
        }
        if self.failing.borrow().get(&address).is_some_and(|until| context.now() < *until) {
            return Err(ConnectError::Backoff);
        }
        let attempt = async {
            let socket = Socket::connect(context.driver, address)?;
            watch.set_upstream(Some(socket.clone()));
            watch.enter(Phase::Connecting, limits::CONNECT_TIMEOUT);
            socket.connected().await?;
            Ok::<_, std::io::Error>(socket)
        };
        match attempt.await {
            Ok(socket) => {
                context.counters.upstream_connections_opened.add(1);
                context.counters.upstream_connections_open.add(1);
                Ok(socket)
            }
            Err(error) => {
                watch.set_upstream(None);
                // From now, not from when the attempt began: that may be longer ago.
                let until = context.now() + ticks(limits::CONNECT_BACKOFF);
                self.failing.borrow_mut().insert(address, until);
                // Of this attempt: the next one begins its phase anew.
                match watch.expired() {
                    true => Err(ConnectError::Timeout),
                    false => Err(ConnectError::of(&error)),
                }
            }
        }
    }

    /// Keeps a connection whose exchange ended cleanly.
    pub(crate) fn keep(&self, lease: Lease, now: Tick, counters: &WorkerCounters) {
        if self.idle_count.get() >= self.idle_max {
            counters.limit_reached.at(Limit::UpstreamIdlePerWorker).add(1);
            self.evict(counters);
        }
        let mut idle = self.idle.borrow_mut();
        let sockets = idle.entry(lease.address).or_default();
        if sockets.len() >= limits::UPSTREAM_IDLE_PER_ADDRESS_MAX {
            counters.limit_reached.at(Limit::UpstreamIdlePerAddress).add(1);
            counters.upstream_connections_open.sub(1);
            return;
        }
        sockets.push(Idle { socket: lease.socket, since: now });
        self.idle_count.set(self.idle_count.get() + 1);
    }

    /// Drops some that were idle for longest. Several at once, because finding them means looking
    /// at every address, and who reached the bound will do so again.
    fn evict(&self, counters: &WorkerCounters) {
        let mut idle = self.idle.borrow_mut();
        let Some(oldest) = idle.values().filter_map(|s| s.first()).map(|i| i.since).min() else {
            return;
        };
        let mut left = self.idle_max.div_ceil(EVICTED_PART);
        for sockets in idle.values_mut() {
            let count = sockets.iter().take(left).take_while(|i| i.since == oldest).count();
            drop(sockets.drain(..count));
            counters.upstream_connections_open.sub(count as u64);
            self.idle_count.set(self.idle_count.get() - count);
            left -= count;
            if left == 0 {
                break;
            }
        }
        idle.retain(|_, sockets| !sockets.is_empty());
    }

    /// What is known of an upstream's addresses; nothing of a name that was not looked up lately.
    pub(crate) fn known(&self, upstream: &Upstream, now: Tick) -> Vec<KnownAddress> {
        let ips: Rc<[IpAddr]> = match &upstream.host {
            Host::Address(ip) => Rc::new([*ip]),
            Host::Name(name) => self.names.known(name, now),
        };
        let known = |ip: &IpAddr| {
            let address = SocketAddr::new(*ip, upstream.port);
            let until = self.failing.borrow().get(&address).copied();
            KnownAddress {
                address,
                idle: self.idle.borrow().get(&address).map_or(0, Vec::len),
                backoff: until
                    .filter(|until| now < *until)
                    .map(|until| limits::SWEEP_INTERVAL * until.wrapping_sub(now)),
            }
        };
        ips.iter().map(known).collect()
    }

    /// Has all sockets counted that something went through.
    pub(crate) fn look(&self) {
        self.idle.borrow().values().flatten().for_each(|idle| {
            idle.socket.look();
        });
    }

    /// Drops what was idle for too long, or was closed by the other side meanwhile.
    pub(crate) fn sweep(&self, now: Tick, counters: &WorkerCounters) {
        let too_old = ticks(limits::UPSTREAM_IDLE_TIMEOUT);
        self.idle.borrow_mut().retain(|_, sockets| {
            let before = sockets.len();
            sockets.retain(|idle| {
                now.wrapping_sub(idle.since) < too_old && idle.socket.peek() == Peek::Nothing
            });
            let dropped = before - sockets.len();
            counters.upstream_connections_open.sub(dropped as u64);
            self.idle_count.set(self.idle_count.get() - dropped);
            !sockets.is_empty()
        });
        self.failing.borrow_mut().retain(|_, until| now < *until);
        self.names.sweep(now);
    }
}
