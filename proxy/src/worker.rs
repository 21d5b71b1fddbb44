//! One data-plane thread: accepts, keeps the clock, and ends its connections when told to.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Cache;
use ipnet::IpNet;
use portico_core::access::{Gate, Proven};
use portico_core::domain::{Domains, Scheme};
use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::quota::Ledger;
use portico_core::route::{Route, RouteTable};
use tokio::sync::{Notify, mpsc, watch};

use crate::access_log::AccessLogSender;
use crate::accounting::Accounting;
use crate::clock::Clock;
use crate::connection;
use crate::edge::EdgeApp;
use crate::explain::{self, Question};
use crate::io::{Acceptor, Driver, spawn};
use crate::last_errors::{Error, LastErrors, Room};
use crate::metrics::WorkerCounters;
use crate::metrics::labels::{Limit, ListenerKind};
use crate::pool::{self, Pool};
use crate::presence::Presence;
use crate::settings::{ListenerSettings, SharedTable};
use crate::watch::{Tick, Watches, ticks};

/// The process's wish, which only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Life {
    Running,
    Draining,
    Closing,
}

/// What all workers read.
pub(crate) struct Shared {
    pub(crate) domains: Domains,
    pub(crate) trusted_networks: Vec<IpNet>,
    pub(crate) networks: UpstreamNetworks,
    pub(crate) drain_timeout: Duration,
    pub(crate) connections_max: usize,
    pub(crate) clock: Clock,
    pub(crate) upstream_idle_max: usize,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) table: SharedTable,
    pub(crate) gate: Gate,
    /// Where users sign in; none where the gate is open.
    pub(crate) edge: Option<Arc<dyn EdgeApp>>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) accounting: Arc<Accounting>,
    /// None where there is no policy.
    pub(crate) quotas: Option<Arc<Ledger>>,
}

pub(crate) struct Worker {
    pub(crate) driver: Driver,
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) log: Option<AccessLogSender>,
    pub(crate) pool: Pool,
    pub(crate) watches: Rc<Watches>,
    pub(crate) last_errors: LastErrors,
    /// What admission need not prove again.
    pub(crate) proven: Proven,
    table: RefCell<Cache<SharedTable, Arc<RouteTable>>>,
    texts: RefCell<Vec<Vec<u8>>>,
    draining_since: Cell<Option<Tick>>,
    /// Of the table by which live connections were judged last.
    takings: Cell<u64>,
    /// The meter's last wish that was granted.
    looks: Cell<u64>,
    /// A connection ended: there is a free slot, or none is left.
    ended: Notify,
}

/// A listener as its connections see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entrance {
    pub(crate) scheme: Scheme,
    pub(crate) proxy_protocol: bool,
}

impl Entrance {
    /// Neither a PROXY header nor TLS: requests come at once.
    pub(crate) fn is_plain(self) -> bool {
        self.scheme == Scheme::Http && !self.proxy_protocol
    }
}

/// Texts (heads, small answers) kept for the next request, and how large one may be to be kept.
const TEXTS_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// After so many connections in a row the worker turns to those that it has.
const ACCEPTS_PER_TURN: u64 = 32;

pub(crate) async fn run(
    driver: Driver,
    shared: Arc<Shared>,
    counters: Arc<WorkerCounters>,
    log: Option<AccessLogSender>,
    listeners: Vec<(ListenerSettings, TcpListener)>,
    mut life: watch::Receiver<Life>,
    questions: mpsc::Receiver<Question>,
) {
    let upstream_idle_max = shared.upstream_idle_max;
    let worker = Rc::new(Worker {
        table: RefCell::new(Cache::new(shared.table.clone())),
        driver,
        shared,
        counters,
        log,
        pool: Pool::new(upstream_idle_max),
        watches: Watches::new(),
        last_errors: LastErrors::default(),
        proven: Proven::new(limits::PROVEN_GRANTS_PER_WORKER),
        texts: RefCell::default(),
        draining_since: Cell::new(None),
        takings: Cell::new(0),
        looks: Cell::new(0),
        ended: Notify::new(),
    });
    let _looking = worker.shared.accounting.join();
    let sweeping = spawn(sweep(worker.clone()));
    spawn(explain::answer(worker.clone(), questions));
    let mut acceptors = Vec::new();
    for (settings, listener) in listeners {
        match Acceptor::new(worker.driver.clone(), listener) {
            Ok(acceptor) => {
                let acceptor = Rc::new(acceptor);
                acceptors.push(acceptor.clone());
                spawn(accept(worker.clone(), acceptor, settings));
            }
            Err(error) => tracing::error!(address = %settings.address, %error, "cannot accept"),
        }
    }

    // The sender lives in `Proxy`; when that is dropped, so is the process's interest in us.
    // Neither side of this race is a ring operation.
    let wish = tokio::select! {
        wish = life.wait_for(|life| *life > Life::Running) => wish.map_or(Life::Closing, |l| *l),
        ended = sweeping => match ended.map_err(|error| error.try_into_panic()) {
            // A worker whose clock stands has no deadlines, and takes nothing back from anybody.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Ok(()) | Err(Err(_)) => Life::Closing,
        },
    };
    worker.draining_since.set(Some(worker.watches.now()));
    worker.connection_ended();
    // With the last reference goes the listening socket: who connects now is told so at once.
    for acceptor in acceptors {
        acceptor.stop().await;
    }
    if wish == Life::Draining {
        let closing = async { drop(life.wait_for(|life| *life == Life::Closing).await) };
        // Neither side of this race is a ring operation.
        tokio::select! {
            () = worker.empty() => {}
            () = closing => {}
            () = tokio::time::sleep(worker.shared.drain_timeout) => {}
        }
    }
    worker.watches.shut_down_all();
    // Who has been shut down ends by itself; a task that does not is abandoned with the thread.
    let _ = tokio::time::timeout(limits::CLOSE_TIMEOUT, worker.empty()).await;
}

async fn sweep(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(limits::SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let per_second = ticks(Duration::from_secs(1)) - 1;
    loop {
        interval.tick().await;
        worker.watches.sweep(worker.draining_since.get(), &worker.counters);
        worker.judge_again();
        worker.look_again().await;
        worker.hold_to_quotas();
        let now = worker.watches.now();
        if now.is_multiple_of(per_second) {
            worker.pool.sweep(now, &worker.counters);
            let exhausted = worker.driver.take_exhausted();
            worker.counters.limit_reached.at(Limit::ReceiveBuffers).add(exhausted);
        }
    }
}

async fn accept(worker: Rc<Worker>, acceptor: Rc<Acceptor>, settings: ListenerSettings) {
    let entrance = Entrance {
        scheme: if settings.tls { Scheme::Https } else { Scheme::Http },
        proxy_protocol: settings.proxy_protocol,
    };
    let kind = if settings.tls { ListenerKind::Https } else { ListenerKind::Http };
    for turn in 1_u64.. {
        if turn.is_multiple_of(ACCEPTS_PER_TURN) {
            tokio::task::yield_now().await;
        }
        worker.free_slot().await;
        match acceptor.accept().await {
            Ok(Some((socket, peer))) => {
                worker.counters.connections_accepted.at(kind).add(1);
                // Registered before anything else can happen, so that it counts at once.
                let watched = worker.watches.add(socket.clone());
                spawn(connection::serve(worker.clone(), socket, peer, entrance, watched));
            }
            Ok(None) => return,
            Err(error) => {
                // Out of files or memory: the listener is fine, and trying at once would spin.
                tracing::warn!(address = %settings.address, %error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

impl Worker {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining_since.get().is_some()
    }

    /// After a change that may take from somebody what they have: whoever may stay no longer goes.
    fn judge_again(&self) {
        self.with_table(|table| {
            if self.takings.replace(table.takings()) == table.takings() {
                return;
            }
            self.watches.judge(|live| {
                let cause = live.objection(&self.shared.gate, table)?;
                self.counters.connections_ended.at(cause.into()).add(1);
                if let Some(edge) = &self.shared.edge {
                    edge.ended(live.ended(cause));
                }
                Some(cause)
            });
        });
    }

    /// When the meter is about to read: what went through connections is counted first.
    async fn look_again(&self) {
        if self.shared.accounting.wants_look(&self.looks) {
            self.watches.look().await;
            self.pool.look();
            self.shared.accounting.looked();
        }
    }

    fn hold_to_quotas(&self) {
        if let Some(ledger) = &self.shared.quotas {
            self.watches.hold_to_quotas(ledger, &self.counters);
        }
    }

    /// Runs `read` on the current route table.
    pub(crate) fn with_table<T>(&self, read: impl FnOnce(&RouteTable) -> T) -> T {
        read(self.table.borrow_mut().load())
    }

    /// A request for this session came to nothing.
    pub(crate) fn remember(&self, route: &Route, error: Error) {
        match self.last_errors.add(route, error, crate::clock::now()) {
            Room::Enough => {}
            Room::Made => self.counters.limit_reached.at(Limit::ErrorsSessions).add(1),
        }
    }

    pub(crate) fn pool_context(&self) -> pool::Context<'_> {
        pool::Context {
            driver: &self.driver,
            networks: &self.shared.networks,
            counters: &self.counters,
            clock: &self.watches,
        }
    }

    /// An empty text with room for a head.
    pub(crate) fn text(&self) -> Vec<u8> {
        self.texts.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(2048))
    }

    pub(crate) fn return_text(&self, mut text: Vec<u8>) {
        let mut texts = self.texts.borrow_mut();
        if texts.len() < TEXTS_MAX && (1..=TEXT_BYTES_MAX).contains(&text.capacity()) {
            text.clear();
            texts.push(text);
        }
    }

    /// A connection is gone, its slot is free.
    pub(crate) fn connection_ended(&self) {
        self.ended.notify_waiters();
    }

    /// A slot is there before a connection is taken for it.
    async fn free_slot(&self) {
        let mut counted = false;
        while self.watches.len() >= self.shared.connections_max && !self.is_draining() {
            if !std::mem::replace(&mut counted, true) {
                self.counters.limit_reached.at(Limit::ConnectionsPerWorker).add(1);
            }
            self.ended.notified().await;
        }
    }

    async fn empty(&self) {
        while self.watches.len() > 0 {
            self.ended.notified().await;
        }
    }
}
