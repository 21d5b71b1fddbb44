//! The route table: label → session entry, as a worker reads it. Immutable; a change makes a new
//! table that shares all but the touched shards with the old one, so that publishing one route
//! among a million copies about a thousand entries, and nobody's connection is looked at.

use std::collections::HashMap;
use std::sync::Arc;

use crate::label::{Label, SessionId};
use crate::session::{HostHeader, Name, Prefix, Routing, Session, State};
use crate::upstream::Upstream;

/// What the data plane needs of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub label: Label,
    pub session: SessionId,
    pub workspace: Name,
    pub tool: Name,
    pub state: State,
    pub reason: Option<String>,
    pub upstream: Upstream,
    /// `Host` for the tool when `host_header` is `upstream`; made once, not per request.
    pub upstream_authority: Box<str>,
    pub routing: Routing,
    pub host_header: HostHeader,
    pub prefix: Prefix,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Route(Arc<Route>),
    /// The session was deleted: 410, until the tombstone is forgotten.
    Gone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Set(Arc<Route>),
    Gone(Label),
    Forget(Label),
}

/// 1,024 shards: a swap copies 8 KiB of pointers and 1/1,024 of the entries.
const SHARDS: usize = 1024;

type Shard = HashMap<Label, Entry>;

#[derive(Debug, Clone)]
pub struct RouteTable {
    shards: Box<[Arc<Shard>]>,
    routes: usize,
}

impl Route {
    pub fn of(session: &Session) -> Self {
        Self {
            label: session.label.clone(),
            session: session.id.clone(),
            workspace: session.workspace.clone(),
            tool: session.tool.clone(),
            state: session.state,
            reason: session.reason.clone(),
            upstream_authority: session.upstream.authority().into(),
            upstream: session.upstream.clone(),
            routing: session.routing,
            host_header: session.host_header,
            prefix: session.prefix,
        }
    }
}

impl Default for RouteTable {
    fn default() -> Self {
        let empty = Arc::new(Shard::new());
        Self { shards: vec![empty; SHARDS].into(), routes: 0 }
    }
}

impl RouteTable {
    pub fn lookup(&self, label: &str) -> Option<&Entry> {
        self.shards[shard_of(label)].get(label)
    }

    /// Sessions in the table, without tombstones.
    pub fn len(&self) -> usize {
        self.routes
    }

    pub fn is_empty(&self) -> bool {
        self.routes == 0
    }

    /// A new table with the changes applied in order; this one stays as it is.
    pub fn with(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        for change in changes {
            next.apply(change);
        }
        next
    }

    fn apply(&mut self, change: Change) {
        let (label, entry) = match change {
            Change::Set(route) => (route.label.clone(), Some(Entry::Route(route))),
            Change::Gone(label) => (label, Some(Entry::Gone)),
            Change::Forget(label) => (label, None),
        };
        // Copies the shard when another table shares it, else changes it in place.
        let shard = Arc::make_mut(&mut self.shards[shard_of(label.as_str())]);
        let is_route = matches!(entry, Some(Entry::Route(_)));
        let before = match entry {
            Some(entry) => shard.insert(label, entry),
            None => shard.remove(&label),
        };
        let was_route = matches!(before, Some(Entry::Route(_)));
        self.routes = self.routes + usize::from(is_route) - usize::from(was_route);
    }
}

/// FNV-1a, to spread entries evenly. Who floods a shard on purpose holds an API token, and gets a
/// shard whose own map is still keyed at random.
fn shard_of(label: &str) -> usize {
    let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(label: &str) -> Arc<Route> {
        let name: Name = "w".parse().unwrap();
        Arc::new(Route {
            label: Label::parse(label).unwrap(),
            session: SessionId::parse(label).unwrap(),
            workspace: name.clone(),
            tool: name,
            state: State::Running,
            reason: None,
            upstream: "http://127.0.0.1:1".parse().unwrap(),
            upstream_authority: "127.0.0.1:1".into(),
            routing: Routing::Both,
            host_header: HostHeader::Preserve,
            prefix: Prefix::Keep,
        })
    }

    #[test]
    fn a_change_makes_a_new_table_and_leaves_the_old_one() {
        let none = RouteTable::default();
        let one = none.with([Change::Set(route("a1"))]);
        let gone = one.with([Change::Gone(Label::parse("a1").unwrap())]);
        let forgotten = gone.with([Change::Forget(Label::parse("a1").unwrap())]);
        assert_eq!((none.len(), one.len(), gone.len(), forgotten.len()), (0, 1, 0, 0));
        assert!(none.lookup("a1").is_none());
        assert!(matches!(one.lookup("a1"), Some(Entry::Route(r)) if r.label.as_str() == "a1"));
        assert_eq!(gone.lookup("a1"), Some(&Entry::Gone));
        assert!(forgotten.lookup("a1").is_none());
    }

    #[test]
    fn untouched_shards_are_shared() {
        let many =
            RouteTable::default().with((0..10_000).map(|i| Change::Set(route(&format!("s{i}")))));
        assert_eq!(many.len(), 10_000);
        let next = many.with([Change::Set(route("extra"))]);
        let shared =
            many.shards.iter().zip(&next.shards).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, SHARDS - 1);
        assert!(many.shards.iter().all(|shard| shard.len() < 40), "uneven shards");
    }
}
