//! One write to a store: what is to change, what must be true for that, in whose name it is done,
//! and how it can be refused. How it is made atomic is each store's business.

use std::net::IpAddr;
use std::num::NonZeroU64;

use portico_core::label::SessionId;
use portico_core::record::{
    AuditRecord, Document, DocumentKey, Kind as DocumentKind, Record, Version,
};
use portico_core::session::{Name, Session, Timestamp};

/// Not `Debug`: a document's body may be secret.
#[derive(Clone)]
pub enum Write {
    /// Creates a session or replaces one. Its id and label must be nobody else's; a tombstone on
    /// the label is replaced. The label and the workspace of a session never change.
    Put {
        session: Box<Session>,
        expected: Expected,
        once: Option<Once>,
        /// For a new session: how many its workspace may have, this one included.
        room: Option<NonZeroU64>,
    },
    /// Deletes a session. Its label becomes a tombstone.
    Delete {
        id: SessionId,
        expected: Option<Version>,
    },
    /// Creates a document, or replaces it: in whatever version where `expected` is none.
    PutDocument {
        key: DocumentKey,
        body: Vec<u8>,
        expected: Option<Expected>,
    },
    DeleteDocument {
        key: DocumentKey,
        expected: Option<Version>,
    },
    /// Uses up a ticket: `Conflict::Exists` to all but the first. Forgotten after `until`, when it
    /// is too old to be brought.
    Redeem {
        ticket: String,
        until: Timestamp,
        session: SessionId,
        workspace: Name,
    },
    /// Nothing but a line in the audit log.
    Note {
        action: String,
        subject: String,
        workspace: Option<Name>,
    },
}

/// What must be true of the thing for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Absent,
    Version(Version),
}

/// A creation that its author may send again without creating twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Unique among all authors.
    pub key: String,
    /// Of the request, to tell a repetition from another request with the same key.
    pub fingerprint: String,
}

/// Who changes something, for the audit log.
#[derive(Debug, Clone)]
pub struct Author {
    pub name: Name,
    pub address: Option<IpAddr>,
    pub at: Timestamp,
    /// What is changed, in words.
    pub detail: Option<String>,
}

/// What a write left (or, after a deletion, took away).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    Session(Box<Record>),
    Document(Document),
    /// Took away a session whose record could not be read.
    Unreadable(SessionId),
    /// Nothing that has a version.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("there is a session with this id")]
    IdTaken,
    #[error("another session has this label")]
    LabelTaken,
    #[error("the label and the workspace of a session cannot change")]
    Fixed,
    #[error("there is nothing of this name")]
    Missing,
    #[error("there is one of this name already")]
    Exists,
    #[error("it has changed: it is at version {}", .0.0)]
    Changed(Version),
    #[error("the request with this key was done before")]
    Done { id: SessionId, fingerprint: String },
    #[error("the workspace has {0} sessions, as many as it may")]
    WorkspaceFull(NonZeroU64),
}

impl Stored {
    /// # Panics
    /// When a document was written, which the caller of a session's write cannot have done.
    pub fn into_session(self) -> Record {
        match self {
            Self::Session(record) => *record,
            Self::Document(document) => unreachable!("{} is no session", document.key),
            Self::Unreadable(id) => unreachable!("{id} was written and can be read"),
            Self::Nothing => unreachable!("a note is no session"),
        }
    }

    /// # Panics
    /// When a session was written, which the caller of a document's write cannot have done.
    pub fn into_document(self) -> Document {
        match self {
            Self::Document(document) => document,
            Self::Session(record) => unreachable!("{} is no document", record.session.id),
            Self::Unreadable(id) => unreachable!("{id} is no document"),
            Self::Nothing => unreachable!("a note is no document"),
        }
    }
}

impl Author {
    pub const PORTICO: &str = "portico";

    /// What nobody asked for: a lifespan's end, a replica's.
    pub fn portico() -> Self {
        let name = Self::PORTICO.parse().expect("a constant that is a name");
        Self { name, address: None, at: crate::clock::now(), detail: None }
    }

    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl Write {
    /// For the audit log. `stored` is what the write left or took away.
    pub fn audit(&self, stored: &Stored, by: Author) -> AuditRecord {
        let mut record = self.audit_unread(by);
        if let Stored::Session(stored) = stored {
            record.workspace = Some(stored.session.workspace.clone());
        }
        record
    }

    /// The same by who does not know what is stored: of a deletion the workspace is missing.
    pub fn audit_unread(&self, by: Author) -> AuditRecord {
        let verb = match self {
            Self::Put { expected: Expected::Absent, .. }
            | Self::PutDocument { expected: Some(Expected::Absent), .. } => "created",
            Self::Put { .. } | Self::PutDocument { .. } => "changed",
            Self::Delete { .. } | Self::DeleteDocument { .. } => "deleted",
            Self::Redeem { .. } => "redeemed",
            Self::Note { .. } => "",
        };
        let of_session = |id: &SessionId| ("session", format!("sessions/{id}"));
        let (kind, subject) = match self {
            Self::Put { session, .. } => of_session(&session.id),
            Self::Delete { id, .. } => of_session(id),
            Self::Redeem { session, .. } => ("ticket", format!("sessions/{session}")),
            Self::Note { subject, .. } => ("", subject.clone()),
            // As in the paths of the API and in its events.
            Self::PutDocument { key, .. } | Self::DeleteDocument { key, .. } => match key.kind {
                DocumentKind::AllowList => ("workspaces", "workspaces".to_owned()),
                kind => (kind.as_str(), format!("{kind}s/{}", key.name)),
            },
        };
        let workspace = match self {
            Self::Put { session, .. } => Some(session.workspace.clone()),
            Self::PutDocument { key, .. } | Self::DeleteDocument { key, .. } => {
                (key.kind == DocumentKind::Workspace).then(|| key.name.clone())
            }
            Self::Redeem { workspace, .. } => Some(workspace.clone()),
            Self::Note { workspace, .. } => workspace.clone(),
            Self::Delete { .. } => None,
        };
        let action = match self {
            Self::Note { action, .. } => action.clone(),
            _ => format!("{kind}.{verb}"),
        };
        let Author { name: actor, address, at, detail } = by;
        AuditRecord { at, actor, address, action, subject, workspace, detail }
    }
}
