//! What can be read from a store in Redis. Sessions are read in pages, each a list of ids and then
//! their records; what changes in between is in the change log, too.

use std::collections::HashMap;

use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::record::{AuditRecord, Document, DocumentKey, Kind, Record, RecordError};
use portico_core::session::Name;
use redis::Pipeline;
use redis::streams::{StreamId, StreamRangeReply};

use super::super::{AuditPage, AuditQuery, Page, Position, Query, Snapshot, StoreError};
use super::follow::Follow;
use super::line::{Reader, in_time};
use super::server::Server;
use super::{Failure, Keys};

type Bytes = Vec<u8>;

pub async fn fetch(
    reader: &Reader,
    keys: &Keys,
    id: &SessionId,
) -> Result<Option<Record>, StoreError> {
    let mut pipe = Pipeline::new();
    pipe.cmd("HGET").arg(keys.sessions()).arg(id.as_str());
    let (bytes,): (Option<Bytes>,) = reader.ask(&pipe).await?;
    Ok(bytes.map(|bytes| Record::decode(&bytes)).transpose()?)
}

pub async fn list(reader: &Reader, keys: &Keys, query: &Query) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut after = query.after.clone();
    let mut looked_at = 0;
    loop {
        let (pipe, skip) = ids(keys, query.workspace.as_ref(), after.as_ref());
        let (members,): (Vec<String>,) = reader.ask(&pipe).await?;
        let ids = without_workspace(members, skip);
        if ids.is_empty() {
            return Ok(page);
        }
        let mut pipe = Pipeline::new();
        pipe.cmd("HMGET").arg(keys.sessions()).arg(&ids);
        let (records,): (Vec<Option<Bytes>>,) = reader.ask(&pipe).await?;
        for (id, bytes) in ids.iter().zip(records) {
            if page.items.len() >= query.items_max || looked_at >= limits::PAGE_SCAN_MAX {
                page.next = after;
                return Ok(page);
            }
            looked_at += 1;
            after = SessionId::parse(id).ok().or(after);
            // Those deleted since are not there any more.
            // One that cannot be read was named in the log by the snapshot.
            let record = bytes.and_then(|bytes| Record::decode(&bytes).ok());
            page.items.extend(record.filter(|record| query.wants(record)));
        }
        if ids.len() < limits::REDIS_PAGE_ITEMS {
            return Ok(page);
        }
    }
}

/// Asks for the next members of an index, of which the first so many bytes are no part of the id.
fn ids(keys: &Keys, workspace: Option<&Name>, after: Option<&SessionId>) -> (Pipeline, usize) {
    // No id is empty, so the first one is behind "".
    let after = after.map_or("", SessionId::as_str);
    let (key, first, last, skip) = match workspace {
        None => (keys.ids(), format!("({after}"), "+".to_owned(), 0),
        Some(name) => (
            keys.workspaces(),
            format!("({name}\0{after}"),
            format!("({name}\x01"),
            name.as_str().len() + 1,
        ),
    };
    let mut pipe = Pipeline::new();
    pipe.cmd("ZRANGE").arg(key).arg(first).arg(last).arg("BYLEX");
    pipe.arg("LIMIT").arg(0).arg(limits::REDIS_PAGE_ITEMS);
    (pipe, skip)
}

fn without_workspace(members: Vec<String>, skip: usize) -> Vec<String> {
    members.into_iter().filter_map(|member| member.get(skip..).map(str::to_owned)).collect()
}

/// On one connection from beginning to end: a server that was restarted empty in the middle must
/// not give half a snapshot.
pub async fn snapshot(
    server: &Server,
    reader: &Reader,
    follow: &Follow,
) -> Result<Snapshot, StoreError> {
    let keys = &server.keys;
    let mut pipe = Pipeline::new();
    pipe.cmd("GET").arg(keys.position());
    pipe.cmd("ZRANGE").arg(keys.tombstones()).arg(0).arg(-1);
    for kind in Kind::ALL {
        pipe.cmd("HGETALL").arg(keys.documents(kind));
    }
    // The first question finds a connection that works.
    reader.ask::<Vec<redis::Value>>(Pipeline::new().cmd("PING")).await?;
    let mut line = in_time(reader.line()).await?;
    let mut answers = line.ask::<Vec<redis::Value>>(&pipe).await?.into_iter();
    let mut next = || answers.next().ok_or(Failure::Strange("a Redis"));
    let (position, tombstones) = (next()?, next()?);
    let position: Option<u64> = typed(position)?;
    let tombstones: Vec<String> = typed(tombstones)?;
    let (mut documents, mut unreadable) = (Vec::new(), 0);
    for kind in Kind::ALL {
        let stored: HashMap<_, _> = typed(next()?)?;
        let count = stored.len();
        let readable = in_order(stored);
        if kind == Kind::AllowList && readable.len() < count {
            // Without it everybody would be let in.
            let reason = "who may have routes is not known".to_owned();
            return Err(RecordError::Member { member: "allow-list", reason }.into());
        }
        unreadable += (count - readable.len()) as u64;
        documents.extend(readable);
    }
    let mut records = Vec::new();
    let mut after = None;
    loop {
        let (ids,): (Vec<String>,) = line.ask(&ids(keys, None, after.as_ref()).0).await?;
        let Some(last) = ids.last() else { break };
        after = SessionId::parse(last).ok();
        let mut pipe = Pipeline::new();
        pipe.cmd("HMGET").arg(keys.sessions()).arg(&ids);
        let (page,): (Vec<Option<Bytes>>,) = line.ask(&pipe).await?;
        for (id, bytes) in ids.iter().zip(page) {
            let Some(bytes) = bytes else { continue };
            match readable(id, &bytes) {
                Some(record) => records.push(record),
                None => unreadable += 1,
            }
        }
        if ids.len() < limits::REDIS_PAGE_ITEMS || after.is_none() {
            break;
        }
    }
    let mut pipe = Pipeline::new();
    pipe.cmd("MGET").arg(keys.identity()).arg(keys.form());
    let ((identity, form),): ((Option<String>, Option<String>),) = line.ask(&pipe).await?;
    server.check(&identity.unwrap_or_default(), &form.unwrap_or_default())?;
    follow.begin(&line.greeting.reign);
    Ok(Snapshot {
        records,
        // What cannot be a label has no route to shadow.
        tombstones: tombstones.iter().flat_map(|label| Label::parse(label)).collect(),
        documents,
        unreadable,
        position: Position(position.unwrap_or_default()),
    })
}

/// Of whatever store is there now: an operator's consent to another store is in it.
pub async fn document(
    reader: &Reader,
    keys: &Keys,
    key: &DocumentKey,
) -> Result<Option<Document>, StoreError> {
    let mut pipe = Pipeline::new();
    pipe.cmd("HGET").arg(keys.documents(key.kind)).arg(key.name.as_str());
    let (bytes,): (Option<Bytes>,) = reader.ask_any(&pipe).await?;
    Ok(bytes.map(|bytes| Document::decode(&bytes)).transpose()?)
}

pub async fn documents(
    reader: &Reader,
    keys: &Keys,
    kind: Kind,
) -> Result<Vec<Document>, StoreError> {
    let mut pipe = Pipeline::new();
    pipe.cmd("HGETALL").arg(keys.documents(kind));
    let (documents,): (HashMap<String, Bytes>,) = reader.ask(&pipe).await?;
    Ok(in_order(documents))
}

pub async fn audit(
    reader: &Reader,
    keys: &Keys,
    query: AuditQuery,
) -> Result<AuditPage, StoreError> {
    let mut pipe = Pipeline::new();
    let first = format!("{}-0", query.after.0 + 1);
    pipe.cmd("XRANGE").arg(keys.audit()).arg(first).arg("+");
    pipe.arg("COUNT").arg(query.items_max + 1);
    let (range,): (StreamRangeReply,) = reader.ask(&pipe).await?;
    let mut page = AuditPage::default();
    for entry in &range.ids {
        if page.items.len() >= query.items_max {
            page.next = page.items.last().map(|(position, _)| *position);
            break;
        }
        page.items.push((position(entry)?, audit_record(entry)?));
    }
    Ok(page)
}

fn audit_record(entry: &StreamId) -> Result<AuditRecord, StoreError> {
    let bytes: Bytes = entry.get("record").ok_or(Failure::Strange("a Redis"))?;
    let mut record = AuditRecord::decode(&bytes)?;
    if let Some(workspace) = entry.get::<String>("workspace") {
        // Empty where the record says it, or there is none.
        record.workspace = workspace.parse().ok().or(record.workspace);
    }
    Ok(record)
}

/// Of an entry of a stream.
pub fn position(entry: &StreamId) -> Result<Position, Failure> {
    let number = entry.id.strip_suffix("-0").and_then(|number| number.parse().ok());
    number.map(Position).ok_or(Failure::Strange("a Redis"))
}

/// A record that cannot be read (a newer Portico's, damage) must not keep all others away.
fn readable(id: &str, bytes: &[u8]) -> Option<Record> {
    Record::decode(bytes)
        .inspect_err(|error| {
            let error = crate::with_causes(error);
            tracing::error!(id, error, "a stored session is skipped: delete it by its id");
        })
        .ok()
}

/// Those of one kind that can be read.
fn in_order(documents: HashMap<String, Bytes>) -> Vec<Document> {
    let mut documents: Vec<_> = documents.into_iter().collect();
    documents.sort_unstable();
    let read = |(name, bytes): &(String, Bytes)| {
        Document::decode(bytes)
            .inspect_err(|error| {
                let error = crate::with_causes(error);
                tracing::error!(name, error, "a stored document is skipped");
            })
            .ok()
    };
    documents.iter().filter_map(read).collect()
}

fn typed<T: redis::FromRedisValue>(answer: redis::Value) -> Result<T, Failure> {
    redis::from_redis_value(answer).map_err(|_| Failure::Strange("a Redis"))
}
