//! One window of one account: what all replicas have counted in it, as far as the store has said,
//! and which of this replica's own bytes it holds besides.
//!
//! A fixed window begins with a first byte, wherever that was; the store says when. A sliding one
//! is made of sub-windows whose beginnings are multiples of their length since 1970, the same on
//! all replicas. It holds one sub-window more than its length has, so that nothing leaves early.

use super::policy::{Kind, Span};
use crate::limits;
use crate::session::Timestamp;

/// Bytes, and when they went through: of a fixed window when that began, of a sliding one the
/// beginning of the sub-window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub at: Timestamp,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Window {
    pub span: Span,
    /// Of all replicas. At most one of a fixed window; ordered by time.
    known: Vec<Part>,
    /// The end of the fixed window before: what went through before it is of no concern.
    not_before: Timestamp,
}

impl Span {
    /// The beginning of the sub-window of a moment.
    pub fn slot(self, Timestamp(at): Timestamp) -> Timestamp {
        Timestamp(at - at % self.slot_milliseconds())
    }

    /// The beginning of the oldest sub-window that counts now.
    pub fn oldest_slot(self, now: Timestamp) -> Timestamp {
        let past = limits::QUOTA_SLOTS * self.slot_milliseconds();
        Timestamp(self.slot(now).0.saturating_sub(past))
    }

    /// When what is counted at a moment has left the window.
    pub fn leaves_at(self, at: Timestamp) -> Timestamp {
        match self.kind {
            Kind::Fixed => at.plus(self.length),
            Kind::Sliding => {
                let slots = (limits::QUOTA_SLOTS + 1) * self.slot_milliseconds();
                Timestamp(self.slot(at).0.saturating_add(slots))
            }
        }
    }
}

impl Window {
    pub fn new(span: Span) -> Self {
        Self { span, known: Vec::new(), not_before: Timestamp(0) }
    }

    /// Lets go of what has left it. `own`: in the order of time.
    pub fn roll(&mut self, own: &[Part], now: Timestamp) {
        match self.span.kind {
            Kind::Fixed => {
                while let Some(end) = self.end(own).filter(|end| *end <= now) {
                    self.known.clear();
                    self.not_before = end;
                }
            }
            Kind::Sliding => {
                let oldest = self.span.oldest_slot(now);
                self.known.retain(|part| part.at >= oldest);
            }
        }
    }

    /// Our own parts that the store will never know of: counted here until it says something else.
    pub fn keep(&mut self, own: &[Part], now: Timestamp) {
        let told = self.told(own, now);
        let known = std::mem::take(&mut self.known);
        self.learn(self.span.count(known, &told, now));
    }

    /// What the store says of it.
    pub fn learn(&mut self, mut known: Vec<Part>) {
        known.sort_by_key(|part| part.at);
        if self.span.kind == Kind::Fixed {
            known.truncate(1);
        }
        self.known = known;
    }

    /// Of a fixed window that has begun.
    pub fn end(&self, own: &[Part]) -> Option<Timestamp> {
        match self.span.kind {
            Kind::Fixed => {
                let own = own.iter().find(|part| part.bytes > 0 && self.holds(part, part.at));
                self.known.first().or(own).map(|first| self.span.leaves_at(first.at))
            }
            Kind::Sliding => None,
        }
    }

    /// Whether it counts this part of our own.
    pub fn holds(&self, part: &Part, now: Timestamp) -> bool {
        match self.span.kind {
            Kind::Fixed => part.at >= self.not_before,
            Kind::Sliding => part.at >= self.span.oldest_slot(now),
        }
    }

    pub fn used(&self, own: &[Part], now: Timestamp) -> u64 {
        self.parts(own, now).fold(0, |sum, part| sum.saturating_add(part.bytes))
    }

    /// When there is less in it than so much, if nothing more comes.
    pub fn below_at(&self, own: &[Part], now: Timestamp, bytes: u64) -> Timestamp {
        let mut used = self.used(own, now);
        if used < bytes {
            return now;
        }
        match self.span.kind {
            Kind::Fixed => self.end(own).unwrap_or(now),
            Kind::Sliding => {
                let mut parts: Vec<Part> = self.parts(own, now).collect();
                parts.sort_by_key(|part| part.at);
                for part in parts {
                    used = used.saturating_sub(part.bytes);
                    if used < bytes {
                        return self.span.leaves_at(part.at);
                    }
                }
                now
            }
        }
    }

    /// When something leaves it.
    pub fn next_leave(&self, own: &[Part], now: Timestamp) -> Option<Timestamp> {
        match self.span.kind {
            Kind::Fixed => self.end(own),
            Kind::Sliding => self.parts(own, now).map(|part| self.span.leaves_at(part.at)).min(),
        }
    }

    /// Our own parts as the store takes them.
    pub fn told(&self, own: &[Part], now: Timestamp) -> Vec<Part> {
        let mut told: Vec<Part> = Vec::new();
        for part in own.iter().filter(|part| self.holds(part, now)) {
            let at = match self.span.kind {
                Kind::Fixed => told.first().map_or(part.at, |first| first.at),
                Kind::Sliding => self.span.slot(part.at),
            };
            match told.last_mut().filter(|last| last.at == at) {
                Some(last) => last.bytes = last.bytes.saturating_add(part.bytes),
                None => told.push(Part { at, bytes: part.bytes }),
            }
        }
        told
    }

    fn parts<'w>(&'w self, own: &'w [Part], now: Timestamp) -> impl Iterator<Item = Part> + 'w {
        let own = own.iter().filter(move |part| self.holds(part, now));
        self.known.iter().chain(own).copied()
    }
}
