//! Quotas in Redis: one script for a batch, on a connection of its own, so that counting and the
//! writes of sessions do not wait for each other. No replica is asked to confirm it: what a
//! failover loses is not counted, and nothing else.

use std::sync::Arc;

use portico_core::limits;
use portico_core::quota::{Batch, Delta, Kind, Part, Total};
use portico_core::session::Timestamp;
use redis::{Cmd, Pipeline};

use super::super::StoreError;
use super::line::{Line, Reader, in_time, is_broken};
use super::server::{Purpose, Server};
use super::{FORM_NOW, Failure};

const CHARGE: Purpose = Purpose {
    response_timeout: limits::REDIS_RESPONSE_TIMEOUT,
    scripts: &[concat!("#!lua\n", include_str!("ours.lua"), include_str!("charge_quotas.lua"))],
};

pub struct Quotas {
    server: Arc<Server>,
    reader: Reader,
}

impl Quotas {
    pub fn new(server: Arc<Server>) -> Self {
        Self { reader: Reader::for_purpose(server.clone(), CHARGE), server }
    }

    /// Asks once more where the connection turns out to be broken: the number keeps it from
    /// counting twice.
    pub async fn charge(&self, batch: &Batch) -> Result<Vec<Total>, StoreError> {
        let twice = async {
            match self.charge_once(batch).await {
                Err(failure) if is_broken(&failure) => self.charge_once(batch).await,
                answer => answer,
            }
        };
        let words = in_time(twice).await?;
        read(&words, batch, &self.server.identity())
    }

    async fn charge_once(&self, batch: &Batch) -> Result<Vec<String>, Failure> {
        let mut line = self.reader.line().await?;
        let mut pipe = Pipeline::with_capacity(1);
        pipe.add_command(self.command(batch, &line)?);
        let answer = line.ask::<(Vec<String>,)>(&pipe).await;
        if answer.as_ref().is_err_and(is_broken) {
            self.reader.forget(&line).await;
        }
        answer.map(|(words,)| words)
    }

    fn command(&self, batch: &Batch, line: &Line) -> Result<Cmd, Failure> {
        let digest = line.greeting.scripts.first().ok_or(Failure::Strange("SCRIPT LOAD"))?;
        let keys = &self.server.keys;
        let mut command = redis::cmd("EVALSHA");
        command.arg(digest).arg(3 + batch.deltas.len());
        command.arg(keys.identity()).arg(keys.form()).arg(keys.quota_writer(&batch.writer));
        for delta in &batch.deltas {
            command.arg(keys.quota(&delta.of));
        }
        command.arg(&*self.server.identity()).arg(FORM_NOW).arg(batch.number);
        command.arg(limits::QUOTA_WRITER_TTL.as_millis() as u64).arg(batch.at.0);
        for Delta { of, parts } in &batch.deltas {
            let (kind, bound) = match of.span.kind {
                Kind::Fixed => ("fixed", of.span.milliseconds()),
                Kind::Sliding => ("sliding", of.span.oldest_slot(batch.at).0),
            };
            let ttl = of.span.forgotten_at(batch.at).since(batch.at);
            let parts = parts.iter().filter(|part| part.bytes > 0);
            command.arg(kind).arg(bound).arg(ttl.as_millis() as u64).arg(parts.clone().count());
            for part in parts {
                command.arg(part.at.0).arg(part.bytes.min(limits::QUOTA_BYTES_MAX));
            }
        }
        Ok(command)
    }
}

fn read(words: &[String], batch: &Batch, known: &str) -> Result<Vec<Total>, StoreError> {
    let strange = || StoreError::from(Failure::Strange("a script"));
    let mut words = words.iter().map(String::as_str);
    match (words.next(), words.clone().next()) {
        (Some("ok"), _) => {}
        (Some("no"), Some("replaced")) => {
            let found = words.nth(1).filter(|found| !found.is_empty()).unwrap_or("none").to_owned();
            return Err(Failure::Replaced { known: known.into(), found }.into());
        }
        (Some("no"), Some("form")) => {
            return Err(Failure::Form(words.nth(1).unwrap_or_default().to_owned()).into());
        }
        _ => return Err(strange()),
    }
    let mut numbers = words.map(|word| word.parse::<u64>().ok());
    let mut number = || numbers.next().flatten().ok_or_else(strange);
    let mut totals = Vec::with_capacity(batch.deltas.len());
    for delta in &batch.deltas {
        let count = number()?;
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(Part { at: Timestamp(number()?), bytes: number()? });
        }
        totals.push(Total { of: delta.of.clone(), parts });
    }
    Ok(totals)
}
