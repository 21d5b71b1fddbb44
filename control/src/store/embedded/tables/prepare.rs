//! What happens to the tables when a store is opened: they are made, brought to today's form, and
//! named.

use redb::{Database, ReadableTable, TableDefinition};

use super::super::super::{Bounds, Position, StoreError, new_identity};
use super::{COUNTS, FORM, IDENTITY, NUMBERS, TEXTS, Tables, UsageTables, WORKSPACES};

const FORM_NOW: u64 = 2;
/// Of form 1. Followers of it load the snapshot.
const OLD_LOG: TableDefinition<u64, (&str, &[u8])> = TableDefinition::new("log");

/// Makes the tables that are missing, and says where the log ends.
pub fn prepare(database: &Database) -> Result<Position, StoreError> {
    let transaction = database.begin_write()?;
    let found = transaction.open_table(NUMBERS)?.get(FORM)?.map(|form| form.value());
    match found {
        Some(found) if found > FORM_NOW => return Err(StoreError::Newer { found }),
        Some(1) => {
            transaction.delete_table(OLD_LOG)?;
            let mut counts = transaction.open_table(COUNTS)?;
            for entry in transaction.open_table(WORKSPACES)?.iter()? {
                let (key, _) = entry?;
                let workspace = key.value().0;
                let count = counts.get(workspace)?.map_or(0, |count| count.value());
                counts.insert(workspace, count + 1)?;
            }
        }
        Some(_) | None => {}
    }
    transaction.open_table(NUMBERS)?.insert(FORM, FORM_NOW)?;
    {
        let mut texts = transaction.open_table(TEXTS)?;
        if texts.get(IDENTITY)?.is_none() {
            texts.insert(IDENTITY, new_identity()?.as_str())?;
        }
    }
    UsageTables::open(&transaction)?;
    let position = Tables::open(&transaction, Bounds::default())?.position();
    transaction.commit()?;
    Ok(position)
}
