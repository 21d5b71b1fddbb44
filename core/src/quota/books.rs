//! What is written down of one account: its own bytes that the store may not have counted yet, and
//! its windows. Under one lock, off the path of requests: `account` has what they ask.

use super::policy::{Action, Quotas, Span};
use super::window::{Part, Window};
use crate::limits;
use crate::session::Timestamp;

#[derive(Debug)]
pub struct Books {
    pub quotas: Quotas,
    windows: Vec<Window>,
    /// Not told to the store, or told without an answer yet; in the order of time.
    own: Vec<Part>,
    /// So many of `own` are on their way to the store.
    sent: usize,
    /// The store was asked at least once what others have counted.
    pub is_asked: bool,
}

/// What follows from the books at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// A bit for each quota that is used up.
    pub exceeded: u32,
    /// The sternest action of those.
    pub action: Option<Action>,
    /// When the last quota with that action is free again.
    pub clears_at: Timestamp,
    /// Of the quotas that are not used up.
    pub smallest_free: u64,
    /// Bytes until the next quota is used up.
    pub room: u64,
    /// Until when nothing becomes better by itself.
    pub until: Timestamp,
}

impl Books {
    pub fn new(quotas: Quotas) -> Self {
        let mut books =
            Self { quotas: quotas.clone(), windows: vec![], own: vec![], sent: 0, is_asked: false };
        books.replace(quotas);
        books
    }

    /// Other quotas over what was already counted. A window that is new knows nothing of the past.
    pub fn replace(&mut self, quotas: Quotas) {
        let mut before = std::mem::take(&mut self.windows);
        for quota in &*quotas {
            if self.windows.iter().any(|window| window.span == quota.span) {
                continue;
            }
            let kept = before.iter().position(|window| window.span == quota.span);
            let new = || {
                self.is_asked = false;
                Window::new(quota.span)
            };
            self.windows.push(kept.map_or_else(new, |at| before.swap_remove(at)));
        }
        self.quotas = quotas;
    }

    /// So many bytes have gone through lately, the last of them now.
    pub fn settle(&mut self, bytes: u64, now: Timestamp) {
        self.roll(now);
        if bytes == 0 || self.windows.is_empty() {
            return;
        }
        let fits = |last: &Part| {
            // Where all windows count both alike, one entry does.
            let alike = |w: &Window| w.holds(last, now) && w.span.slot(last.at) == w.span.slot(now);
            self.windows.iter().all(alike)
        };
        let is_open = self.own.len() > self.sent;
        match self.own.last_mut().filter(|last| is_open && fits(last)) {
            Some(last) => last.bytes = last.bytes.saturating_add(bytes),
            None => {
                // A clock that was set back does not turn the order round.
                let at = self.own.last().map_or(now, |last| now.max(last.at));
                self.own.push(Part { at, bytes });
            }
        }
        if self.own.len() - self.sent > limits::QUOTA_PARTS_MAX {
            // They count as of the later one, and so for longer than they had to.
            let first = self.own.remove(self.sent);
            self.own[self.sent].bytes = self.own[self.sent].bytes.saturating_add(first.bytes);
        }
    }

    fn roll(&mut self, now: Timestamp) {
        for window in &mut self.windows {
            window.roll(&self.own, now);
        }
        let windows = &self.windows;
        let is_held = |part: &Part| windows.iter().any(|window| window.holds(part, now));
        self.sent = self.own[..self.sent].iter().filter(|part| is_held(part)).count();
        self.own.retain(is_held);
    }

    /// To be called after `settle` at the same moment.
    pub fn judge(&self, now: Timestamp) -> Judgement {
        let mut judged = Judgement {
            exceeded: 0,
            action: None,
            clears_at: now,
            smallest_free: u64::MAX,
            room: u64::MAX,
            until: Timestamp(u64::MAX),
        };
        for (at, quota) in self.quotas.iter().enumerate() {
            let Some(window) = self.window(quota.span) else { continue };
            let (used, bytes) = (window.used(&self.own, now), quota.bytes.get());
            if used < bytes {
                judged.room = judged.room.min(bytes - used);
                judged.smallest_free = judged.smallest_free.min(bytes);
                continue;
            }
            judged.exceeded |= 1 << at;
            let leaves = window.next_leave(&self.own, now).unwrap_or(now);
            judged.until = judged.until.min(leaves);
            let clears_at = window.below_at(&self.own, now, bytes);
            let sterner = judged.action.is_none_or(|action| is_sterner(quota.on_exceed, action));
            let alike = judged.action.is_some_and(|action| {
                std::mem::discriminant(&action) == std::mem::discriminant(&quota.on_exceed)
            });
            match (sterner, alike) {
                (_, true) => judged.clears_at = judged.clears_at.max(clears_at),
                (true, false) => judged.clears_at = clears_at,
                (false, false) => {}
            }
            if sterner {
                judged.action = Some(quota.on_exceed);
            }
        }
        judged
    }

    pub fn window(&self, span: Span) -> Option<&Window> {
        self.windows.iter().find(|window| window.span == span)
    }

    pub fn used(&self, span: Span, now: Timestamp) -> u64 {
        self.window(span).map_or(0, |window| window.used(&self.own, now))
    }

    /// When it ends, and when less than so much is in it.
    pub fn times(&self, span: Span, bytes: u64, now: Timestamp) -> (Option<Timestamp>, Timestamp) {
        let times =
            |window: &Window| (window.end(&self.own), window.below_at(&self.own, now, bytes));
        self.window(span).map_or((None, now), times)
    }

    pub fn unsent(&self) -> u64 {
        self.own[self.sent..].iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }

    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// Everything that the store does not know, window by window; it is on its way from now on.
    pub fn take(&mut self, now: Timestamp) -> Vec<(Span, Vec<Part>)> {
        let unsent = &self.own[self.sent..];
        let told = self.windows.iter().map(|window| (window.span, window.told(unsent, now)));
        let told = told.collect();
        (self.sent, self.is_asked) = (self.own.len(), true);
        told
    }

    /// What was on its way is counted, and the store says with what else.
    pub fn learn<'t>(&mut self, totals: impl IntoIterator<Item = (Span, &'t [Part])>) {
        self.own.drain(..std::mem::take(&mut self.sent));
        for (span, parts) in totals {
            if let Some(window) = self.windows.iter_mut().find(|window| window.span == span) {
                window.learn(parts.to_vec());
            }
        }
    }

    /// What was on its way will not be told.
    pub fn give_up(&mut self, now: Timestamp) {
        let sent: Vec<Part> = self.own.drain(..std::mem::take(&mut self.sent)).collect();
        self.windows.iter_mut().for_each(|window| window.keep(&sent, now));
    }

    /// Whether nothing is lost when the account is let go of: the store knows all of it.
    pub fn is_told(&self) -> bool {
        self.own.is_empty() && self.is_asked
    }
}

pub fn is_sterner(action: Action, than: Action) -> bool {
    match (action, than) {
        (Action::Throttle { bytes_per_second: slower }, Action::Throttle { bytes_per_second }) => {
            slower < bytes_per_second
        }
        (action, than) => rank(action) > rank(than),
    }
}

fn rank(action: Action) -> u8 {
    match action {
        Action::Warn => 1,
        Action::Throttle { .. } => 2,
        Action::Deny => 3,
    }
}
