//! The data plane of a replica with all that is done around it: who signs users in, what counts and
//! what holds to quotas, and the heart, which a replica without workers has too. Wiring only.

use std::sync::Arc;

use portico_control::api;
use portico_control::keys;
use portico_control::metering::Metering;
use portico_control::replica::present::{self, Present};
use portico_control::replica::{Heart, Replica as Registration, Role};
use portico_control::store::{self, Store};
use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::quota::Ledger;
use portico_core::session::{Name, Timestamp};
use portico_proxy::{Accounting, Connected, EdgeApp, Listeners, Proxy, SharedTable};

use crate::failure::{Failure, Outcome};
use crate::settings::Settings;

use super::edge::EdgeDoor;
use super::{Keep, access, metering, quotas};

/// What all parts of a replica share.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    pub role: Role,
    pub table: &'a SharedTable,
    pub store: &'a Arc<dyn Store>,
    pub metrics: &'a prometheus::Registry,
}

/// The workers, where they are of this role, and what is done around them.
pub struct DataPlane {
    pub proxy: Option<Proxy>,
    pub heart: Heart,
    pub metering: Option<Metering>,
    pub ledger: Arc<Ledger>,
    pub keeps: Vec<Keep>,
}

pub fn start(
    shared: Shared<'_>,
    settings: &mut Settings,
    traffic: Option<(Listeners, Arc<Accounting>)>,
    networks: &UpstreamNetworks,
) -> Outcome<DataPlane> {
    let Shared { role, table, store, metrics } = shared;
    let (door, mut keeps) = start_access(role, settings, table, store, metrics)?;
    let policy = settings.accounting.policy.take();
    let ledger = quotas::ledger(policy.as_ref());
    let held_to = policy.is_some().then(|| ledger.clone());
    let for_proxy = proxy_settings(settings, networks.clone(), held_to);
    let start = |(traffic, accounting)| {
        Proxy::start(for_proxy, traffic, table.clone(), door, accounting, metrics)
    };
    let proxy = traffic.map(start).transpose()?;
    keeps.extend(quotas::start(policy, &ledger, shared)?);
    let name = name_of(role)?;
    let heart = start_heart(role, name.clone(), store.clone(), proxy.as_ref(), ledger.clone())?;
    let meter = proxy.as_ref().and_then(Proxy::take_meter);
    let metering = meter
        .map(|meter| metering::start(&settings.accounting, meter, store.clone(), name, metrics));
    Ok(DataPlane { proxy, heart, metering, ledger, keeps })
}

/// Where workers hand over who signs in; none where the gate is open, or no worker is here.
type Door = Option<Arc<dyn EdgeApp>>;

/// What signs users in, and what is looked after for it, where the gate is here.
fn start_access(
    role: Role,
    settings: &Settings,
    table: &SharedTable,
    store: &Arc<dyn Store>,
    metrics: &prometheus::Registry,
) -> Outcome<(Door, Vec<Keep>)> {
    let access = &settings.access;
    if !access.gate.is_closed() {
        return Ok((None, Vec::new()));
    }
    let lifetimes = keys::Lifetimes { key: access.key_lifetime, login: access.login_lifetime };
    let mut keeps = vec![Keep(tokio::spawn(keys::keep(store.clone(), lifetimes)))];
    if !role.has_proxy() {
        return Ok((None, keeps));
    }
    let edge = access::edge(settings, table.clone(), store.clone(), metrics.clone())?;
    keeps.push(Keep(tokio::spawn(edge.clone().keep_registered())));
    Ok((Some(Arc::new(EdgeDoor::new(edge))), keeps))
}

/// Distinct also where two run on one host, or one is started again at once.
fn name_of(role: Role) -> Outcome<Name> {
    let random = getrandom::u32().map_err(Failure::machine)?;
    format!("{}-{random:08x}", role.as_str()).parse().map_err(Failure::ours)
}

fn start_heart(
    role: Role,
    name: Name,
    store: Arc<dyn Store>,
    proxy: Option<&Proxy>,
    ledger: Arc<Ledger>,
) -> Outcome<Heart> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "unknown".to_owned());
    let Timestamp(started_at_ms) = store::Author::portico().at;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let registration = Registration { role, version, host, started_at_ms };
    let presence = proxy.map(Proxy::presence);
    let note = move || {
        let all = presence.as_ref().map(|presence| presence.list()).unwrap_or_default();
        let all = all.into_iter().map(|(session, user, connected)| {
            let Connected { connections, since } = connected;
            Present { session, user, connections, since }
        });
        let now = store::Author::portico().at;
        present::encode(all, api::near_quotas(&ledger, now, limits::QUOTAS_TOLD_MAX))
    };
    Ok(Heart::start(store, name, registration, role.has_control(), Box::new(note)))
}

fn proxy_settings(
    settings: &Settings,
    networks: UpstreamNetworks,
    quotas: Option<Arc<Ledger>>,
) -> portico_proxy::Settings {
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
        gate: settings.access.gate.clone(),
        quotas,
    }
}
