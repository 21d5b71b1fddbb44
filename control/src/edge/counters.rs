//! What the edge app counts. Labels are words of a fixed list: never a user or a session.

use prometheus::{IntCounterVec, Opts, Registry};

pub struct Counters {
    sign_ins: IntCounterVec,
    tickets: IntCounterVec,
    rechecks: IntCounterVec,
}

impl Counters {
    pub fn register(registry: &Registry) -> Self {
        let made = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])
                .expect("the name and the label are valid");
            if let Err(error) = registry.register(Box::new(counter.clone())) {
                tracing::error!(%error, name, "a counter of the edge app will not be shown");
            }
            counter
        };
        Self {
            sign_ins: made(
                "portico_sign_ins_total",
                "Steps of signing in and out, by how they ended.",
                "outcome",
            ),
            tickets: made(
                "portico_tickets_total",
                "Tickets that somebody brought, redeemed or refused and why.",
                "result",
            ),
            rechecks: made(
                "portico_rechecks_total",
                "Questions to the platform whether a grant in use is still good.",
                "result",
            ),
        }
    }

    pub fn sign_ins(&self, outcome: &str) {
        self.sign_ins.with_label_values(&[outcome]).inc();
    }

    pub fn tickets(&self, result: &str) {
        self.tickets.with_label_values(&[result]).inc();
    }

    pub fn rechecks(&self, result: &str) {
        self.rechecks.with_label_values(&[result]).inc();
    }
}
