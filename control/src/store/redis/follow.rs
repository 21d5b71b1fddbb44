//! Following the change log on a connection of its own, because a read that waits inside Redis
//! holds up everything behind it. When the caller goes away in the middle the connection goes too.
//!
//! Positions mean something within one reign: when a replica takes over, or Redis comes back from a
//! crash, the newest changes can be lost and their positions given to others. Under another reign
//! than that of the snapshot there is a gap, whatever the positions say. One follower is assumed
//! (a process has one feed): only the first to ask is told.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portico_core::label::Label;
use portico_core::limits;
use portico_core::session::Timestamp;
use redis::Pipeline;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};

use super::super::{Change, Entry, Gap, Position, StoreError};
use super::Failure;
use super::line::{Line, in_time};
use super::reads::position;
use super::server::{Purpose, Server};

const FOLLOW: Purpose = Purpose {
    response_timeout: Duration::from_secs(
        limits::REDIS_FOLLOW_WAIT.as_secs() + limits::REDIS_RESPONSE_TIMEOUT.as_secs(),
    ),
    scripts: &[],
};

/// A connection that the last follower left in order.
#[derive(Default)]
pub struct Follow {
    line: Mutex<Option<Line>>,
    /// Of the last snapshot, or of what was followed since.
    reign: Mutex<Option<String>>,
}

impl Follow {
    pub fn begin(&self, reign: &str) {
        *self.reign.lock().unwrap_or_else(PoisonError::into_inner) = Some(reign.to_owned());
    }

    /// The connection, which was greeted by the store as it was.
    pub fn forget(&self) {
        *self.place() = None;
    }

    fn is_another_reign(&self, reign: &str) -> bool {
        let mut known = self.reign.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.replace(reign.to_owned());
        before.is_some_and(|before| before != reign)
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Line>> {
        // Taken and put whole, so what a panic left is as good as any.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub async fn changes(
        &self,
        server: &Server,
        after: Position,
    ) -> Result<Result<Vec<Entry>, Gap>, StoreError> {
        let kept = self.place().take();
        let mut line = match kept {
            Some(line) => line,
            None => in_time(server.connect(FOLLOW)).await?,
        };
        server.check(&line.greeting.identity, &line.greeting.form)?;
        if self.is_another_reign(&line.greeting.reign) {
            *self.place() = Some(line);
            return Ok(Err(Gap));
        }
        // An error leaves the connection out: the next try is made on a new one.
        let found = changes(&mut line, server, after).await?;
        *self.place() = Some(line);
        let Some(found) = found else { return Ok(Err(Gap)) };
        Ok(Ok(found.iter().map(entry).collect::<Result<_, _>>()?))
    }
}

/// Nothing for a gap.
async fn changes(
    line: &mut Line,
    server: &Server,
    after: Position,
) -> Result<Option<Vec<StreamId>>, Failure> {
    let keys = &server.keys;
    let count = limits::CHANGES_PER_READ_MAX;
    let mut look = Pipeline::new();
    look.cmd("MGET").arg(keys.identity()).arg(keys.form()).arg(keys.position());
    let mut range = Pipeline::new();
    range.cmd("XRANGE").arg(keys.log()).arg(format!("{}-0", after.0 + 1)).arg("+");
    range.arg("COUNT").arg(count);
    let mut wait = Pipeline::new();
    wait.cmd("XREAD").arg("COUNT").arg(count);
    wait.arg("BLOCK").arg(limits::REDIS_FOLLOW_WAIT.as_millis() as u64);
    wait.arg("STREAMS").arg(keys.log()).arg(format!("{}-0", after.0));
    loop {
        type Look = (Option<String>, Option<String>, Option<u64>);
        let ((identity, form, newest),): (Look,) = line.ask(&look).await?;
        server.check(&identity.unwrap_or_default(), &form.unwrap_or_default())?;
        let newest = Position(newest.unwrap_or_default());
        let entries = if newest > after {
            let (range,): (StreamRangeReply,) = line.ask(&range).await?;
            range.ids
        } else if newest == after {
            let (read,): (Option<StreamReadReply>,) = line.ask(&wait).await?;
            match read.and_then(|read| read.keys.into_iter().next()) {
                Some(log) => log.ids,
                None => continue,
            }
        } else {
            return Ok(None);
        };
        return Ok(is_next(&entries, after)?.then_some(entries));
    }
}

/// Whether the first one is right behind `after`: otherwise those before it were trimmed.
fn is_next(entries: &[StreamId], after: Position) -> Result<bool, Failure> {
    match entries.first() {
        Some(first) => Ok(position(first)?.0 == after.0 + 1),
        None => Ok(false),
    }
}

fn entry(entry: &StreamId) -> Result<Entry, Failure> {
    let strange = || Failure::Strange("a Redis");
    let kind: String = entry.get("kind").ok_or_else(strange)?;
    let at = entry.get("at").map(Timestamp).ok_or_else(strange)?;
    let payload: Vec<u8> = entry.get("payload").ok_or_else(strange)?;
    let position = position(entry)?;
    let change = match Change::found(position, &kind, &payload) {
        // Its label stands beside it.
        Change::Unreadable(why) if kind == "deleted" => {
            let label = entry.get::<String>("label").and_then(|label| Label::parse(&label).ok());
            label.map_or(Change::Unreadable(why), Change::Gone)
        }
        change => change,
    };
    Ok(Entry { position, at, change })
}
