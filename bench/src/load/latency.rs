//! A histogram of durations with bounded error: recording is one add, memory is fixed.

use std::time::Duration;

/// 64 steps per power of two: a reading is at most 1.6 % too high.
const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
/// 2^36 ns is 68 s; longer than any run's patience, and the last bucket holds the rest.
const POWERS: usize = 36 - STEP_BITS as usize;

#[derive(Clone)]
pub struct Latency {
    buckets: Vec<u64>,
    recorded: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { buckets: vec![0; STEPS * (POWERS + 1)], recorded: 0 }
    }
}

impl Latency {
    pub fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanoseconds)] += 1;
        self.recorded += 1;
    }

    /// The upper edge of the bucket that holds the given share (0 to 1) of all records.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = ((self.recorded as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_edge(index));
            }
        }
        Duration::ZERO
    }
}

fn bucket_of(nanoseconds: u64) -> usize {
    let power = (64 - nanoseconds.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let power = (power as usize).min(POWERS - 1);
    let step = ((nanoseconds >> power) as usize).min(2 * STEPS - 1);
    power * STEPS + step
}

fn upper_edge(index: usize) -> u64 {
    let power = (index / STEPS).saturating_sub(1);
    let step = index - power * STEPS;
    ((step as u64 + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut latency = Latency::default();
        for microseconds in 1..=100_000u64 {
            latency.record(Duration::from_micros(microseconds));
        }
        for share in [0.01, 0.5, 0.9, 0.99, 1.0] {
            let exact = 100_000_000.0 * share;
            let read = latency.quantile(share).as_nanos() as f64;
            assert!(read >= exact * 0.999 && read <= exact * 1.02, "{share}: {read} for {exact}");
        }
    }

    #[test]
    fn every_value_falls_below_the_edge_of_its_bucket() {
        for shift in 0..36 {
            for offset in [0, 1, 3] {
                let value = (1u64 << shift) + offset;
                let edge = upper_edge(bucket_of(value));
                assert!(
                    edge >= value && edge as f64 <= value as f64 * 1.02 + 1.0,
                    "{value} {edge}"
                );
            }
        }
        assert!(bucket_of(u64::MAX) < STEPS * (POWERS + 1));
        assert_eq!(Latency::default().quantile(0.5), Duration::ZERO);
    }
}
