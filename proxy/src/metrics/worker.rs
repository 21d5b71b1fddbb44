//! The metrics that each worker counts for itself. A line below is the declaration, the
//! documentation and the registration of one metric; a new one needs nothing else.

use std::sync::Arc;

use prometheus::proto::MetricFamily;

use super::Description;
use super::cell::{Counter, DURATION_BUCKETS, Durations, PerLabel, bound_seconds};
use super::family::{Kind, family, histogram};
use super::labels::{
    ConnectError, CookieFault, Direction, EndCause, FieldFault, GrantFault, HandshakeResult,
    LabelValue, Limit, ListenerKind, Reason, StatusClass,
};

macro_rules! worker_metrics {
    ($($kind:ident $field:ident: $type:ty = $name:literal, $help:literal;)+) => {
        /// One worker's numbers. Aligned to two cache lines (the prefetcher's unit), so that two
        /// workers never write to the same one.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct WorkerCounters {
            $(#[doc = $help] pub $field: $type,)+
        }

        pub(crate) const DESCRIPTIONS: &[Description] = &[
            $(Description { name: $name, help: $help, labels: <$type as Cell>::LABELS },)+
        ];

        /// The sums over all workers.
        pub(super) fn gather(workers: &[Arc<WorkerCounters>]) -> Vec<MetricFamily> {
            let mut descriptions = DESCRIPTIONS.iter();
            vec![$({
                let description = descriptions.next().expect("one for each field");
                let cells: Vec<&$type> = workers.iter().map(|worker| &worker.$field).collect();
                <$type as Cell>::sum(&cells, description, worker_metrics!(@kind $kind))
            },)+]
        }
    };
    (@kind counter) => { Kind::Counter };
    (@kind gauge) => { Kind::Gauge };
    (@kind histogram) => { Kind::Counter };
}

worker_metrics! {
    counter connections_accepted: PerLabel<ListenerKind> = "portico_connections_accepted_total",
        "Client connections accepted, by kind of listener.";
    gauge connections_open: Counter = "portico_connections_open",
        "Client connections that are open now, relays included.";
    counter tls_handshakes: PerLabel<HandshakeResult> = "portico_tls_handshakes_total",
        "TLS handshakes that ended, by how.";
    counter requests: PerLabel<StatusClass> = "portico_requests_total",
        "Requests answered, by class of the final status, whether a session's or Portico's own.";
    histogram request_duration: Durations = "portico_request_duration_seconds",
        "Time from a request's head being complete to the end of its answer, relays aside.";
    counter requests_refused: PerLabel<Reason> = "portico_requests_refused_total",
        "Requests that Portico answered itself with an error, by reason.";
    counter upgrades: Counter = "portico_upgrades_total",
        "Requests that became a relay after the upstream's 101.";
    gauge relays_open: Counter = "portico_relays_open",
        "Upgraded connections that are open now.";
    counter bytes: PerLabel<Direction> = "portico_bytes_total",
        "Bytes received from (in) and sent to (out) clients and upstreams, without TLS.";
    counter upstream_connect_errors: PerLabel<ConnectError> =
        "portico_upstream_connect_errors_total",
        "Connections to upstreams that failed to open, by reason.";
    counter upstream_connections_opened: Counter = "portico_upstream_connections_opened_total",
        "Connections to upstreams opened.";
    gauge upstream_connections_open: Counter = "portico_upstream_connections_open",
        "Connections to upstreams that are open now, idle ones included.";
    counter upstream_connections_reused: Counter = "portico_upstream_connections_reused_total",
        "Requests sent over an upstream connection that an earlier request had opened.";
    counter upstream_retries: Counter = "portico_upstream_retries_total",
        "Requests sent again because a reused upstream connection turned out to be closed.";
    counter limit_reached: PerLabel<Limit> = "portico_limit_reached_total",
        "Times that a limit was reached, by limit.";
    counter set_cookie_dropped: PerLabel<CookieFault> = "portico_set_cookie_dropped_total",
        "Set-Cookie fields of sessions that were not passed on, by reason.";
    counter fields_dropped: PerLabel<FieldFault> = "portico_response_fields_dropped_total",
        "Fields of sessions' answers that were not passed on, because they speak for others too.";
    counter grants_refused: PerLabel<GrantFault> = "portico_grants_refused_total",
        "Requests whose grant opened nothing, by reason.";
    counter grants_renewed: Counter = "portico_grants_renewed_total",
        "Grants that were renewed while they were used.";
    counter connections_ended: PerLabel<EndCause> = "portico_connections_ended_total",
        "Live connections that were ended because what they were opened with was taken back.";
    counter access_log_dropped: Counter = "portico_access_log_dropped_total",
        "Lines of the access log that were dropped because its queue was full.";
}

/// What a field of `WorkerCounters` may be.
trait Cell {
    const LABELS: &'static [&'static str];
    fn sum(cells: &[&Self], description: &Description, kind: Kind) -> MetricFamily;
}

impl Cell for Counter {
    const LABELS: &'static [&'static str] = &[];

    fn sum(cells: &[&Self], description: &Description, kind: Kind) -> MetricFamily {
        family(description, kind, [(Vec::new(), total(cells.iter().map(|cell| cell.value())))])
    }
}

impl<L: LabelValue> Cell for PerLabel<L> {
    const LABELS: &'static [&'static str] = &[L::NAME];

    fn sum(cells: &[&Self], description: &Description, kind: Kind) -> MetricFamily {
        let values = L::ALL.iter().map(|&label| {
            let sum = total(cells.iter().map(|cell| cell.at(label).value()));
            (vec![label.as_str().to_owned()], sum)
        });
        family(description, kind, values)
    }
}

impl Cell for Durations {
    const LABELS: &'static [&'static str] = &[];

    fn sum(cells: &[&Self], description: &Description, _: Kind) -> MetricFamily {
        let counts: [u64; DURATION_BUCKETS + 1] =
            std::array::from_fn(|bucket| cells.iter().map(|cell| cell.bucket(bucket)).sum());
        let micros = total(cells.iter().map(|cell| cell.sum_micros()));
        histogram(description, (0..DURATION_BUCKETS).map(bound_seconds), &counts, micros / 1e6)
    }
}

/// Signed, because the sum of a gauge that is read while it moves may be below zero for a moment.
fn total(values: impl Iterator<Item = u64>) -> f64 {
    values.fold(0_u64, u64::wrapping_add).cast_signed() as f64
}
