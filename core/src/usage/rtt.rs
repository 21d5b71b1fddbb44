//! Round-trip times as the kernel smooths them: a histogram in powers of two, whose sums add, and
//! the least that was seen.

use std::ops::AddAssign;

/// Samples of the smoothed round-trip time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rtt {
    /// Bucket `n` has those of at least 2ⁿ and less than 2ⁿ⁺¹ microseconds; the last one all above.
    pub buckets: [u64; Rtt::BUCKETS],
    /// 0: there is none.
    pub minimum_us: u32,
}

impl Rtt {
    /// The last one begins at 8.4 seconds.
    pub const BUCKETS: usize = 24;

    pub fn of_sample(us: u32) -> Self {
        let mut rtt = Self { minimum_us: us.max(1), ..Self::default() };
        rtt.buckets[Self::bucket(us)] = 1;
        rtt
    }

    pub fn bucket(us: u32) -> usize {
        (us.max(1).ilog2() as usize).min(Self::BUCKETS - 1)
    }

    pub fn samples(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(*bucket))
    }

    /// The upper end of the bucket below which that part of the samples lies; none without samples.
    pub fn quantile_us(&self, part: f64) -> Option<u64> {
        let samples = self.samples();
        let wanted = ((samples as f64 * part).ceil() as u64).clamp(1, samples.max(1));
        let mut passed = 0_u64;
        let bucket = self.buckets.iter().position(|bucket| {
            passed = passed.saturating_add(*bucket);
            passed >= wanted
        })?;
        Some(2 << bucket)
    }
}

impl AddAssign for Rtt {
    fn add_assign(&mut self, more: Self) {
        for (sum, other) in self.buckets.iter_mut().zip(more.buckets) {
            *sum = sum.saturating_add(other);
        }
        self.minimum_us = match (self.minimum_us, more.minimum_us) {
            (0, other) | (other, 0) => other,
            (one, other) => one.min(other),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_lands_where_its_logarithm_says() {
        for (us, bucket) in [(0, 0), (1, 0), (2, 1), (3, 1), (1000, 9), (u32::MAX, 23)] {
            assert_eq!(Rtt::bucket(us), bucket, "{us}");
        }
    }

    #[test]
    fn samples_add_up_and_have_quantiles() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.quantile_us(0.5), None);
        for us in [100, 100, 100, 5000] {
            rtt += Rtt::of_sample(us);
        }
        assert_eq!((rtt.samples(), rtt.minimum_us), (4, 100));
        assert_eq!((rtt.quantile_us(0.5), rtt.quantile_us(0.99)), (Some(128), Some(8192)));
    }
}
