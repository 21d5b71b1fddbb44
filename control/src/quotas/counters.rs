//! What metrics tell of quotas. Labels are the names of a policy, never whose account it is.

use std::collections::{BTreeMap, BTreeSet};

use portico_core::quota::{Event, What};
use portico_core::session::Name;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

pub struct Counters {
    exceeded: IntCounterVec,
    cleared: IntCounterVec,
    breached: IntGaugeVec,
    given_up: IntCounter,
    /// Shown now: a policy that is replaced takes its names away.
    shown: BTreeSet<(Name, &'static str)>,
}

const LABELS: [&str; 2] = ["bucket", "action"];

impl Counters {
    pub fn register(registry: &Registry) -> Self {
        let about = |name: &str, help: &str| Opts::new(name, help);
        let counter = |name, help| {
            let counter = IntCounterVec::new(about(name, help), &LABELS)
                .expect("the name and the labels are valid");
            shown(registry, name, counter)
        };
        let name = "portico_quota_breached_keys";
        let help = "Accounts of this replica that are over a quota.";
        let breached =
            IntGaugeVec::new(about(name, help), &LABELS).expect("the name and labels are valid");
        let name_of_given_up = "portico_quota_batches_dropped_total";
        let help = "Batches of counts that the store refused again and again: others never learn \
                    of them.";
        let given_up =
            IntCounter::with_opts(about(name_of_given_up, help)).expect("the name is valid");
        Self {
            exceeded: counter(
                "portico_quota_exceeded_total",
                "Quotas that an account has used up, as this replica saw it.",
            ),
            cleared: counter(
                "portico_quota_cleared_total",
                "Quotas that were used up and are free again.",
            ),
            breached: shown(registry, name, breached),
            given_up: shown(registry, name_of_given_up, given_up),
            shown: BTreeSet::new(),
        }
    }

    pub fn given_up(&self) {
        self.given_up.inc();
    }

    pub fn happened(&self, event: &Event) {
        let labels = [event.bucket.as_str(), event.quota.on_exceed.as_str()];
        match event.what {
            What::Exceeded => self.exceeded.with_label_values(&labels).inc(),
            What::Cleared => self.cleared.with_label_values(&labels).inc(),
        }
    }

    pub fn breached(&mut self, breached: &BTreeMap<(Name, &'static str), u64>) {
        for (bucket, action) in self.shown.iter().filter(|key| !breached.contains_key(key)) {
            // It is there, because it is shown.
            let _ = self.breached.remove_label_values(&[bucket.as_str(), action]);
        }
        for ((bucket, action), keys) in breached {
            let labels = [bucket.as_str(), *action];
            self.breached.with_label_values(&labels).set(*keys as i64);
            // From the beginning, so that the first increase is seen as one.
            self.exceeded.with_label_values(&labels);
            self.cleared.with_label_values(&labels);
        }
        self.shown = breached.keys().cloned().collect();
    }
}

fn shown<C: Collector + Clone + 'static>(registry: &Registry, name: &str, metric: C) -> C {
    if let Err(error) = registry.register(Box::new(metric.clone())) {
        tracing::error!(%error, name, "a metric of quotas will not be shown");
    }
    metric
}
