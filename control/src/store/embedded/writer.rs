//! The one thread that writes. It takes all that waits (bounded) into one transaction, so that many
//! writes share one fsync, and answers each only after the commit. Only how and when to commit is
//! decided here; what a write does to the tables is in `tables`.

use std::sync::Arc;

use portico_core::limits;
use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::{
    Added, Author, Bounds, Conflict, Position, StoreError, Stored, UsageBatch, Write,
};
use super::tables::{Tables, UsageTables};

pub enum Job {
    Write { write: Write, by: Author, reply: Reply<Result<Stored, Conflict>> },
    Usage { batch: UsageBatch, reply: Reply<Added> },
}

pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

type Outcome = Result<Result<Stored, Conflict>, StoreError>;

/// What is to be answered once the transaction is committed.
enum Done {
    Write(Reply<Result<Stored, Conflict>>, Outcome),
    Usage(Reply<Added>, Added),
}

/// Ends when the queue's last sender is gone.
pub fn run(
    database: &Database,
    mut jobs: mpsc::Receiver<Job>,
    announce: &watch::Sender<Position>,
    bounds: Bounds,
) {
    let mut batch = Vec::with_capacity(limits::STORE_BATCH_MAX);
    while jobs.blocking_recv_many(&mut batch, limits::STORE_BATCH_MAX) > 0 {
        let mut done = Vec::with_capacity(batch.len());
        let mut waiting = batch.drain(..);
        match commit(database, &mut waiting, &mut done, bounds) {
            Ok(position) => {
                // Followers first: they are the ones who make the change work.
                announce.send_replace(position);
                done.into_iter().for_each(Done::answer);
            }
            Err(error) => {
                let writes = done.len() + waiting.len();
                tracing::error!(error = %error, writes, "the store cannot write");
                done.into_iter().for_each(|done| done.fail(&error));
                waiting.for_each(|job| job.fail(&error));
            }
        }
    }
}

/// All of the jobs in one transaction. A write that is refused leaves the others standing; a
/// failure of the file takes all of them back.
fn commit(
    database: &Database,
    jobs: &mut impl Iterator<Item = Job>,
    done: &mut Vec<Done>,
    bounds: Bounds,
) -> Result<Position, Arc<redb::Error>> {
    let mut transaction = database.begin_write().map_err(shared)?;
    transaction.set_durability(Durability::Immediate).map_err(shared)?;
    let mut tables = Tables::open(&transaction, bounds).map_err(shared)?;
    let mut usage = None;
    let before = tables.position();
    for job in jobs {
        match job {
            Job::Write { write, by, reply } => {
                let outcome = tables.write(write, by);
                let failure = match &outcome {
                    Err(StoreError::Failed(error)) => Some(error.clone()),
                    _ => None,
                };
                done.push(Done::Write(reply, outcome));
                failure.map_or(Ok(()), Err)?;
            }
            Job::Usage { batch, reply } => {
                // Until it is known better.
                done.push(Done::Usage(reply, Added::Before));
                let tables = match &mut usage {
                    Some(tables) => tables,
                    None => usage.insert(UsageTables::open(&transaction).map_err(shared)?),
                };
                let added = tables.add(&batch).map_err(shared)?;
                if let Some(Done::Usage(_, known)) = done.last_mut() {
                    *known = added;
                }
            }
        }
    }
    let after = tables.position();
    if before != after {
        tables.finish().map_err(shared)?;
    }
    let has_changed = before != after || usage.is_some();
    drop((tables, usage));
    match has_changed {
        true => transaction.commit().map_err(shared)?,
        false => transaction.abort().map_err(shared)?,
    }
    Ok(after)
}

impl Job {
    fn fail(self, error: &Arc<redb::Error>) {
        let failed = StoreError::Failed(error.clone());
        // As below.
        match self {
            Self::Write { reply, .. } => drop(reply.send(Err(failed))),
            Self::Usage { reply, .. } => drop(reply.send(Err(failed))),
        }
    }
}

impl Done {
    /// A caller that went away has no use for the answer; what was written stands.
    fn answer(self) {
        match self {
            Self::Write(reply, outcome) => drop(reply.send(outcome)),
            Self::Usage(reply, added) => drop(reply.send(Ok(added))),
        }
    }

    fn fail(self, error: &Arc<redb::Error>) {
        let failed = StoreError::Failed(error.clone());
        match self {
            Self::Write(reply, _) => drop(reply.send(Err(failed))),
            Self::Usage(reply, _) => drop(reply.send(Err(failed))),
        }
    }
}

fn shared(error: impl Into<redb::Error>) -> Arc<redb::Error> {
    Arc::new(error.into())
}
