//! Usage and activity in Redis. An hour is two keys: a string of equally long rows, whose numbers
//! `BITFIELD` adds to (exactly, up to 2⁶³-1, and never beyond), and a hash that says whose row is
//! where. Both have a time to live, so that an old hour goes as a whole.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use portico_core::activity::Activity;
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::Name;
use portico_core::usage::{Hour, Usage};
use redis::Pipeline;

use super::super::StoreError;
use super::super::usage::{
    self, Added, NUMBERS, ROW_BYTES, SUMS, UsageBatch, UsageQuery, counted_of_words, numbers,
};
use super::line::Reader;
use super::scripts::{Call, Outcome};
use super::{Failure, Keys};

/// Between whose row it is: names have no control characters.
const SEPARATOR: char = '\0';
/// Rows of one answer (280 KB), unwanted ones between two wanted ones that it is cheaper to read,
/// and answers asked for at once.
const ROWS_PER_RANGE_MAX: u64 = 1_000;
const ROWS_SKIPPED_MAX: u64 = 8;
const RANGES_PER_PIPELINE: usize = 64;

impl Call {
    pub fn adding(batch: &UsageBatch) -> Self {
        let hours: BTreeSet<Hour> = batch.reading.usage.iter().map(|row| row.of.hour).collect();
        let hours: Vec<Hour> = hours.into_iter().collect();
        let mut call = Self::of_usage(hours.clone());
        call.text(batch.writer.as_str()).text(&format!("{:020}", batch.number));
        call.number(batch.at.0).number(batch.forgotten_before().0);
        call.number(limits::USAGE_FORGET_PER_BATCH as u64).number(NUMBERS as u64);
        call.number(limits::ACTIVITY_WRITERS_MAX as u64).number(hours.len() as u64);
        for hour in &hours {
            let end = hour.begins_at().plus(Hour::LENGTH).plus(limits::USAGE_RETENTION);
            call.number(end.0 / 1_000);
        }
        call.number(batch.reading.usage.len() as u64);
        for Usage { of, counted } in &batch.reading.usage {
            // It is among them.
            let hour = hours.binary_search(&of.hour).unwrap_or_default() + 1;
            let numbers = numbers(counted);
            let (workspace, user, session) = (&of.workspace, &of.user, &of.session);
            call.number(hour as u64);
            call.text(&format!("{workspace}{SEPARATOR}{user}{SEPARATOR}{session}"));
            call.number(numbers[SUMS]).text(&sums(&numbers));
        }
        for of in &batch.reading.activity {
            call.text(of.session.as_str()).text(&usage::words(&of.activity));
        }
        call
    }
}

impl Outcome {
    /// Of a batch that was added to the store whose identity is `known`.
    pub fn added(&self, known: &str) -> Result<Added, StoreError> {
        match self.checked(known)?[..] {
            ["ok", "now"] => Ok(Added::Now),
            ["ok", "before"] => Ok(Added::Before),
            _ => Err(Failure::Strange("a script").into()),
        }
    }
}

/// Those that are not 0, each behind its index.
fn sums(numbers: &[u64; NUMBERS]) -> String {
    let mut words = String::new();
    for (index, number) in numbers[..SUMS].iter().enumerate().filter(|(_, number)| **number > 0) {
        // Writing to a String cannot fail.
        let _ = write!(words, "{index} {} ", (*number).min(i64::MAX as u64));
    }
    words
}

pub async fn usage(
    reader: &Reader,
    keys: &Keys,
    query: &UsageQuery,
) -> Result<Vec<Usage>, StoreError> {
    let hours: Vec<Hour> = (query.from.0..query.until_now().0).map(Hour).collect();
    let mut found = Vec::new();
    if hours.is_empty() {
        return Ok(found);
    }
    let mut pipe = Pipeline::new();
    for hour in &hours {
        pipe.cmd("HLEN").arg(keys.usage_slots(*hour));
    }
    let lengths: Vec<u64> = reader.ask(&pipe).await?;
    for (hour, _) in hours.iter().zip(lengths).filter(|(_, length)| *length > 0) {
        let mut pipe = Pipeline::new();
        pipe.cmd("HGETALL").arg(keys.usage_slots(*hour));
        let (slots,): (Vec<(String, u64)>,) = reader.ask(&pipe).await?;
        let mut wanted: Vec<(u64, Usage)> = slots
            .into_iter()
            .filter_map(|(whose, slot)| Some((slot, wanted(*hour, &whose, query)?)))
            .collect();
        wanted.sort_unstable_by_key(|(slot, _)| *slot);
        read_rows(reader, &keys.usage_rows(*hour), &mut wanted).await?;
        let mut rows: Vec<Usage> = wanted.into_iter().map(|(_, row)| row).collect();
        rows.sort_unstable_by(|one, other| one.of.cmp(&other.of));
        found.append(&mut rows);
    }
    Ok(found)
}

fn wanted(hour: Hour, whose: &str, query: &UsageQuery) -> Option<Usage> {
    let mut names = whose.split(SEPARATOR);
    let (workspace, user, session) = (names.next()?, names.next()?, names.next()?);
    let is_wanted = query.wants(workspace, user, session);
    let of = is_wanted.then(|| usage::key(hour, workspace, user, session)).flatten()?;
    Some(Usage { of, counted: Default::default() })
}

/// Fills in the numbers of rows in the order of their slots.
async fn read_rows(
    reader: &Reader,
    key: &str,
    rows: &mut [(u64, Usage)],
) -> Result<(), StoreError> {
    let mut ranges: Vec<(u64, &mut [(u64, Usage)])> = Vec::new();
    let mut rest = rows;
    while let Some((first, _)) = rest.first() {
        let (first, mut count) = (*first, 1);
        while let (Some((last, _)), Some((next, _))) = (rest.get(count - 1), rest.get(count))
            && next - last <= ROWS_SKIPPED_MAX
            && next - first < ROWS_PER_RANGE_MAX
        {
            count += 1;
        }
        let (range, others) = rest.split_at_mut(count);
        ranges.push((first, range));
        rest = others;
    }
    for ranges in ranges.chunks_mut(RANGES_PER_PIPELINE) {
        let mut pipe = Pipeline::new();
        for (first, range) in &*ranges {
            let last = range.last().map_or(*first, |(last, _)| *last);
            let bytes = ROW_BYTES as u64;
            pipe.cmd("GETRANGE").arg(key).arg(first * bytes).arg((last + 1) * bytes - 1);
        }
        let answers: Vec<Vec<u8>> = reader.ask(&pipe).await?;
        for ((first, range), bytes) in ranges.iter_mut().zip(answers) {
            for (slot, row) in range.iter_mut() {
                // A row whose numbers are 0 up to the end was never written.
                let from = ((*slot - *first) as usize * ROW_BYTES).min(bytes.len());
                let until = (from + ROW_BYTES).min(bytes.len());
                row.counted = counted_of_words(&bytes[from..until]);
            }
        }
    }
    Ok(())
}

pub async fn activity(
    reader: &Reader,
    keys: &Keys,
    session: &SessionId,
) -> Result<Vec<(Name, Activity)>, StoreError> {
    let mut pipe = Pipeline::new();
    pipe.cmd("HGET").arg(keys.activity()).arg(session.as_str());
    let (lines,): (Option<String>,) = reader.ask(&pipe).await?;
    Ok(lines.map_or_else(Vec::new, |lines| usage::read_lines(&lines)))
}
