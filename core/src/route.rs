//! The route table: label → session entry, as a worker reads it. Immutable; a change makes a new
//! table that shares all but the touched shards with the old one, so that publishing one route
//! among a million copies about a thousand entries, and nobody's connection is looked at.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::{Access, AccessState, Key, KeyId, Revocation, Revoked};
use crate::label::{Label, SessionId};
use crate::session::{HostHeader, Name, Prefix, Routing, Session, State, Timestamp};
use crate::template::ToolKind;
use crate::upstream::Upstream;
use crate::workspace::{AllowList, Limits, Registry, Share, Workspace};

/// What the data plane needs of a session.
#[derive(Debug, Clone)]
pub struct Route {
    pub label: Label,
    /// None where it can be read from the label, as of most sessions: a million of them count.
    pub id: Option<SessionId>,
    pub workspace: Arc<Workspace>,
    pub tool: Name,
    /// As far as it is done differently for each.
    pub kind: ToolKind,
    /// Whether somebody wants to know when it is not used.
    pub is_watched: bool,
    pub state: State,
    pub reason: Option<Box<str>>,
    pub upstream: Upstream,
    pub routing: Routing,
    pub host_header: HostHeader,
    pub prefix: Prefix,
    pub owner: Name,
    pub access: Access,
    /// A session of the same label that is created later is another one.
    pub created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub enum Entry {
    Route(Arc<Route>),
    /// The session was deleted: 410, until the tombstone is forgotten.
    Gone,
}

#[derive(Debug, Clone)]
pub enum Change {
    Set(Box<Session>),
    Gone(Label),
    Forget(Label),
    Allow(AllowList),
    Limit(Name, Limits),
    Share(Share),
    Key(Box<Key>),
    ForgetKey(KeyId),
    Revoke(Revocation),
    ForgetRevoked(Revoked),
}

/// 1,024 shards: a swap copies 8 KiB of pointers and 1/1,024 of the entries.
const SHARDS: usize = 1024;

type Shard = HashMap<Label, Entry>;

#[derive(Debug, Clone)]
pub struct RouteTable {
    shards: Box<[Arc<Shard>]>,
    routes: usize,
    /// The same in every table that came of this one.
    workspaces: Arc<Registry>,
    access: AccessState,
    /// Raised by every change that may take from somebody what a connection has.
    takings: u64,
}

impl Route {
    fn of(session: &Session, workspaces: &Registry) -> Self {
        let from_label = session.label.as_str().strip_prefix(Label::OF_ID_PREFIX);
        let is_from_label = from_label == Some(session.id.as_str());
        Self {
            label: session.label.clone(),
            id: (!is_from_label).then(|| session.id.clone()),
            workspace: workspaces.workspace(&session.workspace),
            tool: workspaces.tool(&session.tool),
            kind: ToolKind::of(&session.tool),
            is_watched: session.idle.is_some(),
            state: session.state,
            reason: session.reason.as_deref().map(Box::from),
            upstream: session.upstream.clone(),
            routing: session.routing,
            host_header: session.host_header,
            prefix: session.prefix,
            owner: session.owner.clone(),
            access: session.access.clone(),
            created_at: session.created_at,
        }
    }

    /// Whether somebody who may use the one may have to leave the other.
    fn takes_from(&self, before: &Route) -> bool {
        self.access != before.access
            || self.owner != before.owner
            || self.created_at != before.created_at
            || self.state != before.state
    }

    /// The session's id.
    pub fn session(&self) -> &str {
        match &self.id {
            Some(id) => id.as_str(),
            None => &self.label.as_str()[Label::OF_ID_PREFIX.len()..],
        }
    }
}

impl Default for RouteTable {
    fn default() -> Self {
        let empty = Arc::new(Shard::new());
        Self {
            shards: vec![empty; SHARDS].into(),
            routes: 0,
            workspaces: Arc::default(),
            access: AccessState::default(),
            takings: 0,
        }
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

    /// How many processes share what is limited.
    pub fn shared_by(&self) -> Share {
        self.workspaces.shared_by()
    }

    pub fn access(&self) -> &AccessState {
        &self.access
    }

    /// Another number than before: connections that were let in have to be judged again.
    pub fn takings(&self) -> u64 {
        self.takings
    }

    /// A new table of nothing but these changes. Workspaces stay the same objects, so that what is
    /// counted of them goes on; their limits are those of the changes.
    pub fn renewed(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        self.workspaces.unlimit();
        let empty = Self {
            workspaces: self.workspaces.clone(),
            takings: self.takings + 1,
            ..Self::default()
        };
        empty.with(changes)
    }

    /// A new table with the changes applied in order; this one stays as it is, but for the rules of
    /// workspaces, which hold at once in all tables.
    pub fn with(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        for change in changes {
            next.apply(change);
        }
        next
    }

    fn apply(&mut self, change: Change) {
        let (label, entry) = match change {
            Change::Set(session) => {
                let route = Arc::new(Route::of(&session, &self.workspaces));
                (route.label.clone(), Some(Entry::Route(route)))
            }
            Change::Gone(label) => (label, Some(Entry::Gone)),
            Change::Forget(label) => (label, None),
            Change::Allow(list) => {
                self.takings += 1;
                return self.workspaces.allow(list);
            }
            Change::Limit(workspace, limits) => return self.workspaces.limit(&workspace, limits),
            Change::Share(share) => return self.workspaces.share(share),
            Change::Key(key) => return self.access.keys.insert(*key),
            Change::ForgetKey(id) => return self.access.keys.remove(id),
            Change::Revoke(revocation) => {
                self.takings += 1;
                return self.access.revocations.insert(revocation);
            }
            Change::ForgetRevoked(of) => return self.access.revocations.remove(&of),
        };
        // Copies the shard when another table shares it, else changes it in place.
        let shard = Arc::make_mut(&mut self.shards[shard_of(label.as_str())]);
        let is_route = matches!(entry, Some(Entry::Route(_)));
        let takes = match (shard.get(label.as_str()), &entry) {
            (Some(Entry::Route(before)), Some(Entry::Route(after))) => after.takes_from(before),
            (Some(Entry::Route(_)), _) => true,
            (Some(Entry::Gone) | None, _) => false,
        };
        let before = match entry {
            Some(entry) => shard.insert(label, entry),
            None => shard.remove(&label),
        };
        let was_route = matches!(before, Some(Entry::Route(_)));
        self.takings += u64::from(takes);
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
    use crate::session::Timestamp;

    fn session(label: &str) -> Box<Session> {
        let (id, name) = (SessionId::parse(label).unwrap(), |name: &str| name.parse().unwrap());
        let upstream = "http://127.0.0.1:1".parse().unwrap();
        let (workspace, owner) = (name("w"), name("o"));
        let label = Label::parse(label).unwrap();
        let session = Session::new(id, workspace, owner, name("t"), upstream, Timestamp(0));
        Box::new(Session { label, ..session })
    }

    #[test]
    fn a_change_makes_a_new_table_and_leaves_the_old_one() {
        let none = RouteTable::default();
        let one = none.with([Change::Set(session("a1"))]);
        let gone = one.with([Change::Gone(Label::parse("a1").unwrap())]);
        let forgotten = gone.with([Change::Forget(Label::parse("a1").unwrap())]);
        assert_eq!((none.len(), one.len(), gone.len(), forgotten.len()), (0, 1, 0, 0));
        assert!(none.lookup("a1").is_none());
        assert!(matches!(one.lookup("a1"), Some(Entry::Route(r)) if r.label.as_str() == "a1"));
        assert!(matches!(gone.lookup("a1"), Some(Entry::Gone)));
        assert!(forgotten.lookup("a1").is_none());
    }

    #[test]
    fn a_session_is_named_by_its_label_or_by_itself() {
        let table = RouteTable::default();
        let mut drawn = session("1f2e");
        drawn.label = Label::of(&drawn.id);
        for (session, label, kept) in [(drawn, "a1f2e", false), (session("own"), "own", true)] {
            let table = table.with([Change::Set(session.clone())]);
            let Some(Entry::Route(route)) = table.lookup(label) else { panic!("{label}") };
            assert_eq!((route.session(), route.id.is_some()), (session.id.as_str(), kept));
        }
    }

    /// In the old table, too: connections hold its routes.
    #[test]
    fn rules_of_a_workspace_hold_at_once_and_for_all_of_its_routes() {
        let table =
            RouteTable::default().with([Change::Set(session("a")), Change::Set(session("b"))]);
        let allowed = |label| match table.lookup(label) {
            Some(Entry::Route(route)) => route.workspace.is_allowed(),
            _ => panic!("{label}"),
        };
        let next = table.with([Change::Allow(AllowList::of_words([]).unwrap())]);
        assert!(!allowed("a") && !allowed("b"));
        let renewed = next.renewed([Change::Allow(AllowList::All), Change::Set(session("c"))]);
        assert!(allowed("a") && renewed.len() == 1);
    }

    #[test]
    fn untouched_shards_are_shared() {
        let many =
            RouteTable::default().with((0..10_000).map(|i| Change::Set(session(&format!("s{i}")))));
        assert_eq!(many.len(), 10_000);
        let next = many.with([Change::Set(session("extra"))]);
        let shared =
            many.shards.iter().zip(&next.shards).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, SHARDS - 1);
        assert!(many.shards.iter().all(|shard| shard.len() < 40), "uneven shards");
    }
}
