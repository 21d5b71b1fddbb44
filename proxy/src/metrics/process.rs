//! The metrics of the whole process: not counted by a worker, but looked up when Prometheus asks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portico_core::route::RouteTable;
use prometheus::proto::MetricFamily;
use tokio::sync::watch;

use super::Description;
use super::family::{Kind, family};
use super::labels::{LabelValue, ReloadResult};
use crate::start::backend::Backend;
use crate::tls::Certificates;

/// Where the values are found.
#[derive(Debug)]
pub(crate) struct ProcessSources {
    pub workers: usize,
    /// How many of them have not ended.
    pub alive: watch::Receiver<usize>,
    pub connections_max: usize,
    /// Those in use: one, but where a worker could not have what the others have.
    pub backends: Vec<Backend>,
    pub table: Arc<ArcSwap<RouteTable>>,
    /// `None` without a TLS listener.
    pub certificates: Option<Arc<Certificates>>,
}

const BUILD_INFO: Description = Description {
    name: "portico_build_info",
    help: "Always 1; the version is in the label.",
    labels: &["version"],
};
const WORKERS: Description =
    Description { name: "portico_workers", help: "Data-plane threads.", labels: &[] };
const WORKERS_RUNNING: Description = Description {
    name: "portico_workers_running",
    help: "Data-plane threads that have not ended: fewer than portico_workers when one panicked.",
    labels: &[],
};
const CONNECTIONS_MAX: Description = Description {
    name: "portico_connections_max",
    help: "Client connections that all workers together may have open, by the limit of open files.",
    labels: &[],
};
const IO_BACKEND: Description = Description {
    name: "portico_io_backend",
    help: "1 for the io back end that drives the workers, or for each of several; with the reason.",
    labels: &["backend", "reason"],
};
const ROUTES: Description = Description {
    name: "portico_routes",
    help: "Sessions in the route table, in every state.",
    labels: &[],
};
const CERTIFICATE_EXPIRY: Description = Description {
    name: "portico_tls_certificate_expiry_timestamp_seconds",
    help: "When a certificate expires, by its first name, as seconds since 1970.",
    labels: &["name"],
};
const CERTIFICATE_RELOADS: Description = Description {
    name: "portico_tls_certificate_reloads_total",
    help: "Times that the certificate files were read again, by result.",
    labels: &["result"],
};

pub(crate) const DESCRIPTIONS: &[Description] = &[
    BUILD_INFO,
    WORKERS,
    WORKERS_RUNNING,
    CONNECTIONS_MAX,
    IO_BACKEND,
    ROUTES,
    CERTIFICATE_EXPIRY,
    CERTIFICATE_RELOADS,
];

pub(super) fn gather(sources: &ProcessSources) -> Vec<MetricFamily> {
    let one = |description, labels: &[&str], value| {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        family(description, Kind::Gauge, [(labels, value)])
    };
    let mut families = vec![
        one(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0),
        one(&WORKERS, &[], sources.workers as f64),
        one(&WORKERS_RUNNING, &[], *sources.alive.borrow() as f64),
        one(&CONNECTIONS_MAX, &[], sources.connections_max as f64),
        family(&IO_BACKEND, Kind::Gauge, sources.backends.iter().map(in_use)),
        one(&ROUTES, &[], sources.table.load().len() as f64),
    ];
    if let Some(certificates) = &sources.certificates {
        let expiries = certificates.expiries();
        let expiries = expiries.into_iter().map(|(name, seconds)| (vec![name], seconds as f64));
        families.push(family(&CERTIFICATE_EXPIRY, Kind::Gauge, expiries));
        let reloads = ReloadResult::ALL
            .iter()
            .map(|&result| (vec![result.as_str().to_owned()], certificates.reloads(result) as f64));
        families.push(family(&CERTIFICATE_RELOADS, Kind::Counter, reloads));
    }
    families
}

fn in_use(backend: &Backend) -> (Vec<String>, f64) {
    (vec![backend.kind.as_str().to_owned(), backend.reason.to_owned()], 1.0)
}

#[cfg(test)]
impl ProcessSources {
    pub fn for_tests() -> Self {
        Self {
            workers: 2,
            alive: watch::channel(2).1,
            connections_max: 1_000,
            backends: vec![Backend {
                kind: crate::start::backend::Kind::Epoll,
                reason: "requested",
            }],
            table: Arc::default(),
            certificates: Some(Arc::new(Certificates::for_tests(&["a.example.com"]))),
        }
    }
}
