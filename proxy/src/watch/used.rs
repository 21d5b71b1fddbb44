//! What goes through a worker's connections, as others want to know it: who counts it, and whose
//! quotas it is counted by. A worker looks at both from its clock, so that no byte's way is longer
//! for it; what a connection moves between two looks is what a quota can be overrun by.

use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;

use portico_core::activity::message::Seen;
use portico_core::activity::request::RequestKind;
use portico_core::http::websocket::CLOSE_OVER_QUOTA;
use portico_core::quota::{Account, Accounts, Ledger, Standing};
use portico_core::session::Timestamp;

use super::{Phase, Watch, Watches};
use crate::accounting::Side;
use crate::connection::Live;
use crate::io::Socket;
use crate::metrics::WorkerCounters;
use crate::metrics::labels::EndCause;

/// Some 0.2 ms of system calls, if all were busy.
const LOOKS_PER_TURN: usize = 64;

impl Watch {
    /// What it is let in to from here on; none between requests. `at` is how far the client's
    /// stream is used by what was before.
    pub(crate) fn let_in(&self, live: Option<Live>, at: u32, ledger: Option<&Ledger>) {
        self.charge(at);
        *self.live.borrow_mut() = live;
        // At once, and not at the next look: a short request would have ended by then.
        if let (Some(ledger), Some(live)) = (ledger, &*self.live.borrow())
            && let Some(quoted) = &live.quoted
        {
            let now = crate::clock::now();
            self.hold_to(&quoted.accounts, now);
            self.keep_pace(ledger, now);
        }
    }

    /// Counts by its quotas what went through since the last time, of the client's stream as far as
    /// `at`.
    fn charge(&self, at: u32) {
        let (received, sent) = self.charged.get();
        let now = self.client.sent_position();
        // What a look between has charged already, of requests that came ahead of their turn, is
        // behind: it is not charged again.
        let ahead = at.wrapping_sub(received);
        let (fresh, at) = if ahead < u32::MAX / 2 { (ahead, at) } else { (0, received) };
        self.charged.set((at, now));
        let bytes = u64::from(fresh) + u64::from(now.wrapping_sub(sent));
        if let Some(live) = &*self.live.borrow()
            && let Some(quoted) = &live.quoted
            && bytes > 0
        {
            quoted.accounts.charge(bytes);
        }
    }

    /// Has its sockets counted, where something went through. Of a relay its messages tell what
    /// that was; a long upload or download is as much use as its request.
    fn look(&self, now: Timestamp) {
        let client_moved = self.client.look();
        let upstream = self.upstream.borrow();
        let moved = upstream.as_ref().is_some_and(Socket::look) | client_moved;
        let kind = self.live.borrow().as_ref().map(|live| live.kind);
        if let (true, Phase::Body | Phase::Answering, Some(RequestKind::Data)) =
            (moved, self.phase.get(), kind)
        {
            self.client.slot(|slot| slot.note(Side::Client, Seen::DATA, now));
        }
    }

    /// Shares the pace of those of its accounts that are throttled now, and of no others.
    fn hold_to(&self, accounts: &Accounts, now: Timestamp) {
        let throttled = || accounts.iter().filter(|account| pace_of(account, now).is_some());
        let mut held = self.held.borrow_mut();
        if throttled().map(Arc::as_ptr).eq(held.iter().map(Arc::as_ptr)) {
            return;
        }
        held.drain(..).for_each(|account| account.speed_up());
        held.extend(throttled().cloned());
        held.iter().for_each(|account| account.slow_down());
    }

    /// Sends no faster than its part of the slowest account that it is held to.
    fn keep_pace(&self, ledger: &Ledger, now: Timestamp) {
        let part = |account: &Arc<Account>| {
            let all = pace_of(account, now)?.get();
            let part = all / ledger.share().get() / account.slowed().max(1);
            Some(NonZeroU64::new(part).unwrap_or(NonZeroU64::MIN))
        };
        let pace = self.held.borrow().iter().filter_map(part).min();
        // An upstream that comes later is paced when it does.
        if self.paced.replace(pace) == pace {
            return;
        }
        self.client.pace(pace);
        if let Some(upstream) = &*self.upstream.borrow() {
            upstream.pace(pace);
        }
    }

    /// It ends: others have its part.
    pub(super) fn let_go(&self) {
        self.held.borrow_mut().drain(..).for_each(|account| account.speed_up());
    }

    pub(crate) fn set_upstream(&self, upstream: Option<Socket>) {
        let mut place = self.upstream.borrow_mut();
        if let Some(pace) = self.paced.get() {
            // The one before may serve somebody else next.
            place.iter().for_each(|before| before.pace(None));
            upstream.iter().for_each(|after| after.pace(Some(pace)));
        }
        *place = upstream;
    }

    /// How it stands; in an account of another policy than the one in force nobody stands long.
    fn judged(&self, ledger: &Ledger, now: Timestamp) -> Standing {
        let mut live = self.live.borrow_mut();
        let Some(live) = live.as_mut() else {
            self.hold_to(&Accounts::default(), now);
            return Standing::Open;
        };
        live.follow(ledger, now);
        let Some(quoted) = &live.quoted else { return Standing::Open };
        self.hold_to(&quoted.accounts, now);
        quoted.accounts.standing(now)
    }
}

/// Bytes a second, where it is throttled.
fn pace_of(account: &Account, now: Timestamp) -> Option<NonZeroU64> {
    match account.standing(now) {
        Standing::Throttled { bytes_per_second, .. } => Some(bytes_per_second),
        Standing::Open | Standing::Warned { .. } | Standing::Denied { .. } => None,
    }
}

impl Watches {
    /// Has all sockets counted that something went through, and lets others have their turn
    /// meanwhile: each is a system call.
    pub(crate) async fn look(&self) {
        let mut from = 0;
        loop {
            let some: Vec<_> =
                self.all.borrow().iter().skip(from).take(LOOKS_PER_TURN).cloned().collect();
            if some.is_empty() {
                return;
            }
            from += some.len();
            some.iter().flatten().for_each(|watch| watch.look(self.wall()));
            tokio::task::yield_now().await;
        }
    }

    /// Counts what went through by its quotas, and does what they say: to pace a connection, or to
    /// end it.
    pub(crate) fn hold_to_quotas(&self, ledger: &Ledger, counters: &WorkerCounters) {
        let now = self.wall();
        let mut over: Vec<Rc<Watch>> = Vec::new();
        for watch in self.all.borrow().iter().flatten() {
            watch.charge(watch.client.position());
            if let Standing::Denied { bucket, .. } = watch.judged(ledger, now)
                && !watch.revoked()
            {
                let live = watch.live.borrow();
                let session = live.as_ref().map(Live::session);
                tracing::info!(session, %bucket, "over its quota: the connection is ended");
                counters.connections_ended.at(EndCause::QuotaExceeded).add(1);
                over.push(watch.clone());
            }
        }
        // Once it is known how many share a pace.
        for watch in self.all.borrow().iter().flatten() {
            watch.keep_pace(ledger, now);
        }
        over.iter().for_each(|watch| watch.revoke(CLOSE_OVER_QUOTA));
    }
}
