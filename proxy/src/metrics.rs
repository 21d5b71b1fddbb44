//! What the data plane counts, and how Prometheus reads it. A worker writes its own numbers with
//! plain loads and stores (it is their only writer), so counting costs no locked instruction and
//! shares no cache line; a scrape adds the workers up. Every metric is documented where it is
//! declared: per worker in `worker.rs`, of the whole process in `process.rs`, of accounting in
//! `accounting.rs`, label values in `labels.rs`. Labels come from closed enums, but for the bounded
//! ones of accounting: never a host or an address.

pub(crate) mod labels;
pub(crate) mod process;
pub(crate) mod worker;

mod accounting;
mod cell;
mod family;

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::accounting::Accounting;
pub(crate) use process::ProcessSources;
pub(crate) use worker::WorkerCounters;

/// All metrics of the data plane.
pub(crate) fn register(
    registry: &Registry,
    workers: Vec<Arc<WorkerCounters>>,
    process: ProcessSources,
    accounting: Arc<Accounting>,
) {
    let workers = Gather::new(worker::DESCRIPTIONS, move || worker::gather(&workers));
    let process = Gather::new(process::DESCRIPTIONS, move || process::gather(&process));
    let accounting = Gather::new(accounting::DESCRIPTIONS, move || accounting::gather(&accounting));
    for collector in [workers, process, accounting] {
        registry
            .register(Box::new(collector))
            .expect("a test registers these descriptions, and finds no two alike");
    }
}

/// What is said of a metric where it is declared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Description {
    pub name: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static str],
}

/// A collector is a closure and the descriptions of what it returns.
struct Gather {
    descriptions: Vec<Desc>,
    gather: Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>,
}

impl Gather {
    fn new(
        descriptions: &[Description],
        gather: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static,
    ) -> Self {
        let descriptions = descriptions
            .iter()
            .map(|description| {
                let labels = description.labels.iter().map(|&label| label.to_owned()).collect();
                Desc::new(
                    description.name.to_owned(),
                    description.help.to_owned(),
                    labels,
                    HashMap::new(),
                )
                .expect("a test registers these descriptions, whose names and labels are valid")
            })
            .collect();
        Self { descriptions, gather: Box::new(gather) }
    }
}

impl Collector for Gather {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.gather)()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;
    use crate::accounting::AccountingChoice;

    fn described() -> impl Iterator<Item = &'static Description> {
        worker::DESCRIPTIONS.iter().chain(process::DESCRIPTIONS).chain(accounting::DESCRIPTIONS)
    }

    fn exposed(workers: Vec<Arc<WorkerCounters>>) -> String {
        let registry = Registry::new();
        let asked = Accounting::start(AccountingChoice::TcpInfo, true);
        let accounting = asked.expect("sockets can always be asked");
        register(&registry, workers, ProcessSources::for_tests(), accounting);
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    /// The list that operators build dashboards and alerts on. Who changes a line here changes
    /// their rules: say so in the changelog.
    #[test]
    fn the_metrics_are_these() {
        let mut names: Vec<&str> = described().map(|description| description.name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "portico_access_log_dropped_total",
                "portico_accounting_faults_total",
                "portico_accounting_overflowed_total",
                "portico_accounting_slots",
                "portico_accounting_source",
                "portico_accounting_unrouted_total",
                "portico_accounting_unslotted_total",
                "portico_build_info",
                "portico_bytes_total",
                "portico_connections_accepted_total",
                "portico_connections_ended_total",
                "portico_connections_max",
                "portico_connections_open",
                "portico_grants_refused_total",
                "portico_grants_renewed_total",
                "portico_io_backend",
                "portico_limit_reached_total",
                "portico_relays_open",
                "portico_request_duration_seconds",
                "portico_requests_refused_total",
                "portico_requests_total",
                "portico_response_fields_dropped_total",
                "portico_retransmit_ratio",
                "portico_routes",
                "portico_rtt_seconds",
                "portico_session_bytes_total",
                "portico_set_cookie_dropped_total",
                "portico_tls_certificate_expiry_timestamp_seconds",
                "portico_tls_certificate_reloads_total",
                "portico_tls_handshakes_total",
                "portico_upgrades_total",
                "portico_upstream_connect_errors_total",
                "portico_upstream_connections_open",
                "portico_upstream_connections_opened_total",
                "portico_upstream_connections_reused_total",
                "portico_upstream_retries_total",
                "portico_workers",
                "portico_workers_running",
                "portico_workspace_bytes_total",
                "portico_workspace_connections_total",
                "portico_workspace_requests_total",
                "portico_workspace_retransmits_total",
            ]
        );
    }

    #[test]
    fn descriptions_keep_the_rules() {
        for description in described() {
            assert!(description.name.starts_with("portico_"), "{description:?}");
            assert!(description.help.ends_with('.'), "{description:?}");
            assert!(!description.help.starts_with(' '), "{description:?}");
        }
    }

    #[test]
    fn everything_described_is_exposed_and_nothing_else() {
        let text = exposed(vec![Arc::default()]);
        let types: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")).collect();
        let described: Vec<&str> = described().map(|description| description.name).collect();
        for name in &described {
            assert!(types.iter().any(|line| line.split(' ').next() == Some(name)), "{name}");
        }
        assert_eq!(types.len(), described.len(), "{types:?}");
        for line in types {
            let (name, kind) = line.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        }
    }

    #[test]
    fn a_scrape_adds_the_workers_up() {
        let workers: Vec<Arc<WorkerCounters>> = vec![Arc::default(), Arc::default()];
        for (worker, n) in workers.iter().zip([3, 4]) {
            worker.connections_accepted.at(labels::ListenerKind::Https).add(n);
            worker.upgrades.add(n);
            worker.relays_open.add(n);
        }
        workers[1].relays_open.sub(2);
        let text = exposed(workers);
        for line in [
            r#"portico_connections_accepted_total{listener="http"} 0"#,
            r#"portico_connections_accepted_total{listener="https"} 7"#,
            "portico_upgrades_total 7",
            "portico_relays_open 5",
            "portico_workers 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_gauge_may_fall_below_zero_on_one_worker_without_harm_to_the_sum() {
        let workers: Vec<Arc<WorkerCounters>> = vec![Arc::default(), Arc::default()];
        workers[0].relays_open.add(2);
        workers[1].relays_open.sub(1);
        assert!(exposed(workers).contains("\nportico_relays_open 1\n"));
    }

    #[test]
    fn durations_fall_into_buckets_that_include_their_bound() {
        use std::time::Duration;
        let worker: Arc<WorkerCounters> = Arc::default();
        for micros in [0, 999, 1_000, 1_001, 2_000, 2_001, 16_384_000, 16_384_001, 99_000_000] {
            worker.request_duration.observe(Duration::from_micros(micros));
        }
        let text = exposed(vec![worker]);
        for line in [
            r#"portico_request_duration_seconds_bucket{le="0.001"} 3"#,
            r#"portico_request_duration_seconds_bucket{le="0.002"} 5"#,
            r#"portico_request_duration_seconds_bucket{le="0.004"} 6"#,
            r#"portico_request_duration_seconds_bucket{le="8.192"} 6"#,
            r#"portico_request_duration_seconds_bucket{le="16.384"} 7"#,
            r#"portico_request_duration_seconds_bucket{le="+Inf"} 9"#,
            "portico_request_duration_seconds_count 9",
            "portico_request_duration_seconds_sum 131.775002",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
