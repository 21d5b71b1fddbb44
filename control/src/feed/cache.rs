//! What the store last held, in a file, so that a process that starts while the store is away still
//! has routes. A snapshot and the changes since, a line each; a line that was cut by a kill is the
//! last one and is left out. Nothing is promised but age: the file may be behind the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portico_core::label::{Label, SessionId};
use portico_core::record::{Document, DocumentKey, Record};

use crate::store::{Change, Entry, Position, Snapshot};

pub struct Cache {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    /// Lines of the snapshot, and lines behind it.
    lines: usize,
    appended: usize,
}

/// What was read from the file.
pub struct Cached {
    pub identity: Arc<str>,
    pub snapshot: Snapshot,
}

/// Fewer lines are never worth a new snapshot.
const APPENDED_MIN: usize = 10_000;
const HEADER: &str = "portico-cache-1";

impl Cache {
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, lines: 0, appended: 0 }
    }

    /// None when there is no file, or none that can be used.
    pub fn read(&self) -> Option<Cached> {
        match File::open(&self.path) {
            Ok(file) => match read(BufReader::new(file)) {
                Ok(cached) => Some(cached),
                Err(error) => {
                    let path = self.path.display();
                    tracing::warn!(%path, %error, "the cached routes cannot be used");
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "no cached routes");
                None
            }
        }
    }

    /// Begins the file anew.
    pub fn load(&mut self, identity: &str, snapshot: &Snapshot) {
        let begun = begin(&self.path, identity, snapshot);
        self.appended = 0;
        match begun {
            Ok((file, lines)) => (self.file, self.lines) = (Some(file), lines),
            Err(error) => self.give_up(&error),
        }
    }

    pub fn follow(&mut self, entries: &[Entry]) {
        let Some(file) = &mut self.file else { return };
        let written = entries.iter().try_for_each(|entry| append(file, entry));
        match written.and_then(|()| file.flush()) {
            Ok(()) => self.appended += entries.len(),
            Err(error) => self.give_up(&error),
        }
    }

    /// So many changes lie behind the snapshot that a new one is worth its while.
    pub fn wants_snapshot(&self) -> bool {
        self.file.is_some() && self.appended > self.lines.max(APPENDED_MIN)
    }

    /// Routes go on without it; the next snapshot tries again.
    fn give_up(&mut self, error: &io::Error) {
        let path = self.path.display();
        tracing::error!(%path, %error, "routes are not cached: a restart needs the store");
        self.file = None;
        // What is there is older than what is in force, and must not come back.
        let _ = fs::remove_file(&self.path);
    }
}

/// Beside and renamed, so that a kill leaves the old file or the new one.
fn begin(path: &Path, identity: &str, snapshot: &Snapshot) -> io::Result<(BufWriter<File>, usize)> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = BufWriter::new(options.open(&beside)?);
    writeln!(file, "{HEADER} {identity}")?;
    let at = snapshot.position.0;
    let mut lines = 0;
    let mut line = |kind: &str, payload: &[u8]| -> io::Result<()> {
        lines += 1;
        write_line(&mut file, at, kind, payload)
    };
    for record in &snapshot.records {
        line("put", &record.encode())?;
    }
    for document in &snapshot.documents {
        line("document-put", &document.encode())?;
    }
    for label in &snapshot.tombstones {
        line("tombstone", label.as_str().as_bytes())?;
    }
    file.flush()?;
    fs::rename(&beside, path)?;
    Ok((file, lines))
}

fn append(file: &mut BufWriter<File>, entry: &Entry) -> io::Result<()> {
    write_line(file, entry.position.0, entry.change.kind(), &entry.change.payload())
}

fn write_line(file: &mut impl Write, at: u64, kind: &str, payload: &[u8]) -> io::Result<()> {
    write!(file, "{at} {kind} ")?;
    file.write_all(payload)?;
    file.write_all(b"\n")
}

#[derive(Default)]
struct Gathered {
    records: BTreeMap<SessionId, Record>,
    documents: BTreeMap<DocumentKey, Document>,
    tombstones: BTreeSet<Label>,
    position: Position,
}

fn read(file: impl BufRead) -> io::Result<Cached> {
    let mut lines = file.split(b'\n');
    let header = lines.next().transpose()?.unwrap_or_default();
    let header = String::from_utf8_lossy(&header);
    let unknown = || io::Error::new(io::ErrorKind::InvalidData, "it is no cache of this version");
    let identity = header.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix(' '));
    let identity: Arc<str> = identity.ok_or_else(unknown)?.into();
    let mut gathered = Gathered::default();
    for line in lines {
        // The first line that is no line is where the writer was killed.
        if gathered.add(&line?).is_none() {
            break;
        }
    }
    let snapshot = Snapshot {
        records: gathered.records.into_values().collect(),
        tombstones: gathered.tombstones.into_iter().collect(),
        documents: gathered.documents.into_values().collect(),
        unreadable: 0,
        position: gathered.position,
    };
    Ok(Cached { identity, snapshot })
}

impl Gathered {
    fn add(&mut self, line: &[u8]) -> Option<()> {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let at = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let kind = std::str::from_utf8(parts.next()?).ok()?;
        let payload = parts.next()?;
        if kind == "tombstone" {
            self.tombstones.insert(Label::parse(std::str::from_utf8(payload).ok()?).ok()?);
        } else {
            self.change(Change::read(kind, payload).ok()?);
        }
        self.position = self.position.max(Position(at));
        Some(())
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Put(record) => {
                self.tombstones.remove(&record.session.label);
                self.records.insert(record.session.id.clone(), record);
            }
            Change::Deleted(record) => {
                self.records.remove(&record.session.id);
                self.tombstones.insert(record.session.label);
            }
            Change::Gone(label) => {
                self.records.retain(|_, record| record.session.label != label);
                self.tombstones.insert(label);
            }
            Change::Forgotten(label) => {
                self.tombstones.remove(&label);
            }
            Change::Noted | Change::Unreadable(_) => {}
            Change::DocumentPut(document) => {
                self.documents.insert(document.key.clone(), document);
            }
            Change::DocumentDeleted(key) => {
                self.documents.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_core::record::{Kind, Version};
    use portico_core::session::{Session, Timestamp};

    use super::*;

    fn record(id: &str, version: u64) -> Record {
        let name = |text: &str| text.parse().unwrap();
        let upstream = "http://10.0.0.1:1".parse().unwrap();
        let id = SessionId::parse(id).unwrap();
        let session =
            Session::new(id, name("w"), name("o"), name("t"), upstream, Timestamp(version));
        Record { session, version: Version(version) }
    }

    fn entry(position: u64, change: Change) -> Entry {
        Entry { position: Position(position), at: Timestamp(1), change }
    }

    fn document() -> Document {
        let key = DocumentKey { kind: Kind::Workspace, name: "w".parse().unwrap() };
        Document { key, version: Version(3), body: br#"{"v":1}"#.to_vec() }
    }

    fn written(directory: &Path) -> PathBuf {
        let path = directory.join("deep/routes");
        let mut cache = Cache::new(path.clone());
        assert!(cache.read().is_none());
        let snapshot = Snapshot {
            records: vec![record("a", 1), record("b", 2)],
            tombstones: vec![Label::parse("old").unwrap()],
            documents: vec![document()],
            unreadable: 0,
            position: Position(5),
        };
        cache.load("me", &snapshot);
        cache.follow(&[
            entry(6, Change::Put(record("c", 6))),
            entry(7, Change::Deleted(record("a", 1))),
            entry(8, Change::Forgotten(Label::parse("old").unwrap())),
            entry(9, Change::DocumentDeleted(document().key)),
        ]);
        path
    }

    #[test]
    fn what_was_followed_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let Cached { identity, snapshot } = Cache::new(path).read().unwrap();
        assert_eq!(&*identity, "me");
        assert_eq!(snapshot.records, [record("b", 2), record("c", 6)]);
        assert_eq!(snapshot.tombstones, [Label::parse("aa").unwrap()]);
        assert!(snapshot.documents.is_empty());
        assert_eq!(snapshot.position, Position(9));
    }

    /// Wherever the writer was killed, what stands before is read.
    #[test]
    fn a_cut_file_is_read_up_to_the_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path());
        let whole = fs::read(&path).unwrap();
        let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap();
        for end in first_line..whole.len() {
            let Cached { snapshot, .. } = read(&whole[..end]).unwrap();
            assert!(snapshot.records.len() <= 3 && snapshot.position <= Position(9));
        }
        assert!(read(&b"something else\n"[..]).is_err());
        assert!(read(&b""[..]).is_err());
    }
}
