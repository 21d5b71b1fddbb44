//! Start and end of the data plane: threads, the choice of the io back end, and the signals that
//! the process passes on.

pub(crate) mod backend;

use std::net::SocketAddr;
use std::sync::mpsc as starting;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::access_log::{self, AccessLogSender, AccessLogWriter};
use crate::accounting::{Accounting, Meter};
use crate::clock::Clock;
use crate::edge::EdgeApp;
use crate::explain::{Explainer, Question};
use crate::io::{EventLoop, open_files_max, pin_to_core};
use crate::listener::Listeners;
use crate::metrics::{self, ProcessSources, WorkerCounters};
use crate::presence::Presence;
use crate::settings::{IoChoice, ListenerSettings, Settings, SharedTable};
use crate::tls::{self, Certificates, TlsError};
use crate::worker::{self, Life, Shared};
use backend::Backend;
use portico_core::limits;

/// The running data plane.
pub struct Proxy {
    life: watch::Sender<Life>,
    alive: watch::Receiver<usize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    presence: Arc<Presence>,
    meter: Mutex<Option<Meter>>,
    explainer: Arc<Explainer>,
    certificates: Option<Arc<Certificates>>,
    access_log: Mutex<Option<AccessLogWriter>>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: choose another address, or stop what uses it")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("io_uring was asked for but cannot be used: {0}. Use `--io auto` or `--io epoll`")]
    Uring(&'static str),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the limit of open files ({0}) leaves no room for connections: raise `ulimit -n`")]
    OpenFiles(u64),
    #[error("cannot make the event loop of a worker")]
    EventLoop(#[source] std::io::Error),
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    #[error("a worker ended while it started")]
    WorkerEnded,
}

/// Who has to act on a failed start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Settings,
    Machine,
    Us,
}

impl StartError {
    pub fn fault(&self) -> Fault {
        match self {
            StartError::Bind { .. } => Fault::Settings,
            StartError::Uring(_) | StartError::OpenFiles(_) | StartError::EventLoop(_) => {
                Fault::Machine
            }
            StartError::Tls(TlsError::Library(_))
            | StartError::Thread(_)
            | StartError::WorkerEnded => Fault::Us,
            StartError::Tls(_) => Fault::Settings,
        }
    }
}

impl Proxy {
    pub fn start(
        settings: Settings,
        listeners: Listeners,
        table: SharedTable,
        edge: Option<Arc<dyn EdgeApp>>,
        accounting: Arc<Accounting>,
        registry: &prometheus::Registry,
    ) -> Result<Self, StartError> {
        let chosen = backend::choose(settings.io)?;
        let certificates = certificates(&settings)?;
        let tls = certificates.clone().map(tls::server_config).transpose()?;
        let files = Files::per_worker(settings.workers)?;
        let (log, writer) =
            access_log::start(settings.access_log).map_err(StartError::Thread)?.unzip();

        let workers = settings.workers;
        let counters: Vec<Arc<WorkerCounters>> = (0..workers).map(|_| Arc::default()).collect();
        let presence = Arc::new(Presence::default());
        let shared = Arc::new(Shared {
            gate: settings.gate,
            edge,
            presence: presence.clone(),
            accounting: accounting.clone(),
            quotas: settings.quotas,
            domains: settings.domains,
            trusted_networks: settings.trusted_networks,
            networks: settings.upstream_networks,
            drain_timeout: settings.drain_timeout,
            connections_max: files.connections,
            upstream_idle_max: files.upstream_idle,
            clock: Clock::start(),
            tls,
            table: table.clone(),
        });
        let (life, _) = watch::channel(Life::Running);
        let (alive_sender, alive) = watch::channel(workers);
        let alive_sender = Arc::new(alive_sender);
        let (started, starts) = starting::sync_channel(workers);
        let mut threads = Vec::new();
        let (explainer, questions) = Explainer::new(shared.clone(), listeners.bound(), workers);
        let each = listeners.per_worker(workers).into_iter().zip(counters.clone()).zip(questions);
        for (index, ((listeners, counters), questions)) in each.enumerate() {
            let (io, shared, log) = (settings.io, shared.clone(), log.clone());
            let life = life.subscribe();
            let seed =
                Seed { index, io, chosen, listeners, counters, shared, life, log, questions };
            threads.push(seed.sow(AliveGuard(alive_sender.clone()), started.clone())?);
        }
        drop(started);
        let backends = backends(&starts, workers)?;
        let sources = ProcessSources {
            workers,
            alive: alive.clone(),
            connections_max: files.connections.saturating_mul(workers),
            backends,
            table,
            certificates: certificates.clone(),
        };
        metrics::register(registry, counters, sources, accounting.clone());
        Ok(Self {
            life,
            alive,
            threads: Mutex::new(threads),
            presence,
            explainer: Arc::new(explainer),
            meter: Mutex::new(Some(Meter::new(accounting))),
            certificates,
            access_log: Mutex::new(writer),
        })
    }

    /// Who is connected through this process.
    pub fn presence(&self) -> Arc<Presence> {
        self.presence.clone()
    }

    /// What answers an operator's questions about a URL.
    pub fn explainer(&self) -> Arc<Explainer> {
        self.explainer.clone()
    }

    /// What is counted here; there is one reader, who asks once.
    pub fn take_meter(&self) -> Option<Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Stops accepting, lets requests finish, and relays until the drain timeout.
    pub fn drain(&self) {
        self.life.send_if_modified(|life| {
            let begins = *life == Life::Running;
            if begins {
                *life = Life::Draining;
            }
            begins
        });
    }

    /// Ends every connection now.
    pub fn close_now(&self) {
        self.life.send_replace(Life::Closing);
    }

    /// Waits until all workers have ended.
    pub async fn finished(&self) {
        let mut alive = self.alive.clone();
        // An error means that every worker is gone, too.
        let _ = alive.wait_for(|alive| *alive == 0).await;
    }

    pub fn reload_certificates(&self) -> Result<(), TlsError> {
        self.certificates.as_ref().map_or(Ok(()), |certificates| certificates.reload())
    }

    /// Reloads where a certificate's file has changed; for the caller's clock.
    pub fn reload_changed_certificates(&self) -> Result<bool, TlsError> {
        self.certificates
            .as_ref()
            .map_or(Ok(false), |certificates| certificates.reload_if_changed())
    }

    pub fn join(self) {
        let threads = self.threads.into_inner().unwrap_or_else(PoisonError::into_inner);
        for thread in threads {
            // A panic was reported on its own thread.
            let _ = thread.join();
        }
        let writer = self.access_log.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer {
            writer.finish(Duration::from_secs(1));
        }
    }
}

/// None where no listener needs any.
fn certificates(settings: &Settings) -> Result<Option<Arc<Certificates>>, TlsError> {
    let has_tls = settings.listeners.iter().any(|listener| listener.tls);
    let loaded = has_tls.then(|| Certificates::load(settings.certificates.clone()));
    Ok(loaded.transpose()?.map(Arc::new))
}

/// Waits until every worker has its event loop, and answers the different ones. With an error the
/// caller's handle on the workers goes, and they end.
fn backends(
    starts: &starting::Receiver<Result<Backend, StartError>>,
    workers: usize,
) -> Result<Vec<Backend>, StartError> {
    let mut backends = Vec::new();
    for _ in 0..workers {
        let backend = starts.recv().map_err(|_| StartError::WorkerEnded)??;
        if !backends.contains(&backend) {
            backends.push(backend);
        }
    }
    for Backend { kind, reason } in &backends {
        tracing::info!(io = kind.as_str(), reason, workers, "data plane");
    }
    Ok(backends)
}

/// What a worker may have open, so that it never runs out of files.
pub(crate) struct Files {
    pub(crate) connections: usize,
    upstream_idle: usize,
}

impl Files {
    /// A client's connection may need one to an upstream, so two files each; and a part is for the
    /// connections to upstreams that wait for the next request.
    pub(crate) fn per_worker(workers: usize) -> Result<Self, StartError> {
        let files = open_files_max().unwrap_or(1024);
        let of_worker = files.saturating_sub(limits::FILES_RESERVED) / workers as u64;
        let of_worker = usize::try_from(of_worker).unwrap_or(usize::MAX);
        let idle = (of_worker / UPSTREAM_IDLE_PART).clamp(1, limits::UPSTREAM_IDLE_PER_WORKER_MAX);
        match of_worker.saturating_sub(idle) / 2 {
            0 => Err(StartError::OpenFiles(files)),
            connections => Ok(Self { connections, upstream_idle: idle }),
        }
    }
}

/// One file of so many is for idle connections to upstreams, where files are few.
const UPSTREAM_IDLE_PART: usize = 8;

/// What a worker's thread is started with.
struct Seed {
    index: usize,
    io: IoChoice,
    chosen: Backend,
    listeners: Vec<(ListenerSettings, std::net::TcpListener)>,
    counters: Arc<WorkerCounters>,
    shared: Arc<Shared>,
    life: watch::Receiver<Life>,
    log: Option<AccessLogSender>,
    questions: mpsc::Receiver<Question>,
}

/// Says that a worker ended, also when it panicked.
struct AliveGuard(Arc<watch::Sender<usize>>);

impl Drop for AliveGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a worker panicked: its connections are lost, the other workers go on");
        }
        self.0.send_modify(|alive| *alive -= 1);
    }
}

impl Seed {
    fn sow(
        self,
        alive: AliveGuard,
        started: starting::SyncSender<Result<Backend, StartError>>,
    ) -> Result<JoinHandle<()>, StartError> {
        std::thread::Builder::new()
            .name(format!("worker-{}", self.index))
            .spawn(move || self.run(alive, started))
            .map_err(StartError::Thread)
    }

    fn run(self, _alive: AliveGuard, started: starting::SyncSender<Result<Backend, StartError>>) {
        if let Err(error) = pin_to_core(self.index) {
            tracing::debug!(worker = self.index, %error, "the worker is not pinned to a core");
        }
        let made = backend::event_loop(self.io, self.chosen, EventLoop::uring);
        let (event_loop, answer) = match made {
            Ok((event_loop, backend)) => (Some(event_loop), Ok(backend)),
            Err(error) => (None, Err(error)),
        };
        // Who started this thread is gone only when another worker has failed.
        let _ = started.send(answer);
        drop(started);
        if let Some(event_loop) = event_loop {
            let Seed { shared, counters, log, listeners, life, questions, .. } = self;
            event_loop.run(|driver| {
                worker::run(driver, shared, counters, log, listeners, life, questions)
            });
        }
    }
}
