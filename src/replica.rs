//! One running Portico: its roles in one process, started in the order in which they need each
//! other. It wires and contains no logic; what a role does is in its crate.

mod addresses;

pub mod listen;

mod token;

mod tls;

mod http;

mod control;

mod status;

pub mod access;

mod edge;

mod data_plane;

mod metering;

mod quotas;

mod process;

use std::sync::Arc;

use arc_swap::ArcSwap;
use portico_control::feed::{self, FeedHandle, FeedSettings, Follower, Routes};
use portico_control::metering::Metering;
use portico_control::replica::{Heart, Role};
use portico_control::store::{self, Store, StoreSettings};
use portico_control::token::Token;
use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::route::RouteTable;
use portico_proxy::{Proxy, SharedTable};
use tokio::task::JoinHandle;

use crate::failure::{Failure, Outcome};
use crate::logging::Log;
use crate::settings::Settings;
pub use addresses::Addresses;
use addresses::AddressesFile;
use control::{Chores, Control};
use data_plane::Shared;
use http::Servers;
use listen::Bound;
use process::ProcessMetrics;
use status::Status;
use tls::ControlAcceptor;

pub struct Replica {
    pub addresses: Addresses,
    /// None where the API's tokens are all in the store, or there is no API.
    pub token: Option<Token>,
    proxy: Option<Proxy>,
    status: Arc<Status>,
    /// The API and management, which answer until all else has ended.
    servers: Servers,
    control_tls: Option<ControlAcceptor>,
    heart: Heart,
    metering: Option<Metering>,
    _keeps: Vec<Keep>,
    _chores: Option<Chores>,
    _addresses_file: Option<AddressesFile>,
}

/// A task that goes on for as long as the replica.
struct Keep(JoinHandle<()>);

impl Drop for Keep {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Replica {
    /// Returns when everything listens and what the store holds (or the cache, while it is away) is
    /// routable. To be called on the control-plane runtime.
    pub async fn start(role: Role, mut settings: Settings, log: &Log) -> Outcome<Replica> {
        if let Some(path) = &settings.addresses_file {
            AddressesFile::remove_old(path)?;
        }
        // Before the listeners are there: what counts their connections must see them made.
        let counts = role.has_proxy().then(|| metering::accounting(&settings.accounting));
        let accounting = counts.transpose()?;
        let bound = Bound::bind(role, &settings);
        let store = open_store(&settings).await;
        let (bound, store) = match (bound, store) {
            (Ok(bound), Ok(store)) => (bound, store),
            (Err(one), Err(other)) => return Err(one.and(other)),
            (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => return Err(failure),
        };
        let Bound { traffic, control: control_listener, management, addresses } = bound;
        let networks = UpstreamNetworks {
            allowed: settings.upstream_networks.clone(),
            own_listeners: addresses.all(),
            own_addresses: listen::own_addresses()?,
        };
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(RouteTable::default()));
        let mut token = None;
        if role.has_control() {
            token = token::obtain(&settings.control.token, &settings.store.settings)?;
        }
        let mut control = role.has_control().then(|| Control::new(&settings, token.as_ref()));
        let followers = followers(role, &settings, &table, control.as_mut());
        let feed = start_feed(role, &settings, store.clone(), followers).await?;
        if role.has_control() && token.is_none() {
            token::first(&*store).await;
        }

        let metrics = prometheus::Registry::new();
        metrics.register(Box::new(log.dropped()?)).map_err(Failure::ours)?;
        let process = ProcessMetrics::new().map_err(Failure::ours)?;
        metrics.register(Box::new(process)).map_err(Failure::ours)?;
        let shared = Shared { role, table: &table, store: &store, metrics: &metrics };
        let plane = data_plane::start(shared, &mut settings, traffic.zip(accounting), &networks)?;

        let table = role.has_proxy().then_some(table);
        let status = Arc::new(Status::new(feed, table, settings.proxy.drain_timeout));
        let mut servers = Servers::new(&metrics);
        let control_tls = settings.control.tls.clone().map(ControlAcceptor::new).transpose()?;
        let mut chores = None;
        if let (Some(control), Some(listener)) = (control, control_listener) {
            let (router, handle) =
                control.serve(&settings, store, networks, metrics.clone(), plane.ledger);
            servers.serve("control", listener, router, control_tls.clone());
            chores = Some(handle);
        }
        if let Some(listener) = management {
            let explainer = plane.proxy.as_ref().map(Proxy::explainer);
            servers.serve("management", listener, status.management(&metrics, explainer), None);
        }
        let file = settings.addresses_file.map(|path| addresses.write(path)).transpose()?;
        Ok(Replica {
            addresses,
            token,
            proxy: plane.proxy,
            status,
            servers,
            control_tls,
            heart: plane.heart,
            metering: plane.metering,
            _keeps: plane.keeps,
            _chores: chores,
            _addresses_file: file,
        })
    }

    /// How many routes the workers have. A session is among them soon after it was created.
    pub fn routes(&self) -> usize {
        self.status.table.as_ref().map_or(0, |table| table.load().len())
    }

    /// `POST /drain` was called.
    pub async fn drain_requested(&self) {
        self.status.drain_requested.notified().await;
    }

    /// No new connections; the open ones finish, WebSockets until the drain timeout.
    pub fn drain(&self) {
        self.status.begin_drain();
        if let Some(proxy) = &self.proxy {
            proxy.drain();
        }
    }

    pub fn is_draining(&self) -> bool {
        self.status.is_draining()
    }

    pub fn close_now(&self) {
        self.status.begin_drain();
        if let Some(proxy) = &self.proxy {
            proxy.close_now();
        }
    }

    /// After a change of their files, which a later handshake then sees.
    pub fn reload_changed_certificates(&self) -> Outcome<bool> {
        let api = self.control_tls.as_ref().map_or(Ok(false), ControlAcceptor::reload)?;
        let proxy = self.proxy.as_ref().map_or(Ok(false), Proxy::reload_changed_certificates);
        Ok(proxy.map_err(Failure::settings)? || api)
    }

    /// All workers are done. Without a data plane there is nothing to wait for but the wish to end.
    pub async fn finished(&self) {
        match &self.proxy {
            Some(proxy) => proxy.finished().await,
            None => {
                while !self.is_draining() {
                    tokio::time::sleep(limits::SWEEP_INTERVAL).await;
                }
            }
        }
    }

    pub fn reload_certificates(&self) -> Outcome {
        self.control_tls.as_ref().map_or(Ok(false), ControlAcceptor::reload)?;
        self.proxy.as_ref().map_or(Ok(()), Proxy::reload_certificates).map_err(Failure::settings)
    }

    /// Waits for the workers' threads, and stops the rest. After `finished`.
    pub async fn join(self) {
        if let Some(metering) = self.metering {
            metering.finish(limits::METER_FINISH_TIMEOUT).await;
        }
        self.heart.leave().await;
        self.servers.stop().await;
        if let Some(proxy) = self.proxy {
            proxy.join();
        }
    }
}

/// A store on another machine may be away, also now.
fn is_remote(settings: &Settings) -> bool {
    match settings.store.settings {
        StoreSettings::Embedded(_) => false,
        StoreSettings::Redis(_) => true,
    }
}

pub async fn open_store(settings: &Settings) -> Outcome<Arc<dyn Store>> {
    let mut store = settings.store.settings.clone();
    if let StoreSettings::Redis(options) = &mut store {
        options.patient = true;
    }
    let (store, report) = store::open_with(&store).await?;
    for warning in report.warnings {
        tracing::warn!("{warning}");
    }
    Ok(store)
}

/// Who is told what the store holds.
fn followers(
    role: Role,
    settings: &Settings,
    table: &SharedTable,
    control: Option<&mut Control>,
) -> Vec<Box<dyn Follower>> {
    let mut followers: Vec<Box<dyn Follower>> = Vec::new();
    if role.has_proxy() {
        let allowed = settings.allowed_workspaces.clone();
        followers.push(Box::new(Routes::new(table.clone(), allowed)));
    }
    if let Some(control) = control {
        followers.extend(control.followers(is_remote(settings)));
    }
    followers
}

async fn start_feed(
    role: Role,
    settings: &Settings,
    store: Arc<dyn Store>,
    followers: Vec<Box<dyn Follower>>,
) -> Outcome<FeedHandle> {
    let remote = is_remote(settings);
    let for_feed = FeedSettings {
        // Of each role its own: a proxy and a control may share a machine.
        cache: settings.store.cache.clone().filter(|_| remote).map(|path| {
            let mut path = path.into_os_string();
            path.push(format!(".{}", role.as_str()));
            path.into()
        }),
        patient: remote,
        stale_max: settings.store.stale_max,
    };
    Ok(feed::start(store, followers, for_feed).await?)
}
