//! Ledgers and a store in memory, with time that is advanced.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;

use super::*;
use crate::limits;
use crate::session::Timestamp;

mod shared;
mod windows;
mod table;
mod foresee;

const START: Timestamp = Timestamp(1_795_593_600_123);

fn at(milliseconds: u64) -> Timestamp {
    Timestamp(START.0 + milliseconds)
}

/// One bucket by workspace, with these quotas.
fn policy(quotas: &str) -> Policy {
    let text = format!(
        r#"{{"buckets":[{{"name":"ws","quotas":[{quotas}],
            "extractors":[{{"protocol":"any","source":{{"type":"workspace"}}}}]}}]}}"#
    );
    Policy::parse(text.as_bytes()).unwrap().0
}

fn quota(bytes: u64, window: &str, kind: &str, on_exceed: &str) -> String {
    let pace = if on_exceed == "throttle" { r#","bytes_per_second":100"# } else { "" };
    format!(
        r#"{{"bytes":{bytes},"window":"{window}","kind":"{kind}","on_exceed":"{on_exceed}"{pace}}}"#
    )
}

fn known(workspace: &str) -> Known<'_> {
    Known {
        fields: &[],
        client: [192, 0, 2, 7].into(),
        is_trusted: false,
        workspace,
        session: "one",
        user: None,
    }
}

/// As every store counts.
#[derive(Default)]
struct Model {
    windows: HashMap<WindowKey, Vec<Part>>,
    numbers: HashMap<String, u64>,
}

impl Model {
    fn charge(&mut self, batch: &Batch) -> Vec<Total> {
        let last = self.numbers.entry(batch.writer.to_string()).or_default();
        let is_new = batch.number > *last;
        *last = batch.number.max(*last);
        let counted = batch.deltas.iter().map(|delta| {
            let kept = self.windows.entry(delta.of.clone()).or_default();
            let more: &[Part] = if is_new { &delta.parts } else { &[] };
            *kept = delta.of.span.count(std::mem::take(kept), more, batch.at);
            Total { of: delta.of.clone(), parts: kept.clone() }
        });
        counted.collect()
    }
}

/// A replica, as the task that syncs drives it.
struct Replica {
    ledger: Ledger,
    name: &'static str,
    number: u64,
}

impl Replica {
    fn new(name: &'static str, policy: &Policy) -> Self {
        Self { ledger: Ledger::new(policy.clone()), name, number: 0 }
    }

    fn batch(&mut self, now: Timestamp) -> Batch {
        self.number += 1;
        let deltas = self.ledger.take_deltas(now);
        Batch { writer: self.name.parse().unwrap(), number: self.number, at: now, deltas }
    }

    fn sync(&mut self, store: &mut Model, now: Timestamp) {
        let batch = self.batch(now);
        self.ledger.apply(&store.charge(&batch), now);
    }

    fn account(&self, now: Timestamp) -> Accounts {
        self.ledger.open(&known("genomics"), now)
    }
}

/// xorshift64: the same numbers in each run of a seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn denied(seconds: u64) -> Standing {
    Standing::Denied { bucket: "ws".parse().unwrap(), retry_after: Duration::from_secs(seconds) }
}
