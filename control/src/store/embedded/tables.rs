//! The tables of the embedded store, and what a write does to them inside a transaction. It must
//! not know of threads, batches or files; reading is in `views`.

mod documents;
mod once;
mod prepare;
mod redeemed;
mod sessions;
mod usage;

use portico_core::record::AuditRecord;
use portico_core::session::Timestamp;
use redb::{ReadableTable, StorageError, Table, TableDefinition, TableError, WriteTransaction};

use super::super::{Author, Bounds, Change, Conflict, Position, StoreError, Stored, Write};

pub use prepare::prepare;
pub use usage::{ACTIVITY, USAGE, UsageTables};

/// id → record.
pub const SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("sessions");
/// label → id of the session that has it.
const LABELS: TableDefinition<&str, &str> = TableDefinition::new("labels");
/// (workspace, id): the index behind lists of one workspace.
pub const WORKSPACES: TableDefinition<(&str, &str), ()> = TableDefinition::new("workspaces");
/// workspace → how many sessions it has, where it has any.
const COUNTS: TableDefinition<&str, u64> = TableDefinition::new("counts");
/// position of the deletion → label, so that the oldest is found first; and back.
pub const TOMBSTONES: TableDefinition<u64, &str> = TableDefinition::new("tombstones");
const TOMBSTONE_LABELS: TableDefinition<&str, u64> = TableDefinition::new("tombstone_labels");
/// `kind/name` → document.
pub const DOCUMENTS: TableDefinition<&str, &[u8]> = TableDefinition::new("documents");
/// position → kind, time and payload of an `Entry`.
pub const LOG: TableDefinition<u64, (&str, u64, &[u8])> = TableDefinition::new("log2");
/// position → audit record.
pub const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");
/// idempotency key → its place in the order, fingerprint of the request, id of the session.
const ONCE: TableDefinition<&str, (u64, &str, &str)> = TableDefinition::new("once");
/// position of the creation → idempotency key and when it may be forgotten.
const ONCE_ORDER: TableDefinition<u64, (&str, u64)> = TableDefinition::new("once_order");
/// ticket → when it may be forgotten, in milliseconds; and the other way round.
const REDEEMED: TableDefinition<&str, u64> = TableDefinition::new("redeemed");
const REDEEMED_ORDER: TableDefinition<(u64, &str), ()> = TableDefinition::new("redeemed_order");
pub const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
pub const TEXTS: TableDefinition<&str, &str> = TableDefinition::new("texts");

/// Keys of `NUMBERS`: the newest position, which outlives the log's entries, and the form of all
/// this. Key of `TEXTS`: who this store is.
pub const POSITION: &str = "position";
const FORM: &str = "form";
pub const IDENTITY: &str = "identity";

/// The tables inside a write transaction. Each write checks first and changes then, so that a
/// refused one leaves nothing behind.
pub struct Tables<'t> {
    sessions: Table<'t, &'static str, &'static [u8]>,
    labels: Table<'t, &'static str, &'static str>,
    workspaces: Table<'t, (&'static str, &'static str), ()>,
    counts: Table<'t, &'static str, u64>,
    tombstones: Table<'t, u64, &'static str>,
    tombstone_labels: Table<'t, &'static str, u64>,
    documents: Table<'t, &'static str, &'static [u8]>,
    log: Table<'t, u64, (&'static str, u64, &'static [u8])>,
    audit: Table<'t, u64, &'static [u8]>,
    once: Table<'t, &'static str, (u64, &'static str, &'static str)>,
    once_order: Table<'t, u64, (&'static str, u64)>,
    redeemed: Table<'t, &'static str, u64>,
    redeemed_order: Table<'t, (u64, &'static str), ()>,
    numbers: Table<'t, &'static str, u64>,
    position: Position,
    bounds: Bounds,
}

type Outcome = Result<Result<Stored, Conflict>, StoreError>;

impl<'t> Tables<'t> {
    pub fn open(transaction: &'t WriteTransaction, bounds: Bounds) -> Result<Self, TableError> {
        let numbers = transaction.open_table(NUMBERS)?;
        let position = Position(numbers.get(POSITION)?.map_or(0, |position| position.value()));
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            labels: transaction.open_table(LABELS)?,
            workspaces: transaction.open_table(WORKSPACES)?,
            counts: transaction.open_table(COUNTS)?,
            tombstones: transaction.open_table(TOMBSTONES)?,
            tombstone_labels: transaction.open_table(TOMBSTONE_LABELS)?,
            documents: transaction.open_table(DOCUMENTS)?,
            log: transaction.open_table(LOG)?,
            audit: transaction.open_table(AUDIT)?,
            once: transaction.open_table(ONCE)?,
            once_order: transaction.open_table(ONCE_ORDER)?,
            redeemed: transaction.open_table(REDEEMED)?,
            redeemed_order: transaction.open_table(REDEEMED_ORDER)?,
            numbers,
            position,
            bounds,
        })
    }

    /// Of the newest change, with those of this transaction.
    pub fn position(&self) -> Position {
        self.position
    }

    pub fn write(&mut self, write: Write, by: Author) -> Outcome {
        let at = by.at;
        let outcome = match &write {
            Write::Put { session, expected, once, room } => {
                self.put(session, *expected, once.as_ref(), *room, at)
            }
            Write::Delete { id, expected } => self.delete(id, *expected, at),
            Write::PutDocument { key, body, expected } => {
                self.put_document(key, body, *expected, at)
            }
            Write::DeleteDocument { key, expected } => self.delete_document(key, *expected, at),
            Write::Redeem { ticket, until, .. } => self.redeem(ticket, *until, at),
            Write::Note { .. } => {
                self.append(&Change::Noted, at)?;
                Ok(Ok(Stored::Nothing))
            }
        }?;
        if let Ok(stored) = &outcome {
            self.note(&write.audit(stored, by))?;
        }
        Ok(outcome)
    }

    /// To be called once, at the end of a transaction that wrote.
    pub fn finish(&mut self) -> Result<(), StorageError> {
        let keep_from = |entries: usize| (self.position.0 + 1).saturating_sub(entries as u64);
        let (log_from, audit_from) =
            (keep_from(self.bounds.log_entries), keep_from(self.bounds.audit_records));
        while self.log.first()?.is_some_and(|(oldest, _)| oldest.value() < log_from) {
            self.log.pop_first()?;
        }
        while self.audit.first()?.is_some_and(|(oldest, _)| oldest.value() < audit_from) {
            self.audit.pop_first()?;
        }
        self.numbers.insert(POSITION, self.position.0)?;
        Ok(())
    }

    fn append(&mut self, change: &Change, Timestamp(at): Timestamp) -> Result<(), StorageError> {
        self.position.0 += 1;
        self.log.insert(self.position.0, (change.kind(), at, change.payload().as_slice()))?;
        Ok(())
    }

    /// At the position of the change that it is about, or of what that change brought with it.
    fn note(&mut self, record: &AuditRecord) -> Result<(), StorageError> {
        self.audit.insert(self.position.0, record.encode().as_slice())?;
        Ok(())
    }
}
