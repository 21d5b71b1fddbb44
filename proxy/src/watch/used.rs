//! What goes through a worker's connections, as others want to know it: who counts it, and whose
//! quotas it is counted by. A worker looks at both from its clock, so that no byte's way is longer
//! for it; what a connection moves between two looks is what a quota can be overrun by.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;

use portico_core::activity::message::Seen;
use portico_core::activity::request::RequestKind;
use portico_core::http::websocket::CLOSE_OVER_QUOTA;
use portico_core::quota::{Account, Ledger, Standing};
use portico_core::session::Timestamp;

use super::{Phase, Watch, Watches};
use crate::accounting::Side;
use crate::connection::Live;
use crate::io::Socket;
use crate::metrics::WorkerCounters;
use crate::metrics::labels::EndCause;

impl Watch {
    /// What it is let in to from here on; none between requests. `at` is how far the client's
    /// stream is used by what was before.
    pub(crate) fn let_in(&self, live: Option<Live>, at: u32) {
        self.charge(at);
        if let Some(live) = live.as_ref().filter(|live| !live.accounts.is_empty()) {
            // Until the next look, which knows with whom it shares the pace.
            if let Standing::Throttled { bytes_per_second, .. } =
                live.accounts.standing(crate::clock::now())
            {
                self.pace(Some(bytes_per_second));
            }
        }
        *self.live.borrow_mut() = live;
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
            && !live.accounts.is_empty()
            && bytes > 0
        {
            live.accounts.charge(bytes);
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

    /// Bytes a second that its sockets send at most; none: as fast as they can.
    fn pace(&self, bytes_per_second: Option<NonZeroU64>) {
        // An upstream that comes later is paced when it does.
        if self.paced.replace(bytes_per_second) == bytes_per_second {
            return;
        }
        self.client.pace(bytes_per_second);
        if let Some(upstream) = &*self.upstream.borrow() {
            upstream.pace(bytes_per_second);
        }
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
}

/// Some 0.2 ms of system calls, if all were busy.
const LOOKS_PER_TURN: usize = 64;

/// Of an account that is throttled: its pace, and how many connections share it here.
struct Throttled {
    bytes_per_second: NonZeroU64,
    connections: u64,
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
        let mut throttled: HashMap<*const Account, Throttled> = HashMap::new();
        let mut slowed: Vec<(Rc<Watch>, Vec<*const Account>)> = Vec::new();
        for watch in self.all.borrow().iter().flatten() {
            watch.charge(watch.client.position());
            let live = watch.live.borrow();
            let Some(live) = live.as_ref().filter(|live| !live.accounts.is_empty()) else {
                watch.pace(None);
                continue;
            };
            match live.accounts.standing(now) {
                Standing::Open | Standing::Warned { .. } => watch.pace(None),
                Standing::Throttled { .. } => {
                    let accounts = live.accounts.iter();
                    let paces = accounts.filter_map(|account| paced(account, now)).collect();
                    slowed.push((watch.clone(), share_out(&mut throttled, paces)));
                }
                Standing::Denied { bucket, .. } if !watch.revoked() => {
                    let session = live.session();
                    tracing::info!(session, %bucket, "over its quota: the connection is ended");
                    counters.connections_ended.at(EndCause::QuotaExceeded).add(1);
                    watch.over_quota.set(true);
                }
                Standing::Denied { .. } => {}
            }
        }
        for (watch, accounts) in slowed {
            let paces = accounts.iter().filter_map(|account| throttled.get(account));
            watch.pace(paces.map(|pace| pace.each(ledger.share())).min());
        }
        for watch in self.all.borrow().iter().flatten() {
            if watch.over_quota.get() {
                watch.revoke(CLOSE_OVER_QUOTA);
            }
        }
    }
}

fn paced(account: &Arc<Account>, now: Timestamp) -> Option<(*const Account, NonZeroU64)> {
    match account.standing(now) {
        Standing::Throttled { bytes_per_second, .. } => {
            Some((Arc::as_ptr(account), bytes_per_second))
        }
        Standing::Open | Standing::Warned { .. } | Standing::Denied { .. } => None,
    }
}

fn share_out(
    throttled: &mut HashMap<*const Account, Throttled>,
    paces: Vec<(*const Account, NonZeroU64)>,
) -> Vec<*const Account> {
    let shared = paces.into_iter().map(|(account, bytes_per_second)| {
        let alone = Throttled { bytes_per_second, connections: 0 };
        throttled.entry(account).or_insert(alone).connections += 1;
        account
    });
    shared.collect()
}

impl Throttled {
    /// Of the pace that replicas share, what one connection of this worker has.
    fn each(&self, replicas: NonZeroU64) -> NonZeroU64 {
        let part = self.bytes_per_second.get() / replicas.get() / self.connections.max(1);
        NonZeroU64::new(part).unwrap_or(NonZeroU64::MIN)
    }
}
