//! Sessions, their labels, tombstones and the index of workspaces.

use std::num::NonZeroU64;

use portico_core::label::{Label, SessionId};
use portico_core::record::{Record, Version};
use portico_core::session::{Name, Session, Timestamp};
use redb::{ReadableTable, ReadableTableMetadata, StorageError};

use super::super::super::{Change, Conflict, Expected, Once, StoreError, Stored};
use super::{Outcome, Tables};

impl Tables<'_> {
    pub(super) fn put(
        &mut self,
        session: &Session,
        expected: Expected,
        once: Option<&Once>,
        room: Option<NonZeroU64>,
        at: Timestamp,
    ) -> Outcome {
        if let Some(once) = once
            && let Some(done) = self.done_before(once, at)?
        {
            return Ok(Err(done));
        }
        let current = self.current(&session.id)?;
        if let Err(conflict) = self.check_put(session, expected, current.as_ref(), room)? {
            return Ok(Err(conflict));
        }
        self.drop_tombstone(&session.label)?;
        let version = Version(self.position.0 + 1);
        let record = Record { session: session.clone(), version };
        let Session { id, label, workspace, .. } = session;
        self.labels.insert(label.as_str(), id.as_str())?;
        if current.is_none() {
            self.workspaces.insert((workspace.as_str(), id.as_str()), ())?;
            let count = self.count(workspace)?;
            self.counts.insert(workspace.as_str(), count + 1)?;
        }
        self.sessions.insert(id.as_str(), record.encode().as_slice())?;
        self.append(&Change::Put(record.clone()), at)?;
        if let Some(once) = once {
            self.remember(once, id, at)?;
        }
        Ok(Ok(Stored::Session(Box::new(record))))
    }

    pub(super) fn delete(
        &mut self,
        id: &SessionId,
        expected: Option<Version>,
        at: Timestamp,
    ) -> Outcome {
        let record = match self.current(id) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(Err(Conflict::Missing)),
            Err(error @ StoreError::Record(_)) if expected.is_none() => {
                let deleted = self.delete_unreadable(id, at)?;
                return if deleted { Ok(Ok(Stored::Unreadable(id.clone()))) } else { Err(error) };
            }
            Err(error) => return Err(error),
        };
        if expected.is_some_and(|expected| expected != record.version) {
            return Ok(Err(Conflict::Changed(record.version)));
        }
        let Session { label, workspace, .. } = &record.session;
        self.sessions.remove(id.as_str())?;
        self.labels.remove(label.as_str())?;
        self.workspaces.remove((workspace.as_str(), id.as_str()))?;
        self.uncount(workspace)?;
        self.append(&Change::Deleted(record.clone()), at)?;
        self.bury(label, at)?;
        Ok(Ok(Stored::Session(Box::new(record))))
    }

    /// What its record does not say is found in the indexes. That looks at all of them, which is
    /// fine for what should never be needed. Without a label there is nothing to tell followers.
    fn delete_unreadable(&mut self, id: &SessionId, at: Timestamp) -> Result<bool, StoreError> {
        let (mut label, mut workspace) = (None, None);
        for entry in self.labels.iter()? {
            let (of, named) = entry?;
            if named.value() == id.as_str() {
                label = Label::parse(of.value()).ok();
            }
        }
        for entry in self.workspaces.iter()? {
            let (key, _) = entry?;
            if key.value().1 == id.as_str() {
                workspace = key.value().0.parse::<Name>().ok();
            }
        }
        let Some(label) = label else { return Ok(false) };
        self.sessions.remove(id.as_str())?;
        self.labels.remove(label.as_str())?;
        if let Some(workspace) = workspace {
            self.workspaces.remove((workspace.as_str(), id.as_str()))?;
            self.uncount(&workspace)?;
        }
        self.append(&Change::Gone(label.clone()), at)?;
        self.bury(&label, at)?;
        Ok(true)
    }

    /// At the position of the deletion.
    fn bury(&mut self, label: &Label, at: Timestamp) -> Result<(), StoreError> {
        self.tombstones.insert(self.position.0, label.as_str())?;
        self.tombstone_labels.insert(label.as_str(), self.position.0)?;
        self.forget_tombstones(at)
    }

    fn uncount(&mut self, workspace: &Name) -> Result<(), StorageError> {
        match self.count(workspace)? {
            0 | 1 => self.counts.remove(workspace.as_str())?,
            count => self.counts.insert(workspace.as_str(), count - 1)?,
        };
        Ok(())
    }

    fn current(&self, id: &SessionId) -> Result<Option<Record>, StoreError> {
        match self.sessions.get(id.as_str())? {
            Some(bytes) => Ok(Some(Record::decode(bytes.value())?)),
            None => Ok(None),
        }
    }

    fn count(&self, workspace: &Name) -> Result<u64, StorageError> {
        Ok(self.counts.get(workspace.as_str())?.map_or(0, |count| count.value()))
    }

    fn check_put(
        &self,
        session: &Session,
        expected: Expected,
        current: Option<&Record>,
        room: Option<NonZeroU64>,
    ) -> Result<Result<(), Conflict>, StorageError> {
        let is_fixed = |current: &Record| {
            current.session.label != session.label || current.session.workspace != session.workspace
        };
        Ok(match (expected, current) {
            (Expected::Absent, Some(_)) => Err(Conflict::IdTaken),
            (Expected::Version(_), None) => Err(Conflict::Missing),
            (Expected::Version(expected), Some(current)) if expected != current.version => {
                Err(Conflict::Changed(current.version))
            }
            (Expected::Version(_), Some(current)) if is_fixed(current) => Err(Conflict::Fixed),
            (Expected::Version(_), Some(_)) => Ok(()),
            (Expected::Absent, None) => match (self.labels.get(session.label.as_str())?, room) {
                (Some(_), _) => Err(Conflict::LabelTaken),
                (None, Some(room)) if self.count(&session.workspace)? >= room.get() => {
                    Err(Conflict::WorkspaceFull(room))
                }
                (None, _) => Ok(()),
            },
        })
    }

    fn drop_tombstone(&mut self, label: &Label) -> Result<(), StorageError> {
        let position = self.tombstone_labels.remove(label.as_str())?.map(|at| at.value());
        if let Some(position) = position {
            self.tombstones.remove(position)?;
        }
        Ok(())
    }

    fn forget_tombstones(&mut self, at: Timestamp) -> Result<(), StoreError> {
        while self.tombstones.len()? > self.bounds.tombstones as u64 {
            let oldest = self.tombstones.pop_first()?.map(|(_, label)| label.value().to_owned());
            let Some(oldest) = oldest else { break };
            self.tombstone_labels.remove(oldest.as_str())?;
            if let Ok(label) = Label::parse(&oldest) {
                self.append(&Change::Forgotten(label), at)?;
            }
        }
        Ok(())
    }
}
