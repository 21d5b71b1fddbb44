//! Slots: what this process counts of each session that it serves. A slot is made when the first
//! connection is counted for a session, and given back after its last read, when nothing is counted
//! in it any more. Its number is never used again, so that what the kernel tells late of an old
//! slot cannot land in a new one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_core::activity::message::Seen;
use portico_core::activity::{Activity, Open};
use portico_core::label::SessionId;
use portico_core::route::Route;
use portico_core::session::{Name, Timestamp};
use portico_core::usage::{Counted, Hour, Rtt, UsageKey};

/// Which end of the session's traffic a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Upstream,
}

/// What a client connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Requests,
    WebSocket,
    Upgrade,
}

/// Where the counts of connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// The kernel adds them up by itself, by the tag on each socket; `owner` is this process.
    Tag { owner: u64 },
    /// Each socket is asked (`TCP_INFO`) from time to time, and when it closes.
    Ask,
    /// They are not counted; when the session was used is known all the same.
    Nothing,
}

pub(crate) struct Slot {
    pub(crate) number: u64,
    pub(crate) means: Means,
    session: SessionId,
    workspace: Name,
    user: Name,
    requests: AtomicU64,
    clocks: Clocks,
    /// By `Use`.
    open: [AtomicU64; 3],
    /// Only where sockets are asked: by `Side`.
    asked: [Asked; 2],
}

impl Clone for Clocks {
    fn clone(&self) -> Self {
        let copy = |clock: &AtomicU64| AtomicU64::new(clock.load(Relaxed));
        Self {
            client_data: copy(&self.client_data),
            session_data: copy(&self.session_data),
            ping: copy(&self.ping),
        }
    }
}

/// Milliseconds since the epoch; 0: never.
#[derive(Default)]
struct Clocks {
    client_data: AtomicU64,
    session_data: AtomicU64,
    ping: AtomicU64,
}

/// Sums over sockets that were asked.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) connections: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) segments_in: AtomicU64,
    pub(crate) segments_out: AtomicU64,
    pub(crate) retransmits: AtomicU64,
    pub(crate) rtt: [AtomicU64; Rtt::BUCKETS],
    /// `u64::MAX - minimum`, so that nothing is 0 and the least is the greatest.
    rtt_minimum: AtomicU64,
}

impl Means {
    pub(crate) fn owner(self) -> Option<u64> {
        match self {
            Self::Tag { owner } => Some(owner),
            Self::Ask | Self::Nothing => None,
        }
    }
}

impl Side {
    /// The names of a slot's two sums in the kernel.
    pub(crate) fn key(self, number: u64) -> u64 {
        number << 1 | self as u64
    }
}

impl Slot {
    fn new(number: u64, means: Means, route: &Route) -> Self {
        let session = SessionId::parse(route.session());
        Self {
            number,
            means,
            session: session.expect("a route is of a session, whose id was parsed"),
            workspace: route.workspace.name.clone(),
            user: route.owner.clone(),
            requests: AtomicU64::new(0),
            clocks: Clocks::default(),
            open: Default::default(),
            asked: Default::default(),
        }
    }

    pub(crate) fn session(&self) -> &SessionId {
        &self.session
    }

    pub(crate) fn usage_key(&self, now: Timestamp) -> UsageKey {
        UsageKey {
            hour: Hour::of(now),
            workspace: self.workspace.clone(),
            user: self.user.clone(),
            session: self.session.clone(),
        }
    }

    pub(crate) fn asked(&self, side: Side) -> &Asked {
        &self.asked[side as usize]
    }

    pub(crate) fn add_requests(&self, count: u64) {
        self.requests.fetch_add(count, Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub(crate) fn begin(&self, what: Use) {
        self.open[what as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn end(&self, what: Use) {
        self.open[what as usize].fetch_sub(1, Relaxed);
    }

    /// What came from one side, as far as it tells anything.
    pub(crate) fn note(&self, from: Side, seen: Seen, now: Timestamp) {
        match (seen, from) {
            (Seen { data: true, .. }, Side::Client) => advance(&self.clocks.client_data, now),
            (Seen { data: true, .. }, Side::Upstream) => advance(&self.clocks.session_data, now),
            (Seen { ping: true, .. }, _) => advance(&self.clocks.ping, now),
            (Seen { data: false, ping: false }, _) => {}
        }
    }

    pub(crate) fn activity(&self) -> Activity {
        let at = |clock: &AtomicU64| match clock.load(Relaxed) {
            0 => None,
            milliseconds => Some(Timestamp(milliseconds)),
        };
        let [requests, websockets, upgrades] =
            std::array::from_fn(|what| self.open[what].load(Relaxed));
        Activity {
            client_data_at: at(&self.clocks.client_data),
            session_data_at: at(&self.clocks.session_data),
            ping_at: at(&self.clocks.ping),
            open: Open { requests, websockets, upgrades },
        }
    }

    /// All that sockets told when they were asked.
    pub(crate) fn told(&self) -> Counted {
        let [client, upstream] = &self.asked;
        Counted {
            connections: client.connections.load(Relaxed),
            resets: client.resets.load(Relaxed),
            requests: 0,
            bytes_in: client.bytes_in.load(Relaxed),
            bytes_out: client.bytes_out.load(Relaxed),
            upstream_bytes_in: upstream.bytes_in.load(Relaxed),
            upstream_bytes_out: upstream.bytes_out.load(Relaxed),
            segments_in: client.segments_in.load(Relaxed),
            segments_out: client.segments_out.load(Relaxed),
            retransmits: client.retransmits.load(Relaxed),
            rtt: client.rtt(),
        }
    }
}

impl Asked {
    pub(crate) fn sample_rtt(&self, smoothed_us: u32, minimum_us: u32) {
        self.rtt[Rtt::bucket(smoothed_us)].fetch_add(1, Relaxed);
        self.rtt_minimum.fetch_max(u64::MAX - u64::from(minimum_us.max(1)), Relaxed);
    }

    fn rtt(&self) -> Rtt {
        let minimum_us = match self.rtt_minimum.load(Relaxed) {
            0 => 0,
            minimum => (u64::MAX - minimum) as u32,
        };
        Rtt { buckets: std::array::from_fn(|n| self.rtt[n].load(Relaxed)), minimum_us }
    }
}

/// Only forward, and without a write while it stands: workers that serve one session share this.
fn advance(clock: &AtomicU64, Timestamp(now): Timestamp) {
    if clock.load(Relaxed) < now {
        clock.fetch_max(now, Relaxed);
    }
}

/// A session that is deleted and created anew is another one, and so is one with a new owner.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key(SessionId, Timestamp, Name);

/// All slots of the process.
pub(crate) struct Slots {
    max: usize,
    table: Mutex<Table>,
    refused: AtomicU64,
}

#[derive(Default)]
struct Table {
    slots: HashMap<Key, Arc<Slot>>,
    /// The last number that was given out.
    last: u64,
    /// Of sessions without a slot, for when they get one again: who polls once an hour must not
    /// make it forgotten when somebody last typed. The oldest go first.
    clocks: HashMap<Key, Clocks>,
    remembered: VecDeque<Key>,
}

impl Table {
    fn remember(&mut self, key: Key, clocks: Clocks, max: usize) {
        if self.clocks.insert(key.clone(), clocks).is_none() {
            self.remembered.push_back(key);
        }
        // A key that has a slot again stays in the queue until its turn.
        while self.remembered.len() > max {
            let oldest = self.remembered.pop_front();
            oldest.and_then(|oldest| self.clocks.remove(&oldest));
        }
    }
}

impl Slots {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, table: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// The slot of a route's session; of a new one `prepare` says by which means it counts. None
    /// where there are too many: then its connections count as not routed.
    pub(crate) fn of(
        &self,
        route: &Route,
        prepare: impl FnOnce(u64) -> Means,
    ) -> Option<Arc<Slot>> {
        let session = SessionId::parse(route.session()).ok()?;
        let key = Key(session, route.created_at, route.owner.clone());
        let mut table = self.table();
        if let Some(slot) = table.slots.get(&key) {
            return Some(slot.clone());
        }
        let number = table.last + 1;
        if table.slots.len() >= self.max {
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        table.last = number;
        let means = prepare(number);
        let clocks = table.clocks.get(&key).cloned().unwrap_or_default();
        let slot = Arc::new(Slot { clocks, ..Slot::new(number, means, route) });
        table.slots.insert(key, slot.clone());
        Some(slot)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.table().slots.values().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.table().slots.len()
    }

    /// Times that a connection found no slot.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Takes out those that nobody holds any more and of which `is_done` says the same, which is
    /// asked without the table's lock: it may take a while, and workers want the table.
    pub(crate) fn take_unused(&self, mut is_done: impl FnMut(&Slot) -> bool) -> Vec<Arc<Slot>> {
        let table = self.table();
        let unheld = table.slots.iter().filter(|(_, slot)| Arc::strong_count(slot) == 1);
        let mut unheld: Vec<_> = unheld.map(|(key, slot)| (key.clone(), slot.clone())).collect();
        drop(table);
        unheld.retain(|(_, slot)| is_done(slot));
        let mut table = self.table();
        let mut taken = Vec::new();
        for (key, slot) in unheld {
            // By the table and here: nobody has come for it meanwhile, and nobody can now.
            let is_held = Arc::strong_count(&slot) > 2;
            // Counted relaxed: behind this all is seen that the last holder wrote.
            fence(Acquire);
            if !is_held {
                table.slots.remove(&key);
                table.remember(key, slot.clocks.clone(), self.max);
                taken.push(slot);
            }
        }
        taken
    }

    /// A slot is inserted whole, so what a panic left is as good as any.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
