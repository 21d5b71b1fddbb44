//! How a request or a relay stands with the quotas that it is counted by.

use std::num::NonZeroU64;
use std::time::Duration;

use super::policy::Action;
use crate::session::Name;

/// From the mildest to the sternest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Open,
    /// Over a quota that only warns.
    Warned {
        bucket: Name,
    },
    /// May go on at this pace.
    Throttled {
        bucket: Name,
        bytes_per_second: NonZeroU64,
    },
    /// Is refused until then, if nothing more is counted meanwhile.
    Denied {
        bucket: Name,
        retry_after: Duration,
    },
}

impl Standing {
    pub fn of(action: Action, bucket: Name, retry_after: Duration) -> Self {
        match action {
            Action::Warn => Self::Warned { bucket },
            Action::Throttle { bytes_per_second } => Self::Throttled { bucket, bytes_per_second },
            Action::Deny => Self::Denied { bucket, retry_after },
        }
    }

    /// The sterner of two: the slower pace, the longer wait.
    pub fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (
                Self::Throttled { bytes_per_second: ours, .. },
                Self::Throttled { bytes_per_second: theirs, .. },
            ) if theirs < ours => other,
            (Self::Denied { retry_after: ours, .. }, Self::Denied { retry_after: theirs, .. })
                if theirs > ours =>
            {
                other
            }
            _ if other.rank() > self.rank() => other,
            _ => self,
        }
    }

    pub fn is_open(&self) -> bool {
        self.rank() == 0
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Warned { .. } => 1,
            Self::Throttled { .. } => 2,
            Self::Denied { .. } => 3,
        }
    }
}
