//! The meter: what was counted since it was asked the last time, of each session. It has the
//! workers look at their connections first, so that what it reads is as new as can be, and gives
//! back slots that nobody uses any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use portico_core::activity::{Activity, SessionActivity};
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::Timestamp;
use portico_core::usage::{Counted, Reading, Rtt, Usage};
use portico_ebpf::Tally;

use super::{Accounting, Means, Side, Slot, Source};

pub struct Meter {
    accounting: Arc<Accounting>,
    /// Of each slot, by number.
    known: HashMap<u64, Known>,
    /// What was told last of each session's activity.
    told: HashMap<SessionId, Activity>,
}

/// Two questions to the kernel for each.
const SLOTS_PER_TURN: usize = 256;

/// What was read of a slot the last time.
#[derive(Default)]
struct Known {
    counted: Counted,
    /// When a reading found it unused, but for what the kernel has not ended.
    unused_since: Option<Timestamp>,
}

/// A slot's sums now, and whether the kernel still has connections of it.
struct Now {
    counted: Counted,
    is_open: bool,
}

impl Meter {
    pub(crate) fn new(accounting: Arc<Accounting>) -> Self {
        Self { accounting, known: HashMap::new(), told: HashMap::new() }
    }

    /// Everything since the reading before this one, each byte in one reading only.
    pub async fn read(&mut self, now: impl Fn() -> Timestamp) -> Reading {
        self.have_looks_taken().await;
        let now = now();
        let mut reading = Reading::default();
        // A session that was created anew, or has a new owner, may have two slots for a while.
        let mut activity: HashMap<SessionId, Activity> = HashMap::new();
        for (at, slot) in self.accounting.slots.all().iter().enumerate() {
            let merged = activity.entry(slot.session().clone()).or_default();
            *merged = merged.merged(slot.activity());
            self.read_slot(slot, now, &mut reading);
            if (at + 1).is_multiple_of(SLOTS_PER_TURN) {
                // Others want this thread too.
                tokio::task::yield_now().await;
            }
        }
        self.tell(activity, &mut reading);
        self.give_back(now, &mut reading);
        self.accounting.with_totals(|totals| totals.add(&reading.usage));
        reading
    }

    async fn have_looks_taken(&self) {
        let looks = &self.accounting.looks;
        looks.done.store(0, Ordering::Release);
        looks.wished.fetch_add(1, Ordering::AcqRel);
        let deadline = tokio::time::Instant::now() + limits::METER_LOOK_TIMEOUT;
        while looks.done.load(Ordering::Acquire) < looks.workers.load(Ordering::Acquire)
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(limits::METER_LOOK_POLL).await;
        }
    }

    fn read_slot(&mut self, slot: &Slot, now: Timestamp, reading: &mut Reading) {
        let known = self.known.entry(slot.number).or_default();
        let Some(Now { counted, .. }) = self.accounting.now(slot) else { return };
        let since = since(&counted, &known.counted);
        known.counted += since;
        if !since.is_nothing() {
            known.unused_since = None;
            reading.usage.push(Usage { of: slot.usage_key(now), counted: since });
        }
    }

    /// Where it is another than was told last.
    fn tell(&mut self, activity: HashMap<SessionId, Activity>, reading: &mut Reading) {
        for (session, activity) in &activity {
            if self.told.get(session) != Some(activity) {
                let (session, activity) = (session.clone(), *activity);
                reading.activity.push(SessionActivity { session, activity });
            }
        }
        self.told = activity;
    }

    /// What nobody holds any more is read a last time; then its slot is free.
    fn give_back(&mut self, now: Timestamp, reading: &mut Reading) {
        let (accounting, known) = (self.accounting.clone(), &mut self.known);
        let unused = accounting.slots.take_unused(|slot| {
            let is_open = accounting.now(slot).is_some_and(|now| now.is_open);
            let known = known.entry(slot.number).or_default();
            let unused = now.since(*known.unused_since.get_or_insert(now));
            // A client that vanished leaves the kernel with a connection for minutes; what comes
            // of it after that long is counted as late.
            !is_open || unused > limits::METER_UNUSED
        });
        for slot in unused {
            self.read_slot(&slot, now, reading);
            self.known.remove(&slot.number);
            if let Source::Ebpf(kernel) = &self.accounting.source {
                for side in [Side::Client, Side::Upstream] {
                    // What is not there need not be removed.
                    let _ = kernel.remove(side.key(slot.number));
                }
            }
        }
    }
}

impl Accounting {
    /// None where the kernel does not say, which it will the next time.
    fn now(&self, slot: &Slot) -> Option<Now> {
        let mut now = match (&self.source, slot.means) {
            (Source::Off, _) => return None,
            (Source::Ebpf(kernel), Means::Tag { .. }) => {
                let client = kernel.read(Side::Client.key(slot.number)).ok()?;
                let upstream = kernel.read(Side::Upstream.key(slot.number)).ok()?;
                let is_open = is_open(&client) || is_open(&upstream);
                Now { counted: counted(&client, &upstream), is_open }
            }
            (Source::Ebpf(_) | Source::TcpInfo, _) => Now { counted: slot.told(), is_open: false },
        };
        now.counted.requests = slot.requests();
        Some(now)
    }
}

fn is_open(tally: &Tally) -> bool {
    tally.opened > tally.closed + tally.moved
}

fn counted(client: &Tally, upstream: &Tally) -> Counted {
    Counted {
        connections: client.opened,
        resets: client.reset,
        requests: 0,
        bytes_in: client.bytes_in,
        bytes_out: client.bytes_out,
        upstream_bytes_in: upstream.bytes_in,
        upstream_bytes_out: upstream.bytes_out,
        segments_in: client.segments_in,
        segments_out: client.segments_out,
        retransmits: client.retransmits,
        rtt: Rtt { buckets: client.rtt_histogram.map(u64::from), minimum_us: client.rtt_min_us },
    }
}

/// What is new. A sum that goes down, because bytes turned out to be the next session's, is told
/// again only once it is above what was told. The minimum is of all time where there are new
/// samples.
fn since(now: &Counted, before: &Counted) -> Counted {
    let (numbers, earlier) = (now.numbers(), before.numbers());
    let grown = std::array::from_fn(|n| numbers[n].saturating_sub(earlier[n]));
    let buckets: [u64; Rtt::BUCKETS] =
        std::array::from_fn(|n| now.rtt.buckets[n].saturating_sub(before.rtt.buckets[n]));
    let minimum_us = if buckets.iter().any(|count| *count > 0) { now.rtt.minimum_us } else { 0 };
    Counted::of_numbers(grown, Rtt { buckets, minimum_us })
}
