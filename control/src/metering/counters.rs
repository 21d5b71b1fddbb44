//! What is counted of the writing down of usage.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone)]
pub struct MeterCounters {
    batches: IntCounterVec,
    pending: IntGauge,
    dropped: IntCounter,
}

impl MeterCounters {
    pub fn register(registry: &Registry) -> Self {
        let about = Opts::new(
            "portico_usage_batches_total",
            "Batches of usage that the store was given, by what became of it: written or failed \
             (and tried again).",
        );
        let batches = IntCounterVec::new(about, &["result"]);
        let batches = batches.expect("the name and the label are valid");
        let pending = IntGauge::new(
            "portico_usage_rows_pending",
            "Rows of usage and activity that wait for the store.",
        );
        let pending = pending.expect("the name is valid");
        let dropped = IntCounter::new(
            "portico_usage_rows_dropped_total",
            "Rows of usage and activity that are lost, because too many waited for the store.",
        );
        let dropped = dropped.expect("the name is valid");
        let all: [Box<dyn prometheus::core::Collector>; 3] =
            [Box::new(batches.clone()), Box::new(pending.clone()), Box::new(dropped.clone())];
        for collector in all {
            if let Err(error) = registry.register(collector) {
                tracing::error!(%error, "a counter of usage will not be shown");
            }
        }
        Self { batches, pending, dropped }
    }

    pub(super) fn written(&self) {
        self.batches.with_label_values(&["written"]).inc();
    }

    pub(super) fn failed(&self) {
        self.batches.with_label_values(&["failed"]).inc();
    }

    pub(super) fn pending(&self, rows: usize) {
        self.pending.set(rows as i64);
    }

    pub(super) fn dropped(&self, rows: u64) {
        self.dropped.inc_by(rows);
    }
}
