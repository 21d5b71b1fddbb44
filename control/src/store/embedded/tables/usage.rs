//! What was counted of sessions and what is known of their activity. The tables are opened only
//! where a transaction has a batch of it.

use portico_core::activity::SessionActivity;
use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use portico_core::usage::{Hour, Usage};
use redb::{ReadableTable, StorageError, Table, TableDefinition, TableError, WriteTransaction};

use super::super::super::usage::{Added, UsageBatch, decode, encode, lines_with};

/// (hour, workspace, user, session) → numbers.
pub const USAGE: TableDefinition<(u32, &str, &str, &str), &[u8]> = TableDefinition::new("usage");
/// writer → its last number, and when it wrote that; and the other way round.
const WRITERS: TableDefinition<&str, (u64, u64)> = TableDefinition::new("usage_writers");
const WRITERS_ORDER: TableDefinition<(u64, &str), ()> = TableDefinition::new("usage_writers_order");
/// session → when somebody last said something of it, and what each writer did; and the other way
/// round.
pub const ACTIVITY: TableDefinition<&str, (u64, &str)> = TableDefinition::new("activity");
const ACTIVITY_ORDER: TableDefinition<(u64, &str), ()> = TableDefinition::new("activity_order");

pub struct UsageTables<'t> {
    usage: Table<'t, (u32, &'static str, &'static str, &'static str), &'static [u8]>,
    writers: Table<'t, &'static str, (u64, u64)>,
    writers_order: Table<'t, (u64, &'static str), ()>,
    activity: Table<'t, &'static str, (u64, &'static str)>,
    activity_order: Table<'t, (u64, &'static str), ()>,
}

impl<'t> UsageTables<'t> {
    pub fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            usage: transaction.open_table(USAGE)?,
            writers: transaction.open_table(WRITERS)?,
            writers_order: transaction.open_table(WRITERS_ORDER)?,
            activity: transaction.open_table(ACTIVITY)?,
            activity_order: transaction.open_table(ACTIVITY_ORDER)?,
        })
    }

    pub fn add(&mut self, batch: &UsageBatch) -> Result<Added, StorageError> {
        let last = self.writers.get(batch.writer.as_str())?.map(|entry| entry.value());
        if last.is_some_and(|(number, _)| batch.number <= number) {
            return Ok(Added::Before);
        }
        self.note_writer(batch, last.map(|(_, at)| at))?;
        for row in &batch.reading.usage {
            self.count(row)?;
        }
        for of in &batch.reading.activity {
            self.note_activity(&batch.writer, of, batch.at)?;
        }
        self.forget(batch.forgotten_before())?;
        Ok(Added::Now)
    }

    fn note_writer(
        &mut self,
        batch: &UsageBatch,
        last_at: Option<u64>,
    ) -> Result<(), StorageError> {
        let (writer, Timestamp(at)) = (batch.writer.as_str(), batch.at);
        if let Some(last_at) = last_at {
            self.writers_order.remove((last_at, writer))?;
        }
        self.writers.insert(writer, (batch.number, at))?;
        self.writers_order.insert((at, writer), ())?;
        Ok(())
    }

    fn count(&mut self, row: &Usage) -> Result<(), StorageError> {
        let of = &row.of;
        let key = (of.hour.0, of.workspace.as_str(), of.user.as_str(), of.session.as_str());
        let mut sum = row.counted;
        if let Some(before) = self.usage.get(key)? {
            sum += decode(before.value());
        }
        self.usage.insert(key, encode(&sum).as_slice())?;
        Ok(())
    }

    fn note_activity(
        &mut self,
        writer: &Name,
        SessionActivity { session, activity }: &SessionActivity,
        Timestamp(at): Timestamp,
    ) -> Result<(), StorageError> {
        let session = session.as_str();
        let kept = self.activity.get(session)?.map(|entry| {
            let (at, lines) = entry.value();
            (at, lines.to_owned())
        });
        let (last_at, lines) = kept.unzip();
        let lines = lines_with(&lines.unwrap_or_default(), writer, activity);
        if let Some(last_at) = last_at {
            self.activity_order.remove((last_at, session))?;
        }
        self.activity.insert(session, (at, lines.as_str()))?;
        self.activity_order.insert((at, session), ())?;
        Ok(())
    }

    fn forget(&mut self, before: Timestamp) -> Result<(), StorageError> {
        let Hour(first_kept) = Hour::of(before);
        for _ in 0..limits::USAGE_FORGET_PER_BATCH {
            let oldest = self.usage.first()?.map(|(key, _)| key.value().0);
            if oldest.is_none_or(|hour| hour >= first_kept) {
                break;
            }
            self.usage.pop_first()?;
        }
        forget_oldest(&mut self.writers_order, before, |writer| {
            self.writers.remove(writer).map(drop)
        })?;
        forget_oldest(&mut self.activity_order, before, |session| {
            self.activity.remove(session).map(drop)
        })
    }
}

fn forget_oldest(
    order: &mut Table<'_, (u64, &'static str), ()>,
    Timestamp(before): Timestamp,
    mut forget: impl FnMut(&str) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    for _ in 0..limits::USAGE_FORGET_PER_BATCH {
        if order.first()?.is_none_or(|(key, _)| key.value().0 >= before) {
            break;
        }
        let Some((key, _)) = order.pop_first()? else { break };
        forget(key.value().1)?;
    }
    Ok(())
}
