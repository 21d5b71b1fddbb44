//! The metrics of accounting: what the meter has read, as sums since the process started.

use portico_core::usage::{Counted, Rtt};
use prometheus::proto::MetricFamily;

use super::Description;
use super::family::{Kind, family, histogram};
use crate::accounting::{Accounting, Labelled, Shares, Totals};

const SOURCE: Description = Description {
    name: "portico_accounting_source",
    help: "1 for what counts connections (the kernel by eBPF, TCP_INFO, nothing), and why that.",
    labels: &["source", "reason"],
};
const SLOTS: Description = Description {
    name: "portico_accounting_slots",
    help: "Sessions that are counted now.",
    labels: &[],
};
const UNSLOTTED: Description = Description {
    name: "portico_accounting_unslotted_total",
    help: "Connections counted for no session, because too many were counted already.",
    labels: &[],
};
const OVERFLOWED: Description = Description {
    name: "portico_accounting_overflowed_total",
    help: "Sessions counted by TCP_INFO, because the kernel had no room for one more.",
    labels: &[],
};
const FAULTS: Description = Description {
    name: "portico_accounting_faults_total",
    help: "What the kernel's program could not count, by why; all are zero where it is not in use.",
    labels: &["fault"],
};
const UNROUTED: Description = Description {
    name: "portico_accounting_unrouted_total",
    help: "Connections that closed without a session, as the kernel's program saw them, by side.",
    labels: &["side"],
};
const BYTES: Description = Description {
    name: "portico_workspace_bytes_total",
    help: "TCP payload from (in) and to (out) clients, by workspace: those with most traffic.",
    labels: &["workspace", "direction"],
};
const CONNECTIONS: Description = Description {
    name: "portico_workspace_connections_total",
    help: "Client connections that served a session of the workspace.",
    labels: &["workspace"],
};
const REQUESTS: Description = Description {
    name: "portico_workspace_requests_total",
    help: "Requests forwarded to sessions of the workspace.",
    labels: &["workspace"],
};
const RETRANSMITS: Description = Description {
    name: "portico_workspace_retransmits_total",
    help: "Segments that were sent again to clients, by workspace.",
    labels: &["workspace"],
};
const SESSION_BYTES: Description = Description {
    name: "portico_session_bytes_total",
    help: "TCP payload from and to clients, by session, where accounting.session_metrics is set.",
    labels: &["session", "direction"],
};
const RTT: Description = Description {
    name: "portico_rtt_seconds",
    help: "Smoothed round-trip times to clients, as the kernel has them.",
    labels: &[],
};
const RETRANSMIT_RATIO: Description = Description {
    name: "portico_retransmit_ratio",
    help: "Part of the segments to clients that was sent again, of each session and reading.",
    labels: &[],
};

pub(crate) const DESCRIPTIONS: &[Description] = &[
    SOURCE,
    SLOTS,
    UNSLOTTED,
    OVERFLOWED,
    FAULTS,
    UNROUTED,
    BYTES,
    CONNECTIONS,
    REQUESTS,
    RETRANSMITS,
    SESSION_BYTES,
    RTT,
    RETRANSMIT_RATIO,
];

/// No name has a blank, so nobody can be called this.
const OTHERS: &str = "all others";

pub(super) fn gather(accounting: &Accounting) -> Vec<MetricFamily> {
    let source = vec![accounting.source_word().to_owned(), accounting.reason().to_owned()];
    let mut families = vec![
        family(&SOURCE, Kind::Gauge, [(source, 1.0)]),
        family(&SLOTS, Kind::Gauge, [(Vec::new(), accounting.slots() as f64)]),
        family(&UNSLOTTED, Kind::Counter, [(Vec::new(), accounting.unslotted() as f64)]),
        family(&OVERFLOWED, Kind::Counter, [(Vec::new(), accounting.overflowed() as f64)]),
        family(&FAULTS, Kind::Counter, labelled(accounting.faults())),
        family(&UNROUTED, Kind::Counter, labelled(accounting.unrouted())),
    ];
    accounting.with_totals(|totals| families.extend(of_totals(totals)));
    families
}

fn labelled<const N: usize>(
    values: [(&'static str, u64); N],
) -> impl Iterator<Item = (Vec<String>, f64)> {
    values.into_iter().map(|(label, value)| (vec![label.to_owned()], value as f64))
}

fn of_totals(totals: &Totals) -> Vec<MetricFamily> {
    let workspaces = totals.workspaces();
    let one = |description, value: fn(&Counted) -> u64| {
        let all = with_others(workspaces);
        let all = all.into_iter().map(|(name, sum)| (vec![name], value(&sum) as f64));
        family(description, Kind::Counter, all)
    };
    let mut families = vec![
        bytes(&BYTES, workspaces),
        one(&CONNECTIONS, |sum| sum.connections),
        one(&REQUESTS, |sum| sum.requests),
        one(&RETRANSMITS, |sum| sum.retransmits),
        rtt(&totals.rtt),
        ratio(&totals.retransmits),
    ];
    families.extend(totals.sessions().map(|sessions| bytes(&SESSION_BYTES, sessions)));
    families
}

fn bytes<K: ToString + Clone + Eq + std::hash::Hash>(
    description: &Description,
    labelled: &Labelled<K>,
) -> MetricFamily {
    let values = with_others(labelled).into_iter().flat_map(|(name, sum)| {
        [
            (vec![name.clone(), "in".to_owned()], sum.bytes_in as f64),
            (vec![name, "out".to_owned()], sum.bytes_out as f64),
        ]
    });
    family(description, Kind::Counter, values)
}

fn with_others<K: ToString + Clone + Eq + std::hash::Hash>(
    labelled: &Labelled<K>,
) -> Vec<(String, Counted)> {
    let named = labelled.labelled().map(|(key, sum)| (key.to_string(), *sum));
    named.chain([(OTHERS.to_owned(), *labelled.others())]).collect()
}

/// The sum is of the middles of the buckets, which the kernel's histogram does not know better.
fn rtt(rtt: &Rtt) -> MetricFamily {
    let bounds = (0..Rtt::BUCKETS - 1).map(|bucket| (2_u64 << bucket) as f64 / 1e6);
    let middles = rtt.buckets.iter().zip(0..);
    let sum = middles.map(|(count, bucket)| *count as f64 * 1.5 * (1_u64 << bucket) as f64 / 1e6);
    histogram(&RTT, bounds, &rtt.buckets, sum.sum())
}

fn ratio(shares: &Shares) -> MetricFamily {
    histogram(&RETRANSMIT_RATIO, Shares::BOUNDS, &shares.counts, shares.sum)
}
