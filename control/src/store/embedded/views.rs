//! What can be read from the embedded store's tables. Each function sees one consistent view; none
//! of them waits or writes.

use std::ops::Bound;
use std::sync::Arc;

use portico_core::activity::Activity;
use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::record::{AuditRecord, Document, DocumentKey, Kind, Record};
use portico_core::session::{Name, Timestamp};
use portico_core::usage::{Hour, Usage};
use redb::{ReadTransaction, ReadableTable};

use super::super::{
    AuditPage, AuditQuery, Change, Entry, Gap, Page, Position, Query, Snapshot, StoreError,
    UsageQuery, usage,
};
use super::tables::{
    ACTIVITY, AUDIT, DOCUMENTS, IDENTITY, LOG, NUMBERS, POSITION, SESSIONS, TEXTS, TOMBSTONES,
    USAGE, WORKSPACES,
};

pub fn fetch(view: &ReadTransaction, id: &SessionId) -> Result<Option<Record>, StoreError> {
    match view.open_table(SESSIONS)?.get(id.as_str())? {
        Some(bytes) => Ok(Some(Record::decode(bytes.value())?)),
        None => Ok(None),
    }
}

pub fn list(view: &ReadTransaction, query: &Query) -> Result<Page, StoreError> {
    let sessions = view.open_table(SESSIONS)?;
    // No id is empty, so "" is before the first.
    let after = query.after.as_ref().map_or("", SessionId::as_str);
    let mut gathered = Gathered { query, page: Page::default(), last: None, looked_at: 0 };
    let Some(workspace) = &query.workspace else {
        for entry in sessions.range::<&str>((Bound::Excluded(after), Bound::Unbounded))? {
            if gathered.is_full() {
                return Ok(gathered.with_more());
            }
            let (id, bytes) = entry?;
            gathered.add(id.value(), bytes.value());
        }
        return Ok(gathered.page);
    };
    let workspace = workspace.as_str();
    let index = view.open_table(WORKSPACES)?;
    let start = (Bound::Excluded((workspace, after)), Bound::Unbounded);
    for entry in index.range::<(&str, &str)>(start)? {
        let (key, _) = entry?;
        let (of, id) = key.value();
        if of != workspace {
            break;
        }
        if gathered.is_full() {
            return Ok(gathered.with_more());
        }
        if let Some(bytes) = sessions.get(id)? {
            gathered.add(id, bytes.value());
        }
    }
    Ok(gathered.page)
}

/// What cannot be read is left out and named in the log: one damaged session must not keep all
/// others from being served.
pub fn snapshot(view: &ReadTransaction) -> Result<Snapshot, StoreError> {
    let mut snapshot = Snapshot::default();
    for entry in view.open_table(SESSIONS)?.iter()? {
        let (id, bytes) = entry?;
        match Record::decode(bytes.value()) {
            Ok(record) => snapshot.records.push(record),
            Err(error) => {
                snapshot.unreadable += 1;
                let (id, error) = (id.value(), crate::with_causes(&error));
                tracing::error!(id, error, "a stored session is skipped: delete it by its id");
            }
        }
    }
    for entry in view.open_table(TOMBSTONES)?.iter()? {
        // What cannot be a label has no route to shadow.
        snapshot.tombstones.extend(Label::parse(entry?.1.value()));
    }
    snapshot.documents = documents(view, None)?;
    let numbers = view.open_table(NUMBERS)?;
    snapshot.position = Position(numbers.get(POSITION)?.map_or(0, |position| position.value()));
    Ok(snapshot)
}

pub fn document(view: &ReadTransaction, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
    match view.open_table(DOCUMENTS)?.get(key.to_string().as_str())? {
        Some(bytes) => Ok(Some(Document::decode(bytes.value())?)),
        None => Ok(None),
    }
}

/// Of one kind, or of all.
pub fn documents(view: &ReadTransaction, kind: Option<Kind>) -> Result<Vec<Document>, StoreError> {
    let prefix = kind.map(|kind| format!("{kind}/")).unwrap_or_default();
    let mut documents = Vec::new();
    for entry in view.open_table(DOCUMENTS)?.range(prefix.as_str()..)? {
        let (key, document) = entry?;
        if !key.value().starts_with(&prefix) {
            break;
        }
        match Document::decode(document.value()) {
            Ok(document) => documents.push(document),
            // Without it everybody would be let in.
            Err(error) if key.value().starts_with(Kind::AllowList.as_str()) => {
                return Err(error.into());
            }
            Err(error) => {
                let (key, error) = (key.value(), crate::with_causes(&error));
                tracing::error!(key, error, "a stored document is skipped");
            }
        }
    }
    Ok(documents)
}

pub fn audit(view: &ReadTransaction, query: AuditQuery) -> Result<AuditPage, StoreError> {
    let mut page = AuditPage::default();
    for entry in view.open_table(AUDIT)?.range(query.after.0 + 1..)? {
        let (position, record) = entry?;
        if page.items.len() >= query.items_max {
            page.next = page.items.last().map(|(position, _)| *position);
            break;
        }
        page.items.push((Position(position.value()), AuditRecord::decode(record.value())?));
    }
    Ok(page)
}

/// In the order of the keys.
pub fn usage(view: &ReadTransaction, query: &UsageQuery) -> Result<Vec<Usage>, StoreError> {
    let (Hour(from), Hour(until)) = (query.from, query.until_now());
    let mut found = Vec::new();
    if from >= until {
        return Ok(found);
    }
    for entry in view.open_table(USAGE)?.range((from, "", "", "")..(until, "", "", ""))? {
        let (key, row) = entry?;
        let (hour, workspace, user, session) = key.value();
        if query.wants(workspace, user, session) {
            let of = usage::key(Hour(hour), workspace, user, session);
            found.extend(of.map(|of| Usage { of, counted: usage::decode(row.value()) }));
        }
    }
    Ok(found)
}

pub fn activity(
    view: &ReadTransaction,
    session: &SessionId,
) -> Result<Vec<(Name, Activity)>, StoreError> {
    let table = view.open_table(ACTIVITY)?;
    let kept = table.get(session.as_str())?;
    Ok(kept.map_or_else(Vec::new, |kept| usage::read_lines(kept.value().1)))
}

pub fn identity(view: &ReadTransaction) -> Result<Arc<str>, StoreError> {
    let identity = view.open_table(TEXTS)?.get(IDENTITY)?;
    Ok(identity.map_or_else(Arc::default, |identity| identity.value().into()))
}

/// The changes behind `after`, which is before the newest.
pub fn changes(
    view: &ReadTransaction,
    after: Position,
) -> Result<Result<Vec<Entry>, Gap>, StoreError> {
    let log = view.open_table(LOG)?;
    let mut changes = Vec::new();
    let expected = after.0 + 1..;
    for (entry, expected) in log.range(expected.clone())?.zip(expected) {
        let (position, change) = entry?;
        if position.value() != expected {
            return Ok(Err(Gap));
        }
        let (kind, at, payload) = change.value();
        let position = Position(expected);
        let change = Change::found(position, kind, payload);
        changes.push(Entry { position, at: Timestamp(at), change });
        if changes.len() >= limits::CHANGES_PER_READ_MAX {
            break;
        }
    }
    Ok(if changes.is_empty() { Err(Gap) } else { Ok(changes) })
}

/// A page that is being put together.
struct Gathered<'q> {
    query: &'q Query,
    page: Page,
    last: Option<SessionId>,
    looked_at: usize,
}

impl Gathered<'_> {
    fn is_full(&self) -> bool {
        self.page.items.len() >= self.query.items_max || self.looked_at >= limits::PAGE_SCAN_MAX
    }

    /// A record that cannot be read is left out; the feed has named it in the log.
    fn add(&mut self, id: &str, bytes: &[u8]) {
        self.looked_at += 1;
        self.last = SessionId::parse(id).ok().or(self.last.take());
        let Ok(record) = Record::decode(bytes) else { return };
        if self.query.wants(&record) {
            self.page.items.push(record);
        }
    }

    fn with_more(self) -> Page {
        Page { next: self.last, ..self.page }
    }
}
