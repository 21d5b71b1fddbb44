//! The one thread that writes. It takes all that waits (bounded) into one transaction, so that many
//! writes share one fsync, and answers each only after the commit. Only how and when to commit is
//! decided here; what a write does to the tables is in `tables`.

use std::sync::Arc;

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::record::Version;
use portico_core::session::Session;
use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot, watch};

use super::super::{Bounds, Deleted, Expected, Position, StoreError};
use super::tables::Tables;

pub struct Job {
    pub write: Write,
    pub reply: oneshot::Sender<Outcome>,
}

pub enum Write {
    Put { session: Session, expected: Expected },
    Delete { id: SessionId, expected: Option<Version> },
}

/// Of a put, too: there is always a record then.
pub type Outcome = Result<Deleted, StoreError>;

/// Ends when the queue's last sender is gone.
pub fn run(
    database: &Database,
    mut jobs: mpsc::Receiver<Job>,
    announce: &watch::Sender<Position>,
    bounds: Bounds,
) {
    let mut batch = Vec::with_capacity(limits::STORE_BATCH_MAX);
    while jobs.blocking_recv_many(&mut batch, limits::STORE_BATCH_MAX) > 0 {
        let (writes, replies): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|job| (job.write, job.reply)).unzip();
        match commit(database, writes, bounds) {
            Ok((position, outcomes)) => {
                // Followers first: they are the ones who make the change work.
                announce.send_replace(position);
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    // A caller that went away has no use for the answer; the write stands.
                    let _ = reply.send(outcome);
                }
            }
            Err(error) => {
                tracing::error!(error = %error, writes = replies.len(), "the store cannot write");
                for reply in replies {
                    let _ = reply.send(Err(StoreError::Failed(error.clone())));
                }
            }
        }
    }
}

/// All of the writes in one transaction. A write that is refused leaves the others standing; a
/// failure of the file takes all of them back.
fn commit(
    database: &Database,
    writes: Vec<Write>,
    bounds: Bounds,
) -> Result<(Position, Vec<Outcome>), Arc<redb::Error>> {
    let mut transaction = database.begin_write().map_err(shared)?;
    transaction.set_durability(Durability::Immediate).map_err(shared)?;
    let mut tables = Tables::open(&transaction, bounds).map_err(shared)?;
    let before = tables.position();
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        let outcome = match write {
            Write::Put { session, expected } => {
                tables.put(session, expected).map(|written| written.map(Some))
            }
            Write::Delete { id, expected } => tables.delete(&id, expected),
        };
        match outcome {
            Err(StoreError::Failed(error)) => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    let after = tables.position();
    if before == after {
        drop(tables);
        transaction.abort().map_err(shared)?;
    } else {
        tables.finish().map_err(shared)?;
        drop(tables);
        transaction.commit().map_err(shared)?;
    }
    Ok((after, outcomes))
}

fn shared(error: impl Into<redb::Error>) -> Arc<redb::Error> {
    Arc::new(error.into())
}
