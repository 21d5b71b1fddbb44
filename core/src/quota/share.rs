//! What replicas and the store say to each other. A writer numbers its batches, so that one whose
//! answer was lost can be sent again and counts once.

use super::policy::{Kind, Span};
use super::window::Part;
use crate::session::{Name, Timestamp};

/// A window of an account, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowKey {
    pub bucket: Name,
    /// Empty for the overflow account.
    pub value: Box<str>,
    pub span: Span,
}

/// What a replica has counted in it since it last said so; nothing where it only asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub of: WindowKey,
    pub parts: Vec<Part>,
}

/// What all replicas have counted in it, those deltas included: of a fixed window that goes on one
/// part, at its beginning, of a sliding one its sub-windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    pub of: WindowKey,
    pub parts: Vec<Part>,
}

/// At most `limits::QUOTA_DELTAS_MAX` deltas. All times are the writer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Another one for each start of a process.
    pub writer: Name,
    /// Each greater than the one before.
    pub number: u64,
    pub at: Timestamp,
    pub deltas: Vec<Delta>,
}

impl Span {
    /// What a store keeps of a window after it got more of it, at a moment: how every store counts.
    /// A fixed window that is over begins anew with what comes behind it.
    pub fn count(self, mut kept: Vec<Part>, more: &[Part], now: Timestamp) -> Vec<Part> {
        match self.kind {
            Kind::Fixed => kept.retain(|part| self.leaves_at(part.at) > now),
            Kind::Sliding => kept.retain(|part| part.at >= self.oldest_slot(now)),
        }
        for part in more.iter().filter(|part| part.bytes > 0) {
            let fits = |other: &&mut Part| match self.kind {
                Kind::Fixed => part.at < self.leaves_at(other.at),
                Kind::Sliding => part.at == other.at,
            };
            match kept.iter_mut().find(fits) {
                Some(other) => other.bytes = other.bytes.saturating_add(part.bytes),
                None => {
                    if self.kind == Kind::Fixed {
                        kept.clear();
                    }
                    kept.push(*part);
                }
            }
        }
        kept
    }

    /// When a store may forget what it keeps of a window, counted from a moment on.
    pub fn forgotten_at(self, now: Timestamp) -> Timestamp {
        self.leaves_at(now).plus(crate::limits::CLOCK_SKEW_MAX)
    }
}
