//! Each kind of write as a call of one Lua script, and what the script answers. The scripts (beside
//! this file) decide and change in one atomic step; here are only their arguments and answers.

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::record::{Document, DocumentKey, Kind, Record, Version, split_at_version};
use portico_core::session::Session;
use portico_core::usage::Hour;
use redis::{Cmd, Value};

use super::super::{Author, Bounds, Conflict, Expected, Once, StoreError, Stored, Write};
use super::{FORM_NOW, Failure, Keys};

/// To be loaded by whoever calls; `Script` is an index. Without flags Redis refuses a script at its
/// start, and not in its middle, when memory is full; a deletion is let through, as it frees some.
pub const SCRIPTS: &[&str] = &[
    concat!("#!lua\n", include_str!("common.lua"), include_str!("put.lua")),
    concat!("#!lua flags=allow-oom\n", include_str!("common.lua"), include_str!("delete.lua")),
    concat!("#!lua\n", include_str!("common.lua"), include_str!("put_document.lua")),
    concat!(
        "#!lua flags=allow-oom\n",
        include_str!("common.lua"),
        include_str!("delete_document.lua")
    ),
    concat!("#!lua\n", include_str!("common.lua"), include_str!("redeem.lua")),
    concat!("#!lua\n", include_str!("common.lua"), include_str!("note.lua")),
    concat!("#!lua\n", include_str!("ours.lua"), include_str!("add_usage.lua")),
];

#[derive(Debug, Clone, Copy)]
enum Script {
    Put,
    Delete,
    PutDocument,
    DeleteDocument,
    Redeem,
    Note,
    AddUsage,
}

/// What a script is given keys of, besides those that it always is.
enum Given {
    /// Documents of a kind; any, for a script that touches none.
    Documents(Kind),
    /// Usage of these hours, and nothing of sessions.
    Usage(Vec<Hour>),
}

/// A script with its arguments, but for the identity of the store. Neither this nor its answer is
/// `Debug`: both can hold a document whose body is secret.
pub struct Call {
    script: Script,
    given: Given,
    arguments: Vec<Vec<u8>>,
}

/// What a script answered.
pub struct Outcome(Vec<Vec<u8>>);

impl Call {
    pub fn new(write: &Write, by: Author, bounds: &Bounds) -> Self {
        let mut call = Self {
            script: Script::Put,
            given: Given::Documents(Kind::AllowList),
            arguments: Vec::with_capacity(18),
        };
        let (at, audit) = (by.at.0, write.audit_unread(by));
        call.number(at).number(bounds.log_entries as u64).number(bounds.audit_records as u64);
        call.bytes(audit.encode()).number(limits::REDIS_FORGET_PER_WRITE as u64);
        match write {
            Write::Put { session, expected, once, room } => {
                call.put(session, *expected).optional(room.map(|room| room.get()));
                call.once(once.as_ref(), at, bounds);
            }
            Write::Delete { id, expected } => {
                call.script = Script::Delete;
                call.text(id.as_str()).optional(expected.map(|version| version.0));
                call.number(bounds.tombstones as u64);
            }
            Write::PutDocument { key, body, expected } => {
                call.put_document(key, body.clone(), *expected);
            }
            Write::DeleteDocument { key, expected } => {
                (call.script, call.given) = (Script::DeleteDocument, Given::Documents(key.kind));
                call.text(key.name.as_str()).optional(expected.map(|version| version.0));
                call.text(&key.to_string());
            }
            Write::Redeem { ticket, until, .. } => {
                call.script = Script::Redeem;
                call.text(ticket).number(until.0);
                call.number(limits::TICKETS_FORGET_PER_WRITE as u64);
            }
            Write::Note { .. } => call.script = Script::Note,
        }
        call
    }

    /// To be given the arguments of the script.
    pub(super) fn of_usage(hours: Vec<Hour>) -> Self {
        Self { script: Script::AddUsage, given: Given::Usage(hours), arguments: Vec::new() }
    }

    fn put(&mut self, session: &Session, expected: Expected) -> &mut Self {
        let record = Record { session: session.clone(), version: Version(0) };
        self.text(session.id.as_str()).text(session.label.as_str());
        self.text(session.workspace.as_str());
        self.optional(match expected {
            Expected::Absent => None,
            Expected::Version(version) => Some(version.0),
        });
        self.around_version(&record.encode())
    }

    fn once(&mut self, once: Option<&Once>, at: u64, bounds: &Bounds) {
        let (key, fingerprint) =
            once.map_or(("", ""), |once| (once.key.as_str(), once.fingerprint.as_str()));
        self.text(key).text(fingerprint);
        self.number(at + limits::IDEMPOTENCY_TTL.as_millis() as u64);
        self.number(bounds.idempotency_keys as u64);
    }

    fn put_document(&mut self, key: &DocumentKey, body: Vec<u8>, expected: Option<Expected>) {
        (self.script, self.given) = (Script::PutDocument, Given::Documents(key.kind));
        self.text(key.name.as_str());
        match expected {
            Some(Expected::Absent) => self.text("absent"),
            Some(Expected::Version(version)) => self.number(version.0),
            None => self.text(""),
        };
        let document = Document { key: key.clone(), version: Version(0), body };
        self.around_version(&document.encode());
    }

    fn around_version(&mut self, encoded: &[u8]) -> &mut Self {
        let (before, after) =
            split_at_version(encoded).expect("what was encoded has a version, and it comes second");
        self.bytes(before.to_vec()).bytes(after.to_vec())
    }

    fn bytes(&mut self, bytes: Vec<u8>) -> &mut Self {
        self.arguments.push(bytes);
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes().to_vec())
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(number.to_string().into_bytes())
    }

    fn optional(&mut self, number: Option<u64>) -> &mut Self {
        self.bytes(number.map(|number| number.to_string()).unwrap_or_default().into_bytes())
    }

    /// `digests` are those of `SCRIPTS`.
    pub fn command(&self, keys: &Keys, digests: &[String], identity: &str) -> Option<Cmd> {
        let mut command = redis::cmd("EVALSHA");
        let keys: Vec<_> = match &self.given {
            Given::Documents(kind) => keys.of_scripts().chain([keys.documents(*kind)]).collect(),
            Given::Usage(hours) => keys.of_usage(hours),
        };
        command.arg(digests.get(self.script as usize)?).arg(keys.len()).arg(keys);
        command.arg(identity).arg(FORM_NOW).arg(&self.arguments);
        Some(command)
    }
}

impl Outcome {
    pub fn of(answer: Value) -> Result<Self, Failure> {
        redis::from_redis_value(answer).map(Self).map_err(|_| Failure::Strange("a script"))
    }

    /// Whether it says that something is stored: by this write, or by one before it.
    pub fn is_done(&self) -> bool {
        matches!(self.words()[..], ["ok", ..] | ["no", "done", ..])
    }

    /// Of the write that was called for, on the store whose identity is `known`.
    pub fn read(&self, write: Write, known: &str) -> Result<Result<Stored, Conflict>, StoreError> {
        let strange = || StoreError::from(Failure::Strange("a script"));
        let words = self.checked(known)?;
        let (version, before) = match words[..] {
            ["ok", version] => (version, None),
            ["ok", version, _] => (version, self.0.get(2)),
            ["no", "damaged", _] => {
                Record::decode(&self.0[2])?;
                return Err(strange());
            }
            ["no", ..] => return conflict(&words[1..], &write).map(Err).ok_or_else(strange),
            _ => return Err(strange()),
        };
        let version = Version(version.parse().map_err(|_| strange())?);
        Ok(Ok(match (write, before) {
            (Write::Put { session, .. }, None) => {
                Stored::Session(Box::new(Record { session: *session, version }))
            }
            (Write::PutDocument { key, body, .. }, None) => {
                Stored::Document(Document { key, version, body })
            }
            (Write::Redeem { .. } | Write::Note { .. }, None) => Stored::Nothing,
            (Write::Delete { id, .. }, Some(before)) => {
                let record = Record::decode(before).map(Box::new);
                record.map_or(Stored::Unreadable(id), Stored::Session)
            }
            (Write::DeleteDocument { .. }, Some(before)) => {
                Stored::Document(Document::decode(before)?)
            }
            _ => return Err(strange()),
        }))
    }

    /// What a script of the store whose identity is `known` answered.
    pub(super) fn checked(&self, known: &str) -> Result<Vec<&str>, StoreError> {
        let words = self.words();
        match words[..] {
            ["no", "replaced", found] => {
                let found = if found.is_empty() { "none" } else { found }.to_owned();
                Err(Failure::Replaced { known: known.into(), found }.into())
            }
            ["no", "form", found] => Err(Failure::Form(found.to_owned()).into()),
            _ => Ok(words),
        }
    }

    /// What is not text (no script answers such a word) is empty.
    fn words(&self) -> Vec<&str> {
        self.0.iter().map(|word| std::str::from_utf8(word).unwrap_or_default()).collect()
    }
}

fn conflict(words: &[&str], write: &Write) -> Option<Conflict> {
    Some(match words {
        ["id-taken"] => Conflict::IdTaken,
        ["label-taken"] => Conflict::LabelTaken,
        ["fixed"] => Conflict::Fixed,
        ["missing"] => Conflict::Missing,
        ["exists"] => Conflict::Exists,
        ["changed", version] => Conflict::Changed(Version(version.parse().ok()?)),
        ["done", id, fingerprint] => Conflict::Done {
            id: SessionId::parse(id).ok()?,
            fingerprint: (*fingerprint).to_owned(),
        },
        ["full"] => match write {
            Write::Put { room: Some(room), .. } => Conflict::WorkspaceFull(*room),
            _ => return None,
        },
        _ => return None,
    })
}
