//! One entry of the change log, as a kind and a payload, which is how a file's table and a Redis
//! stream both hold it. It must not know of either.

use std::sync::Arc;

use portico_core::label::Label;
use portico_core::record::Record;
use portico_core::route::{self, Route};

use super::StoreError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A session was created or replaced.
    Put(Record),
    /// The session with this label was deleted; the label is a tombstone now.
    Gone(Label),
    /// The tombstone was dropped to make room.
    Forgotten(Label),
}

impl Change {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Put(_) => "put",
            Self::Gone(_) => "gone",
            Self::Forgotten(_) => "forgotten",
        }
    }

    pub fn payload(&self) -> Vec<u8> {
        match self {
            Self::Put(record) => record.encode(),
            Self::Gone(label) | Self::Forgotten(label) => label.as_str().into(),
        }
    }

    pub fn read(kind: &str, payload: &[u8]) -> Result<Self, StoreError> {
        let unknown = || StoreError::UnknownChange(kind.to_owned());
        let label = || {
            let text = std::str::from_utf8(payload).map_err(|_| unknown())?;
            Label::parse(text).map_err(|_| unknown())
        };
        match kind {
            "put" => Ok(Self::Put(Record::decode(payload)?)),
            "gone" => Ok(Self::Gone(label()?)),
            "forgotten" => Ok(Self::Forgotten(label()?)),
            _ => Err(unknown()),
        }
    }

    /// The same change in the words of the route table.
    pub fn into_route(self) -> route::Change {
        match self {
            Self::Put(record) => route::Change::Set(Arc::new(Route::of(&record.session))),
            Self::Gone(label) => route::Change::Gone(label),
            Self::Forgotten(label) => route::Change::Forget(label),
        }
    }
}
