//! The tables of the embedded store, and what a write does to them inside a transaction. It must
//! not know of threads, batches or files; reading is in `views`.

use portico_core::label::{Label, SessionId};
use portico_core::record::{Record, Version};
use portico_core::session::Session;
use redb::{
    Database, ReadableTable, ReadableTableMetadata, StorageError, Table, TableDefinition,
    TableError, WriteTransaction,
};

use super::super::{Bounds, Change, Conflict, Deleted, Expected, Position, StoreError, Written};

/// id → record.
pub const SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("sessions");
/// label → id of the session that has it.
const LABELS: TableDefinition<&str, &str> = TableDefinition::new("labels");
/// (workspace, id): the index behind lists of one workspace.
pub const WORKSPACES: TableDefinition<(&str, &str), ()> = TableDefinition::new("workspaces");
/// position of the deletion → label, so that the oldest is found first; and back.
pub const TOMBSTONES: TableDefinition<u64, &str> = TableDefinition::new("tombstones");
const TOMBSTONE_LABELS: TableDefinition<&str, u64> = TableDefinition::new("tombstone_labels");
/// position → kind and payload of a `Change`.
pub const LOG: TableDefinition<u64, (&str, &[u8])> = TableDefinition::new("log");
pub const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");

/// Keys of `NUMBERS`: the newest position, which outlives the log's entries, and the form of all
/// this.
pub const POSITION: &str = "position";
const FORM: &str = "form";
const FORM_NOW: u64 = 1;

/// The tables inside a write transaction. Each write checks first and changes then, so that a
/// refused one leaves nothing behind.
pub struct Tables<'t> {
    sessions: Table<'t, &'static str, &'static [u8]>,
    labels: Table<'t, &'static str, &'static str>,
    workspaces: Table<'t, (&'static str, &'static str), ()>,
    tombstones: Table<'t, u64, &'static str>,
    tombstone_labels: Table<'t, &'static str, u64>,
    log: Table<'t, u64, (&'static str, &'static [u8])>,
    numbers: Table<'t, &'static str, u64>,
    position: Position,
    bounds: Bounds,
}

/// Makes the tables that are missing, and says where the log ends.
pub fn prepare(database: &Database) -> Result<Position, StoreError> {
    let transaction = database.begin_write()?;
    let position = {
        let mut tables = Tables::open(&transaction, Bounds::default())?;
        let found = tables.numbers.get(FORM)?.map(|form| form.value());
        match found {
            Some(found) if found > FORM_NOW => return Err(StoreError::Newer { found }),
            Some(_) => {}
            None => {
                tables.numbers.insert(FORM, FORM_NOW)?;
            }
        }
        tables.position
    };
    transaction.commit()?;
    Ok(position)
}

impl<'t> Tables<'t> {
    pub fn open(transaction: &'t WriteTransaction, bounds: Bounds) -> Result<Self, TableError> {
        let numbers = transaction.open_table(NUMBERS)?;
        let position = Position(numbers.get(POSITION)?.map_or(0, |position| position.value()));
        Ok(Self {
            sessions: transaction.open_table(SESSIONS)?,
            labels: transaction.open_table(LABELS)?,
            workspaces: transaction.open_table(WORKSPACES)?,
            tombstones: transaction.open_table(TOMBSTONES)?,
            tombstone_labels: transaction.open_table(TOMBSTONE_LABELS)?,
            log: transaction.open_table(LOG)?,
            numbers,
            position,
            bounds,
        })
    }

    /// Of the newest change, with those of this transaction.
    pub fn position(&self) -> Position {
        self.position
    }

    pub fn put(&mut self, session: Session, expected: Expected) -> Result<Written, StoreError> {
        let current = self.current(&session.id)?;
        if let Err(conflict) = self.check_put(&session, expected, current.as_ref())? {
            return Ok(Err(conflict));
        }
        if let Some(current) = current {
            let of = (current.session.workspace.as_str(), session.id.as_str());
            self.workspaces.remove(of)?;
        }
        self.drop_tombstone(&session.label)?;
        let record = Record { session, version: Version(self.position.0 + 1) };
        let Session { id, label, workspace, .. } = &record.session;
        self.labels.insert(label.as_str(), id.as_str())?;
        self.workspaces.insert((workspace.as_str(), id.as_str()), ())?;
        self.sessions.insert(id.as_str(), record.encode().as_slice())?;
        self.append(&Change::Put(record.clone()))?;
        Ok(Ok(record))
    }

    pub fn delete(
        &mut self,
        id: &SessionId,
        expected: Option<Version>,
    ) -> Result<Deleted, StoreError> {
        let record = match self.current(id) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Err(Conflict::Missing)),
            Err(error @ StoreError::Record(_)) if expected.is_none() => {
                return if self.delete_unreadable(id)? { Ok(Ok(None)) } else { Err(error) };
            }
            Err(error) => return Err(error),
        };
        if expected.is_some_and(|expected| expected != record.version) {
            return Ok(Err(Conflict::Changed(record.version)));
        }
        let Session { label, workspace, .. } = &record.session;
        self.sessions.remove(id.as_str())?;
        self.labels.remove(label.as_str())?;
        self.workspaces.remove((workspace.as_str(), id.as_str()))?;
        self.bury(label)?;
        Ok(Ok(Some(record)))
    }

    /// What its record does not say is found in the indexes. That looks at all of them, which is
    /// fine for what should never be needed. Without a label there is nothing to tell followers.
    fn delete_unreadable(&mut self, id: &SessionId) -> Result<bool, StoreError> {
        let mut label = None;
        for entry in self.labels.iter()? {
            let (of, named) = entry?;
            if named.value() == id.as_str() {
                label = Label::parse(of.value()).ok();
            }
        }
        let Some(label) = label else { return Ok(false) };
        self.sessions.remove(id.as_str())?;
        self.labels.remove(label.as_str())?;
        self.workspaces.retain(|(_, of), ()| of != id.as_str())?;
        self.bury(&label)?;
        Ok(true)
    }

    fn bury(&mut self, label: &Label) -> Result<(), StoreError> {
        self.append(&Change::Gone(label.clone()))?;
        self.tombstones.insert(self.position.0, label.as_str())?;
        self.tombstone_labels.insert(label.as_str(), self.position.0)?;
        self.forget_tombstones()
    }

    /// To be called once, at the end of a transaction that wrote.
    pub fn finish(&mut self) -> Result<(), StorageError> {
        let keep_from = (self.position.0 + 1).saturating_sub(self.bounds.log_entries as u64);
        while self.log.first()?.is_some_and(|(oldest, _)| oldest.value() < keep_from) {
            self.log.pop_first()?;
        }
        self.numbers.insert(POSITION, self.position.0)?;
        Ok(())
    }

    fn current(&self, id: &SessionId) -> Result<Option<Record>, StoreError> {
        match self.sessions.get(id.as_str())? {
            Some(bytes) => Ok(Some(Record::decode(bytes.value())?)),
            None => Ok(None),
        }
    }

    fn check_put(
        &self,
        session: &Session,
        expected: Expected,
        current: Option<&Record>,
    ) -> Result<Result<(), Conflict>, StorageError> {
        Ok(match (expected, current) {
            (Expected::Absent, Some(_)) => Err(Conflict::IdTaken),
            (Expected::Version(_), None) => Err(Conflict::Missing),
            (Expected::Version(expected), Some(current)) if expected != current.version => {
                Err(Conflict::Changed(current.version))
            }
            (Expected::Version(_), Some(current)) if current.session.label != session.label => {
                Err(Conflict::LabelFixed)
            }
            (Expected::Version(_), Some(_)) => Ok(()),
            (Expected::Absent, None) => match self.labels.get(session.label.as_str())? {
                Some(_) => Err(Conflict::LabelTaken),
                None => Ok(()),
            },
        })
    }

    fn append(&mut self, change: &Change) -> Result<(), StorageError> {
        self.position.0 += 1;
        self.log.insert(self.position.0, (change.kind(), change.payload().as_slice()))?;
        Ok(())
    }

    fn drop_tombstone(&mut self, label: &Label) -> Result<(), StorageError> {
        let position = self.tombstone_labels.remove(label.as_str())?.map(|at| at.value());
        if let Some(position) = position {
            self.tombstones.remove(position)?;
        }
        Ok(())
    }

    fn forget_tombstones(&mut self) -> Result<(), StoreError> {
        while self.tombstones.len()? > self.bounds.tombstones as u64 {
            let oldest = self.tombstones.pop_first()?.map(|(_, label)| label.value().to_owned());
            let Some(oldest) = oldest else { break };
            self.tombstone_labels.remove(oldest.as_str())?;
            if let Ok(label) = Label::parse(&oldest) {
                self.append(&Change::Forgotten(label))?;
            }
        }
        Ok(())
    }
}
