//! What the feed last knew of a store, in memory: it answers reads while the store is away.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::record::{Document, DocumentKey, Kind, Record};
use portico_core::session::Name;

use super::{Change, Entry, Page, Query, Snapshot};
use crate::feed::Follower;

#[derive(Clone, Default)]
pub struct View(Arc<RwLock<Known>>);

pub struct ViewFollower(View);

#[derive(Default)]
struct Known {
    records: BTreeMap<SessionId, Arc<Record>>,
    workspaces: BTreeSet<(Name, SessionId)>,
    documents: BTreeMap<DocumentKey, Document>,
}

impl View {
    pub fn follower(&self) -> ViewFollower {
        ViewFollower(self.clone())
    }

    pub fn fetch(&self, id: &SessionId) -> Option<Record> {
        self.known().records.get(id).map(|record| Record::clone(record))
    }

    pub fn document(&self, key: &DocumentKey) -> Option<Document> {
        self.known().documents.get(key).cloned()
    }

    pub fn documents(&self, kind: Kind) -> Vec<Document> {
        let known = self.known();
        known.documents.values().filter(|document| document.key.kind == kind).cloned().collect()
    }

    pub fn list(&self, query: &Query) -> Page {
        let known = self.known();
        let start = match &query.after {
            Some(after) => Bound::Excluded(after.clone()),
            None => Bound::Unbounded,
        };
        match &query.workspace {
            None => {
                let records = known.records.range((start, Bound::Unbounded));
                page(query, records.map(|(_, record)| record))
            }
            Some(workspace) => {
                let start = start.map(|id| (workspace.clone(), id));
                let ids = known.workspaces.range((start, Bound::Unbounded));
                let ids =
                    ids.skip_while(|(of, _)| of < workspace).take_while(|(of, _)| of == workspace);
                page(query, ids.filter_map(|(_, id)| known.records.get(id)))
            }
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each change is whole before the lock is let go, so what a panic left is as good as any.
    fn changing(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page<'r>(query: &Query, records: impl Iterator<Item = &'r Arc<Record>>) -> Page {
    let mut page = Page::default();
    let mut last = None;
    for (looked_at, record) in records.enumerate() {
        if page.items.len() >= query.items_max || looked_at >= limits::PAGE_SCAN_MAX {
            page.next = last;
            break;
        }
        last = Some(record.session.id.clone());
        if query.wants(record) {
            page.items.push(Record::clone(record));
        }
    }
    page
}

impl Known {
    fn put(&mut self, record: &Record) {
        let (id, workspace) = (&record.session.id, &record.session.workspace);
        self.workspaces.insert((workspace.clone(), id.clone()));
        self.records.insert(id.clone(), Arc::new(record.clone()));
    }

    fn delete(&mut self, record: &Record) {
        let (id, workspace) = (&record.session.id, &record.session.workspace);
        self.workspaces.remove(&(workspace.clone(), id.clone()));
        self.records.remove(id);
    }

    fn put_document(&mut self, document: &Document) {
        self.documents.insert(document.key.clone(), document.clone());
    }
}

impl Follower for ViewFollower {
    fn load(&mut self, snapshot: &Snapshot) {
        let mut known = Known::default();
        snapshot.records.iter().for_each(|record| known.put(record));
        snapshot.documents.iter().for_each(|document| known.put_document(document));
        *self.0.changing() = known;
    }

    fn follow(&mut self, entries: &[Entry]) {
        let mut known = self.0.changing();
        for entry in entries {
            match &entry.change {
                Change::Put(record) => known.put(record),
                Change::Deleted(record) => known.delete(record),
                Change::Gone(_) | Change::Forgotten(_) | Change::Noted | Change::Unreadable(_) => {}
                Change::DocumentPut(document) => known.put_document(document),
                Change::DocumentDeleted(key) => {
                    known.documents.remove(key);
                }
            }
        }
    }
}
