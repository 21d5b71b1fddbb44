//! Quotas in the embedded store: tables of their own, written in transactions of their own, because
//! they have no place in the log that the writer's writes have.

use portico_core::limits;
use portico_core::quota::{Batch, Delta, Part, Total};
use portico_core::session::Timestamp;
use redb::{
    Database, Durability, ReadableTable, StorageError, Table, TableDefinition, TableError,
    WriteTransaction,
};

use super::super::StoreError;
use super::super::quotas::name;

type Kept = (u64, Vec<(u64, u64)>);

/// window → when it may be forgotten, and its parts: moment and bytes.
const WINDOWS: TableDefinition<&str, Kept> = TableDefinition::new("quota_windows");
/// The other way round.
const WINDOWS_ORDER: TableDefinition<(u64, &str), ()> = TableDefinition::new("quota_windows_order");
/// writer → its last number, and when that may be forgotten.
const WRITERS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("quota_writers");

struct Tables<'t> {
    windows: Table<'t, &'static str, Kept>,
    order: Table<'t, (u64, &'static str), ()>,
    writers: Table<'t, &'static str, (u64, u64)>,
}

/// Waits for the writer's transaction, if one is under way.
pub fn charge(database: &Database, batch: &Batch) -> Result<Vec<Total>, StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let (totals, is_changed) = {
        let mut tables = Tables::open(&transaction)?;
        let counts = tables.take_number(batch)?;
        let mut totals = Vec::with_capacity(batch.deltas.len());
        for delta in &batch.deltas {
            totals.push(tables.count(delta, counts, batch.at)?);
        }
        let is_changed = counts && batch.deltas.iter().any(|delta| !delta.parts.is_empty());
        if is_changed {
            tables.forget(batch.at)?;
        }
        (totals, is_changed)
    };
    // Who only asked costs no commit; that its number is not kept does no harm.
    if is_changed {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(totals)
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            windows: transaction.open_table(WINDOWS)?,
            order: transaction.open_table(WINDOWS_ORDER)?,
            writers: transaction.open_table(WRITERS)?,
        })
    }

    /// Whether the batch counts.
    fn take_number(&mut self, batch: &Batch) -> Result<bool, StorageError> {
        let writer = batch.writer.as_str();
        let last = self.writers.get(writer)?.map(|last| last.value().0);
        if last.is_some_and(|last| batch.number <= last) {
            return Ok(false);
        }
        if last.is_none() {
            // As many as there were starts of the process in that time.
            self.writers.retain(|_, (_, until)| until > batch.at.0)?;
        }
        let until = batch.at.plus(limits::QUOTA_WRITER_TTL).0;
        self.writers.insert(writer, (batch.number, until))?;
        Ok(true)
    }

    fn count(
        &mut self,
        delta: &Delta,
        counts: bool,
        now: Timestamp,
    ) -> Result<Total, StorageError> {
        let (name, span) = (name(&delta.of), delta.of.span);
        let kept = self.windows.get(name.as_str())?.map(|kept| kept.value());
        let (until, kept) = kept.unwrap_or_default();
        let part = |(at, bytes)| Part { at: Timestamp(at), bytes };
        let kept = kept.into_iter().map(part).collect();
        let more: &[Part] = if counts { &delta.parts } else { &[] };
        let parts = span.count(kept, more, now);
        if !more.is_empty() {
            self.order.remove((until, name.as_str()))?;
            let until = span.forgotten_at(now).0;
            let pairs = parts.iter().map(|part| (part.at.0, part.bytes)).collect();
            self.windows.insert(name.as_str(), (until, pairs))?;
            self.order.insert((until, name.as_str()), ())?;
        }
        Ok(Total { of: delta.of.clone(), parts })
    }

    /// Oldest first.
    fn forget(&mut self, Timestamp(now): Timestamp) -> Result<(), StorageError> {
        for _ in 0..limits::QUOTAS_FORGET_PER_WRITE {
            let oldest = self.order.first()?.map(|(key, _)| {
                let (until, name) = key.value();
                (until, name.to_owned())
            });
            let Some((until, name)) = oldest.filter(|(until, _)| *until <= now) else { break };
            self.order.remove((until, name.as_str()))?;
            self.windows.remove(name.as_str())?;
        }
        Ok(())
    }
}
