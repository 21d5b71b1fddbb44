//! One entry of the change log, as a kind and a payload, which is how a file's table and a Redis
//! stream both hold it. It must not know of either.

use portico_core::label::Label;
use portico_core::record::{Document, DocumentKey, Record};
use portico_core::session::Timestamp;

use super::StoreError;

/// A place in the change log. 0 is before the first change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub position: Position,
    pub at: Timestamp,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A session was created or replaced.
    Put(Record),
    /// The session, as it was, was deleted; its label is a tombstone now.
    Deleted(Record),
    /// The session of this label was deleted; its record could not be read.
    Gone(Label),
    /// The tombstone was dropped to make room.
    Forgotten(Label),
    DocumentPut(Document),
    DocumentDeleted(DocumentKey),
    /// Something was written to the audit log, and nothing changed.
    Noted,
    /// Damaged, or written by a newer Portico: never written, only found. One such entry must not
    /// keep its followers from those behind it.
    Unreadable(String),
}

impl Change {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Put(_) => "put",
            Self::Deleted(_) => "deleted",
            Self::Gone(_) => "gone",
            Self::Forgotten(_) => "forgotten",
            Self::DocumentPut(_) => "document-put",
            Self::DocumentDeleted(_) => "document-deleted",
            Self::Noted => "noted",
            Self::Unreadable(_) => "unreadable",
        }
    }

    pub fn payload(&self) -> Vec<u8> {
        match self {
            Self::Put(record) | Self::Deleted(record) => record.encode(),
            Self::Gone(label) | Self::Forgotten(label) => label.as_str().into(),
            Self::Unreadable(why) => why.as_str().into(),
            Self::DocumentPut(document) => document.encode(),
            Self::DocumentDeleted(key) => key.to_string().into_bytes(),
            Self::Noted => Vec::new(),
        }
    }

    /// What cannot be read is a change of its own kind, and told to the log once.
    pub fn found(position: Position, kind: &str, payload: &[u8]) -> Self {
        Self::read(kind, payload).unwrap_or_else(|error| {
            let error = crate::with_causes(&error);
            tracing::error!(position = position.0, kind, error, "a change is skipped");
            Self::Unreadable(error)
        })
    }

    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }

    pub fn read(kind: &str, payload: &[u8]) -> Result<Self, StoreError> {
        let unknown = || StoreError::UnknownChange(kind.to_owned());
        let text = || std::str::from_utf8(payload).map_err(|_| unknown());
        Ok(match kind {
            "put" => Self::Put(Record::decode(payload)?),
            "deleted" => Self::Deleted(Record::decode(payload)?),
            "gone" => Self::Gone(Label::parse(text()?).map_err(|_| unknown())?),
            "forgotten" => Self::Forgotten(Label::parse(text()?).map_err(|_| unknown())?),
            "document-put" => Self::DocumentPut(Document::decode(payload)?),
            "document-deleted" => Self::DocumentDeleted(text()?.parse().map_err(|_| unknown())?),
            "noted" => Self::Noted,
            _ => return Err(unknown()),
        })
    }
}
