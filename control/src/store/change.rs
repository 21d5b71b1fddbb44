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
    /// Damaged, or written by a newer Portico: never written, only found. One such entry must not
    /// keep its followers from those behind it.
    Unreadable(String),
}

impl Change {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Put(_) => "put",
            Self::Gone(_) => "gone",
            Self::Forgotten(_) => "forgotten",
            Self::Unreadable(_) => "unreadable",
        }
    }

    pub fn payload(&self) -> Vec<u8> {
        match self {
            Self::Put(record) => record.encode(),
            Self::Gone(label) | Self::Forgotten(label) => label.as_str().into(),
            Self::Unreadable(why) => why.as_str().into(),
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

    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }

    /// The same change in the words of the route table. `None`: what cannot be read changes no
    /// route.
    pub fn into_route(self) -> Option<route::Change> {
        match self {
            Self::Put(record) => Some(route::Change::Set(Arc::new(Route::of(&record.session)))),
            Self::Gone(label) => Some(route::Change::Gone(label)),
            Self::Forgotten(label) => Some(route::Change::Forget(label)),
            Self::Unreadable(_) => None,
        }
    }
}
