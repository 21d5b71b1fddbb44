//! Connections to upstreams: idle ones kept for the next request, new ones opened with a deadline
//! to an address that is allowed, and a short memory of addresses that just refused.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;

use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::upstream::{Host, Upstream};

use crate::io::{Driver, Peek, Socket};
use crate::metrics::WorkerCounters;
use crate::metrics::labels::{ConnectError, Limit};
use crate::watch::{Phase, Tick, Watch, ticks};

#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    /// Until when an address that refused is not tried.
    failing: RefCell<HashMap<SocketAddr, Tick>>,
    names: RefCell<HashMap<Upstream, (Tick, Vec<SocketAddr>)>>,
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
    pub(crate) now: Tick,
}

impl Pool {
    pub(crate) async fn lease(
        &self,
        upstream: &Upstream,
        choice: Choice,
        context: &Context<'_>,
        watch: &Watch,
    ) -> Result<Lease, ConnectError> {
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
    ) -> Result<Lease, ConnectError> {
        let mut last = ConnectError::Resolve;
        for address in self.addresses(upstream, context).await? {
            if let Some(lease) = self.take(address, choice, context) {
                return Ok(lease);
            }
            match self.open(address, context, watch).await {
                Ok(socket) => return Ok(Lease { socket, address, reused: false }),
                Err(reason) => {
                    context.counters.upstream_connect_errors.at(reason).add(1);
                    last = reason;
                }
            }
        }
        Err(last)
    }

    /// The addresses to try, at most a few. A name is asked for again after a few seconds.
    async fn addresses(
        &self,
        upstream: &Upstream,
        context: &Context<'_>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let name = match &upstream.host {
            Host::Address(ip) => return Ok(vec![SocketAddr::new(*ip, upstream.port)]),
            Host::Name(name) => name,
        };
        if let Some((until, addresses)) = self.names.borrow().get(upstream)
            && context.now < *until
        {
            return Ok(addresses.clone());
        }
        // Not a ring operation: dropping it at the deadline loses nothing.
        let lookup = tokio::net::lookup_host((&**name, upstream.port));
        let addresses: Vec<_> = match tokio::time::timeout(limits::CONNECT_TIMEOUT, lookup).await {
            Ok(Ok(found)) => found.take(limits::UPSTREAM_ADDRESSES_MAX).collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        if addresses.is_empty() {
            context.counters.upstream_connect_errors.at(ConnectError::Resolve).add(1);
            return Err(ConnectError::Resolve);
        }
        let until = context.now + ticks(limits::RESOLVE_CACHE_TTL);
        self.names.borrow_mut().insert(upstream.clone(), (until, addresses.clone()));
        Ok(addresses)
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
        if self.failing.borrow().get(&address).is_some_and(|until| context.now < *until) {
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
                let until = context.now + ticks(limits::CONNECT_BACKOFF);
                self.failing.borrow_mut().insert(address, until);
                if watch.expired() {
                    Err(ConnectError::Timeout)
                } else {
                    Err(ConnectError::of(&error))
                }
            }
        }
    }

    /// Keeps a connection whose exchange ended cleanly.
    pub(crate) fn keep(&self, lease: Lease, now: Tick, counters: &WorkerCounters) {
        let mut idle = self.idle.borrow_mut();
        let sockets = idle.entry(lease.address).or_default();
        if sockets.len() >= limits::UPSTREAM_IDLE_PER_ADDRESS_MAX {
            counters.limit_reached.at(Limit::UpstreamIdlePerAddress).add(1);
            counters.upstream_connections_open.sub(1);
            return;
        }
        sockets.push(Idle { socket: lease.socket, since: now });
    }

    /// Drops what was idle for too long, or was closed by the other side meanwhile.
    pub(crate) fn sweep(&self, now: Tick, counters: &WorkerCounters) {
        let too_old = ticks(limits::UPSTREAM_IDLE_TIMEOUT);
        self.idle.borrow_mut().retain(|_, sockets| {
            let before = sockets.len();
            sockets.retain(|idle| {
                now.wrapping_sub(idle.since) < too_old && idle.socket.peek() == Peek::Nothing
            });
            counters.upstream_connections_open.sub((before - sockets.len()) as u64);
            !sockets.is_empty()
        });
        self.failing.borrow_mut().retain(|_, until| now < *until);
        self.names.borrow_mut().retain(|_, (until, _)| now < *until);
    }
}
