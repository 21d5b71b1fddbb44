//! Everything that a store holds, as lines of text and back: for backups, and for moving from one
//! store to another. Sessions come in the order of their ids, so that an export that was cut can go
//! on behind the last whole line; an import skips what is there already, so that it can be run
//! again. Replicas are no part of it: they belong to processes. Neither are the keys of grants and
//! the client of the platform: they are secrets, which a backup would spread, and each install
//! makes its own, so users sign in again after a move. Revocations say nothing without those keys.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::record::{Document, Kind, Record};

use crate::store::{Change, Conflict, Expected, Query, Store, StoreError, Write as StoreWrite};

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the file failed")]
    File(#[from] io::Error),
    #[error("this is no export of Portico, or one of a newer version: line 1 should be `{HEADER}`")]
    Header,
    #[error("line {0} is not whole: the export was cut; run it again with --resume")]
    Line(usize),
    #[error("the export is not complete: run it again with --resume")]
    Incomplete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    pub sessions: u64,
    pub documents: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    pub created: u64,
    /// Were there, exactly so.
    pub same: u64,
    /// Are there in another form, which was left alone.
    pub different: Vec<String>,
}

const HEADER: &str = "portico-export-1";
/// The last line, without which a file is not whole.
const END: &str = "end";
/// Writes under way at a time: the store takes what waits into one commit.
const WRITES_AT_ONCE: usize = 64;

/// Where an export stands that was cut.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resume {
    pub after: Option<SessionId>,
    pub sessions: u64,
    /// Bytes of the file that are whole; what follows is to be cut off.
    pub bytes: u64,
}

/// Looks through a file that an export left.
pub fn resume(mut file: impl BufRead) -> Result<Resume, TransferError> {
    let mut resume = Resume::default();
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        if resume.bytes == 0 {
            if text != HEADER.as_bytes() {
                return Err(TransferError::Header);
            }
        } else {
            // Documents and the end are written anew: they are few.
            let Some(Change::Put(record)) = parse(text) else { break };
            resume.after = Some(record.session.id);
            resume.sessions += 1;
        }
        resume.bytes += line.len() as u64;
        line.clear();
    }
    Ok(resume)
}

/// Writes to `out`, from its beginning or behind what is there, and tells how far it is.
pub async fn export(
    store: &dyn Store,
    out: &mut dyn Write,
    from: Resume,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Exported, TransferError> {
    if from.bytes == 0 {
        writeln!(out, "{HEADER}")?;
    }
    let mut exported = Exported { sessions: from.sessions, documents: 0 };
    let mut query =
        Query { after: from.after, items_max: limits::PAGE_ITEMS_MAX, ..Query::default() };
    loop {
        let page = store.list(query.clone()).await?;
        exported.sessions += page.items.len() as u64;
        for record in page.items {
            write_line(out, &Change::Put(record))?;
        }
        progress(exported.sessions);
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    for kind in [Kind::AllowList, Kind::Workspace, Kind::Template, Kind::Token] {
        for document in store.documents(kind).await? {
            write_line(out, &Change::DocumentPut(document))?;
            exported.documents += 1;
        }
    }
    writeln!(out, "{END}")?;
    out.flush()?;
    Ok(exported)
}

pub async fn import(
    store: &dyn Store,
    file: impl BufRead,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Imported, TransferError> {
    let mut lines = file.split(b'\n');
    match lines.next().transpose()? {
        Some(header) if header == HEADER.as_bytes() => {}
        _ => return Err(TransferError::Header),
    }
    let mut imported = Imported::default();
    let mut batch = VecDeque::with_capacity(WRITES_AT_ONCE);
    for (index, line) in lines.enumerate() {
        let line = line?;
        if line == END.as_bytes() {
            imported.take(store, &mut batch).await?;
            progress(imported.created + imported.same);
            return Ok(imported);
        }
        batch.push_back(parse(&line).ok_or(TransferError::Line(index + 2))?);
        if batch.len() >= WRITES_AT_ONCE {
            imported.take(store, &mut batch).await?;
            progress(imported.created + imported.same);
        }
    }
    Err(TransferError::Incomplete)
}

fn write_line(out: &mut dyn Write, change: &Change) -> io::Result<()> {
    write!(out, "{} ", change.kind())?;
    out.write_all(&change.payload())?;
    out.write_all(b"\n")
}

fn parse(line: &[u8]) -> Option<Change> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let kind = std::str::from_utf8(&line[..space]).ok()?;
    match Change::read(kind, &line[space + 1..]).ok()? {
        change @ (Change::Put(_) | Change::DocumentPut(_)) => Some(change),
        _ => None,
    }
}

impl Imported {
    async fn take(
        &mut self,
        store: &dyn Store,
        batch: &mut VecDeque<Change>,
    ) -> Result<(), StoreError> {
        let writes = batch.drain(..).map(|change| async move {
            Ok::<_, StoreError>(match change {
                Change::Put(record) => put_session(store, record).await?,
                Change::DocumentPut(document) => put_document(store, document).await?,
                // `parse` lets only these two through.
                _ => Placed::Same,
            })
        });
        for placed in futures_util::future::join_all(writes).await {
            match placed? {
                Placed::Created => self.created += 1,
                Placed::Same => self.same += 1,
                Placed::Different(what) => self.different.push(what),
            }
        }
        Ok(())
    }
}

enum Placed {
    Created,
    Same,
    Different(String),
}

async fn put_session(store: &dyn Store, record: Record) -> Result<Placed, StoreError> {
    let session = record.session;
    let what = format!("sessions/{}", session.id);
    match store.put(session.clone(), Expected::Absent).await? {
        Ok(_) => Ok(Placed::Created),
        Err(Conflict::IdTaken) => {
            let there = store.fetch(session.id.clone()).await?;
            let same = there.is_some_and(|there| there.session == session);
            Ok(if same { Placed::Same } else { Placed::Different(what) })
        }
        Err(conflict) => Ok(Placed::Different(format!("{what}: {conflict}"))),
    }
}

async fn put_document(store: &dyn Store, document: Document) -> Result<Placed, StoreError> {
    let Document { key, body, .. } = document;
    let write = StoreWrite::PutDocument {
        key: key.clone(),
        body: body.clone(),
        expected: Some(Expected::Absent),
    };
    let by = crate::store::Author::portico().saying("imported");
    match store.write(write, by).await? {
        Ok(_) => Ok(Placed::Created),
        Err(_) => {
            let there = store.document(key.clone()).await?;
            let same = there.is_some_and(|there| same_json(&there.body, &body));
            Ok(if same { Placed::Same } else { Placed::Different(key.to_string()) })
        }
    }
}

fn same_json(one: &[u8], other: &[u8]) -> bool {
    let value = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    value(one) == value(other)
}

#[cfg(test)]
mod tests {
    use portico_core::record::{DocumentKey, Version};
    use portico_core::session::{Session, Timestamp};

    use super::*;
    use crate::store::Author;
    use crate::store::embedded::Embedded;

    async fn store(directory: &std::path::Path, name: &str) -> Embedded {
        Embedded::open(directory.join(name), crate::store::Bounds::default()).await.unwrap()
    }

    fn session(id: &str) -> Session {
        let name = |text: &str| text.parse().unwrap();
        let upstream = "http://10.0.0.1:1".parse().unwrap();
        let id = SessionId::parse(id).unwrap();
        Session::new(id, name("w"), name("o"), name("t"), upstream, Timestamp(7))
    }

    async fn filled(directory: &std::path::Path) -> Embedded {
        let store = store(directory, "from").await;
        // At once, so that they share commits.
        let puts = (0..2_500).map(|n| store.put(session(&format!("s{n:04}")), Expected::Absent));
        for put in futures_util::future::join_all(puts).await {
            put.unwrap().unwrap();
        }
        let key = DocumentKey { kind: Kind::Workspace, name: "w".parse().unwrap() };
        let body = br#"{"v":1,"sessions_max":5}"#.to_vec();
        let write = StoreWrite::PutDocument { key, body, expected: None };
        store.write(write, Author::portico()).await.unwrap().unwrap();
        store
    }

    async fn exported(store: &dyn Store, from: Resume) -> Vec<u8> {
        let mut out = Vec::new();
        export(store, &mut out, from, &mut |_| {}).await.unwrap();
        out
    }

    #[tokio::test]
    async fn secrets_stay_where_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), "from").await;
        for kind in Kind::ALL {
            let key = DocumentKey { kind, name: "a".parse().unwrap() };
            let body = format!(r#"{{"v":1,"secret":"of-{kind}"}}"#).into_bytes();
            let write = StoreWrite::PutDocument { key, body, expected: None };
            store.write(write, Author::portico()).await.unwrap().unwrap();
        }
        let file = String::from_utf8(exported(&store, Resume::default()).await).unwrap();
        assert!(file.contains("of-workspace"), "{file}");
        for kind in [Kind::SigningKey, Kind::Client, Kind::Revocation, Kind::Replica] {
            assert!(!file.contains(&format!("of-{kind}")), "{file}");
        }
    }

    #[tokio::test]
    async fn everything_moves_and_moving_twice_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let from = filled(directory.path()).await;
        let file = exported(&from, Resume::default()).await;
        let to = store(directory.path(), "to").await;
        let first = import(&to, &file[..], &mut |_| {}).await.unwrap();
        assert_eq!((first.created, first.same), (2_501, 0));
        let second = import(&to, &file[..], &mut |_| {}).await.unwrap();
        assert_eq!((second.created, second.same, second.different.len()), (0, 2_501, 0));
        let strip = |record: Record| Record { version: Version(0), ..record };
        let records = |snapshot: crate::store::Snapshot| -> Vec<_> {
            snapshot.records.into_iter().map(strip).collect()
        };
        assert_eq!(records(from.snapshot().await.unwrap()), records(to.snapshot().await.unwrap()));
        let other = Session { owner: "eve".parse().unwrap(), ..session("s0003") };
        let version = to.fetch(other.id.clone()).await.unwrap().unwrap().version;
        to.put(other, Expected::Version(version)).await.unwrap().unwrap();
        let third = import(&to, &file[..], &mut |_| {}).await.unwrap();
        assert_eq!(third.different, ["sessions/s0003"]);
    }

    /// Wherever it was cut, it goes on and is the same file in the end.
    #[tokio::test]
    async fn a_cut_export_is_resumed() {
        let directory = tempfile::tempdir().unwrap();
        let from = filled(directory.path()).await;
        let whole = exported(&from, Resume::default()).await;
        for cut in [0, 5, HEADER.len() + 1, 1_000, 200_000, whole.len() - 40, whole.len() - 2] {
            let from_cut = resume(&whole[..cut]).unwrap();
            let mut file = whole[..from_cut.bytes as usize].to_vec();
            file.extend(exported(&from, from_cut).await);
            assert!(file == whole, "cut at {cut}");
            let to = store(directory.path(), &format!("to{cut}")).await;
            let error = import(&to, &whole[..cut], &mut |_| {}).await.unwrap_err();
            assert!(!matches!(error, TransferError::Store(_)), "{error}");
        }
        assert!(matches!(resume(&b"something\n"[..]), Err(TransferError::Header)));
    }
}
