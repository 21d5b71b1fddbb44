//! The metrics of the whole process: not counted by a worker, but looked up when Prometheus asks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use portico_core::route::RouteTable;
use prometheus::proto::MetricFamily;

use super::Description;
use super::family::{Kind, family};
use super::labels::{LabelValue, ReloadResult};
use crate::tls::Certificates;

/// Where the values are found.
#[derive(Debug)]
pub(crate) struct ProcessSources {
    pub workers: usize,
    /// `uring` or `epoll`, and in a few words why this one.
    pub io_backend: &'static str,
    pub io_reason: String,
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
const IO_BACKEND: Description = Description {
    name: "portico_io_backend",
    help: "Always 1; the labels say which io back end drives the workers, and why this one.",
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

pub(crate) const DESCRIPTIONS: &[Description] =
    &[BUILD_INFO, WORKERS, IO_BACKEND, ROUTES, CERTIFICATE_EXPIRY, CERTIFICATE_RELOADS];

pub(super) fn gather(sources: &ProcessSources) -> Vec<MetricFamily> {
    let one = |description, labels: &[&str], value| {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        family(description, Kind::Gauge, [(labels, value)])
    };
    let mut families = vec![
        one(&BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0),
        one(&WORKERS, &[], sources.workers as f64),
        one(&IO_BACKEND, &[sources.io_backend, &sources.io_reason], 1.0),
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

#[cfg(test)]
impl ProcessSources {
    pub fn for_tests() -> Self {
        Self {
            workers: 2,
            io_backend: "epoll",
            io_reason: "asked for".to_owned(),
            table: Arc::default(),
            certificates: Some(Arc::new(Certificates::for_tests(&["a.example.com"]))),
        }
    }
}
