//! One running Portico: every role in one process, started in the order in which they need each
//! other. It wires and contains no logic; what a role does is in its crate.

mod addresses;

mod listen;

mod token;

mod http;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use portico_control::api::{self, ApiSettings};
use portico_control::events::Events;
use portico_control::feed::{self, FeedHandle, FeedSettings, Follower, Routes};
use portico_control::rules::SharedRules;
use portico_control::store;
use portico_control::token::{Keyring, Token};
use portico_core::network::UpstreamNetworks;
use portico_core::route::RouteTable;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
use portico_proxy::management::{self, Readiness};
use portico_proxy::{Proxy, SharedTable};
use tokio::sync::Notify;

use crate::failure::{Failure, Outcome};
use crate::logging::Log;
use crate::settings::Settings;
pub use addresses::Addresses;
use addresses::AddressesFile;
use http::Servers;
use listen::Bound;

pub struct Replica {
    pub addresses: Addresses,
    pub token: Token,
    proxy: Proxy,
    state: Arc<State>,
    /// The API and management, which answer until all else has ended.
    servers: Servers,
    _addresses_file: Option<AddressesFile>,
}

/// What the management listener asks and is asked.
struct State {
    feed: FeedHandle,
    table: SharedTable,
    draining: AtomicBool,
    drain_requested: Notify,
}

impl Replica {
    /// Returns when everything listens and the stored sessions are routable. To be called on the
    /// control-plane runtime.
    pub async fn start(settings: Settings, log: &Log) -> Outcome<Replica> {
        if let Some(path) = &settings.addresses_file {
            AddressesFile::remove_old(path)?;
        }

        let bound = Bound::bind(&settings);
        let store = store::open(&settings.store.to_string()).await.map_err(Failure::from);
        let (bound, store) = match (bound, store) {
            (Ok(bound), Ok(store)) => (bound, store),
            (Err(one), Err(other)) => return Err(one.and(other)),
            (Err(failure), Ok(_)) | (Ok(_), Err(failure)) => return Err(failure),
        };
        let Bound { traffic, control, management, addresses } = bound;
        let upstream_networks = UpstreamNetworks {
            allowed: settings.upstream_networks.clone(),
            own_listeners: addresses.all(),
            own_addresses: listen::own_addresses()?,
        };

        let token = token::obtain(&settings.control.token, &settings.store)?;
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(RouteTable::default()));
        let catalogue = Catalogue::builtin();
        let keyring = Keyring::new(Some(&token));
        let rules = SharedRules::new(AllowList::All, catalogue.clone());
        let (events, events_follower) = Events::new();
        let followers: Vec<Box<dyn Follower>> = vec![
            Box::new(Routes::new(table.clone(), AllowList::All)),
            Box::new(keyring.follower()),
            Box::new(rules.follower()),
            Box::new(events_follower),
        ];
        let feed = feed::start(store.clone(), followers, FeedSettings::default()).await?;

        let for_proxy = proxy_settings(&settings, upstream_networks.clone());
        let proxy = Proxy::start(for_proxy, traffic, table.clone())?;
        proxy.registry().register(Box::new(log.dropped()?)).map_err(Failure::ours)?;
        let for_api = ApiSettings {
            domains: settings.domains,
            default_routing: settings.routing,
            upstream_networks,
            allowed_workspaces: AllowList::All,
            catalogue,
            keyring,
            rules,
            events,
            metrics: proxy.registry(),
        };

        let state = Arc::new(State {
            feed,
            table,
            draining: AtomicBool::new(false),
            drain_requested: Notify::new(),
        });
        let mut servers = Servers::new(&proxy.registry());
        servers.serve("control", control, api::router(for_api, store));
        if let Some(listener) = management {
            servers.serve("management", listener, state.management(proxy.registry()));
        }
        let file = settings.addresses_file.map(|path| addresses.write(path)).transpose()?;
        Ok(Replica { addresses, token, proxy, state, servers, _addresses_file: file })
    }

    /// How many routes the workers have. A session is among them soon after it was created.
    pub fn routes(&self) -> usize {
        self.state.table.load().len()
    }

    /// `POST /drain` was called.
    pub async fn drain_requested(&self) {
        self.state.drain_requested.notified().await;
    }

    /// No new connections; the open ones finish, WebSockets until the drain timeout.
    pub fn drain(&self) {
        self.state.draining.store(true, Ordering::Release);
        self.proxy.drain();
    }

    pub fn is_draining(&self) -> bool {
        self.state.draining.load(Ordering::Acquire)
    }

    pub fn close_now(&self) {
        self.state.draining.store(true, Ordering::Release);
        self.proxy.close_now();
    }

    /// After a change of their files, which a later handshake then sees.
    pub fn reload_changed_certificates(&self) -> Outcome<bool> {
        self.proxy.reload_changed_certificates().map_err(Failure::settings)
    }

    /// All workers are done.
    pub async fn finished(&self) {
        self.proxy.finished().await;
    }

    pub fn reload_certificates(&self) -> Outcome {
        self.proxy.reload_certificates().map_err(Failure::settings)
    }

    /// Waits for the workers' threads, and stops the rest. After `finished`.
    pub async fn join(self) {
        self.servers.stop().await;
        self.proxy.join();
    }
}

fn proxy_settings(settings: &Settings, networks: UpstreamNetworks) -> portico_proxy::Settings {
    let proxy = &settings.proxy;
    portico_proxy::Settings {
        listeners: proxy.listeners.clone(),
        io: proxy.io,
        workers: proxy.workers,
        trusted_networks: proxy.trusted_networks.clone(),
        drain_timeout: proxy.drain_timeout,
        domains: settings.domains.clone(),
        upstream_networks: networks,
        certificates: settings.certificates.clone(),
        access_log: proxy.access_log,
    }
}

impl State {
    fn management(self: &Arc<Self>, registry: prometheus::Registry) -> Router {
        let (ready, drain) = (self.clone(), self.clone());
        management::router(
            registry,
            Arc::new(move || ready.readiness()),
            Arc::new(move || drain.drain_requested.notify_one()),
        )
    }

    /// A feed that cannot read the store is told, but is no reason to take traffic away: the routes
    /// in the table still work.
    fn readiness(&self) -> Readiness {
        let status = self.feed.status();
        let draining = self.draining.load(Ordering::Acquire);
        let feed = serde_json::json!({
            "position": status.position.0,
            "snapshots": status.snapshots,
            "unreadable": status.unreadable,
            "failure": status.failure,
        });
        let detail = [
            ("draining", draining.into()),
            ("routes", self.table.load().len().into()),
            ("feed", feed),
        ];
        Readiness {
            ready: !draining,
            detail: detail.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
        }
    }
}
