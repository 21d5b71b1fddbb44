//! The follower that keeps the workers' route table: sessions become routes, allow-lists and limits
//! become the rules of workspaces. It is the only writer of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portico_core::access::{Key, KeyId, Revocation, Revoked};
use portico_core::record::{self, Document, DocumentKey, Kind, RecordError};
use portico_core::route::{Change as RouteChange, RouteTable};
use portico_core::session::Name;
use portico_core::workspace::{AllowList, Limits, Share, StoredAllowList};

use super::Follower;
use crate::replica::Replica;
use crate::store::{Change, Entry, Snapshot};

pub type SharedTable = Arc<ArcSwap<RouteTable>>;

pub struct Routes {
    table: SharedTable,
    /// In force where the store has no list.
    allowed: AllowList,
    /// Replicas with a data plane, which share what is limited.
    proxies: BTreeSet<Name>,
    /// What each revocation took back, to know it when its document goes.
    revoked: BTreeMap<Name, Revoked>,
}

impl Routes {
    pub fn new(table: SharedTable, allowed: AllowList) -> Self {
        Self { table, allowed, proxies: BTreeSet::new(), revoked: BTreeMap::new() }
    }

    fn publish(&self, next: RouteTable) {
        self.table.store(Arc::new(next));
    }

    fn share(&self) -> RouteChange {
        let proxies = NonZeroU64::new(self.proxies.len() as u64);
        RouteChange::Share(Share(proxies.unwrap_or(NonZeroU64::MIN)))
    }

    fn change(&mut self, change: &Change) -> Option<RouteChange> {
        match change {
            Change::Put(record) => Some(RouteChange::Set(Box::new(record.session.clone()))),
            Change::Deleted(record) => Some(RouteChange::Gone(record.session.label.clone())),
            Change::Gone(label) => Some(RouteChange::Gone(label.clone())),
            Change::Noted | Change::Unreadable(_) => None,
            Change::Forgotten(label) => Some(RouteChange::Forget(label.clone())),
            Change::DocumentPut(document) => self.document(document),
            Change::DocumentDeleted(key) => self.deleted(key),
        }
    }

    /// What cannot be read was written by a newer Portico: what was in force stays, but for the
    /// list of those who may come in.
    fn document(&mut self, document: &Document) -> Option<RouteChange> {
        let Document { key, body, .. } = document;
        let change = match key.kind {
            Kind::AllowList => {
                StoredAllowList::decode(body).map(|stored| Some(RouteChange::Allow(stored.list)))
            }
            Kind::Workspace => Limits::decode(body)
                .map(|limits| Some(RouteChange::Limit(key.name.clone(), limits))),
            Kind::Replica => self.replica(key, body),
            Kind::SigningKey => signing_key(key, body).map(Some),
            Kind::Revocation => Revocation::decode(body).map(|revocation| {
                self.revoked.insert(key.name.clone(), revocation.of.clone());
                Some(RouteChange::Revoke(revocation))
            }),
            Kind::Template | Kind::Token | Kind::Store | Kind::Client => Ok(None),
        };
        change.unwrap_or_else(|error| {
            let error = crate::with_causes(&error);
            tracing::error!(document = %key, error, "it cannot be read");
            // Who may come in is not known: nobody may.
            (key.kind == Kind::AllowList)
                .then(|| RouteChange::Allow(AllowList::Only(BTreeSet::new())))
        })
    }

    fn replica(
        &mut self,
        key: &DocumentKey,
        body: &[u8],
    ) -> Result<Option<RouteChange>, RecordError> {
        let has_proxy = Replica::decode(body)?.role.has_proxy();
        let changed = has_proxy && self.proxies.insert(key.name.clone());
        Ok(changed.then(|| self.share()))
    }

    fn deleted(&mut self, key: &DocumentKey) -> Option<RouteChange> {
        match key.kind {
            Kind::AllowList => Some(RouteChange::Allow(self.allowed.clone())),
            Kind::Workspace => Some(RouteChange::Limit(key.name.clone(), Limits::NONE)),
            Kind::Replica => self.proxies.remove(&key.name).then(|| self.share()),
            Kind::SigningKey => {
                key.name.as_str().parse().ok().map(KeyId).map(RouteChange::ForgetKey)
            }
            Kind::Revocation => self.revoked.remove(&key.name).map(RouteChange::ForgetRevoked),
            Kind::Template | Kind::Token | Kind::Store | Kind::Client => None,
        }
    }
}

fn signing_key(key: &DocumentKey, body: &[u8]) -> Result<RouteChange, RecordError> {
    let id = record::member("name", key.name.as_str().parse::<u32>())?;
    Ok(RouteChange::Key(Box::new(Key::decode(KeyId(id), body)?)))
}

impl Follower for Routes {
    fn load(&mut self, snapshot: &Snapshot) {
        self.proxies.clear();
        self.revoked.clear();
        let documents: Vec<_> =
            snapshot.documents.iter().filter_map(|document| self.document(document)).collect();
        // The rules first: a route is published with them.
        let rules = [RouteChange::Allow(self.allowed.clone()), self.share()];
        let tombstones = snapshot.tombstones.iter().cloned().map(RouteChange::Gone);
        let sessions = snapshot.records.iter();
        let sessions = sessions.map(|record| RouteChange::Set(Box::new(record.session.clone())));
        let changes = rules.into_iter().chain(documents).chain(tombstones).chain(sessions);
        self.publish(self.table.load().renewed(changes));
    }

    fn follow(&mut self, entries: &[Entry]) {
        let changes: Vec<_> =
            entries.iter().filter_map(|entry| self.change(&entry.change)).collect();
        if !changes.is_empty() {
            self.publish(self.table.load().with(changes));
        }
    }
}
