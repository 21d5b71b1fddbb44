//! The cells that a worker counts in: a number, a number per label value, and buckets of durations.
//! Each has one writer, the worker that owns it, and any number of readers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::labels::LabelValue;

/// A number that one thread writes. A load and a store are enough for that, and unlike an atomic
/// addition they are two plain moves. Wraps around, so that a sum over workers of a gauge is right
/// even where one worker closes what another one opened.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    #[inline]
    pub fn sub(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter for each value of a label.
#[derive(Debug)]
pub(crate) struct PerLabel<L: LabelValue>(L::Cells);

// Not derived: that would ask for a default label.
impl<L: LabelValue> Default for PerLabel<L> {
    fn default() -> Self {
        Self(L::Cells::default())
    }
}

impl<L: LabelValue> PerLabel<L> {
    #[inline]
    pub fn at(&self, label: L) -> &Counter {
        &self.0.as_ref()[label.index()]
    }
}

/// Upper bounds are 1 ms · 2ⁿ; what is longer than the last one counts in `+Inf` only.
pub(crate) const DURATION_BUCKETS: usize = 15;

/// Upper bound of a bucket in seconds.
pub(crate) fn bound_seconds(bucket: usize) -> f64 {
    (1_u64 << bucket) as f64 / 1_000.0
}

#[derive(Debug, Default)]
pub(crate) struct Durations {
    /// Each duration counts in one bucket; a scrape makes them cumulative. The last is `+Inf`.
    buckets: [Counter; DURATION_BUCKETS + 1],
    sum_micros: Counter,
}

impl Durations {
    #[inline]
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // The number of bits of ⌈ms⌉ − 1 is the number of the smallest power of two not below it.
        let above = micros.div_ceil(1_000).saturating_sub(1);
        let bucket = (u64::BITS - above.leading_zeros()) as usize;
        self.buckets[bucket.min(DURATION_BUCKETS)].add(1);
        self.sum_micros.add(micros);
    }

    pub fn bucket(&self, bucket: usize) -> u64 {
        self.buckets[bucket].value()
    }

    pub fn sum_micros(&self) -> u64 {
        self.sum_micros.value()
    }
}
