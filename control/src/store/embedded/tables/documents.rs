//! Documents.

use portico_core::record::{Document, DocumentKey, Version};
use portico_core::session::Timestamp;
use redb::ReadableTable;

use super::super::super::{Change, Conflict, Expected, StoreError, Stored};
use super::{Outcome, Tables};

impl Tables<'_> {
    pub(super) fn put_document(
        &mut self,
        key: &DocumentKey,
        body: &[u8],
        expected: Option<Expected>,
        at: Timestamp,
    ) -> Outcome {
        let current = self.current_document(key)?;
        let conflict = match (expected, &current) {
            (Some(Expected::Absent), Some(_)) => Some(Conflict::Exists),
            (Some(Expected::Version(_)), None) => Some(Conflict::Missing),
            (Some(Expected::Version(version)), Some(current)) if version != current.version => {
                Some(Conflict::Changed(current.version))
            }
            _ => None,
        };
        if let Some(conflict) = conflict {
            return Ok(Err(conflict));
        }
        let version = Version(self.position.0 + 1);
        let document = Document { key: key.clone(), version, body: body.to_vec() };
        self.documents.insert(key.to_string().as_str(), document.encode().as_slice())?;
        self.append(&Change::DocumentPut(document.clone()), at)?;
        Ok(Ok(Stored::Document(document)))
    }

    pub(super) fn delete_document(
        &mut self,
        key: &DocumentKey,
        expected: Option<Version>,
        at: Timestamp,
    ) -> Outcome {
        let Some(document) = self.current_document(key)? else {
            return Ok(Err(Conflict::Missing));
        };
        if expected.is_some_and(|expected| expected != document.version) {
            return Ok(Err(Conflict::Changed(document.version)));
        }
        self.documents.remove(key.to_string().as_str())?;
        self.append(&Change::DocumentDeleted(key.clone()), at)?;
        Ok(Ok(Stored::Document(document)))
    }

    fn current_document(&self, key: &DocumentKey) -> Result<Option<Document>, StoreError> {
        match self.documents.get(key.to_string().as_str())? {
            Some(bytes) => Ok(Some(Document::decode(bytes.value())?)),
            None => Ok(None),
        }
    }
}
