//! Idempotency keys: which session a request made, for as long as it may be sent again.

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::Timestamp;
use redb::{ReadableTable, ReadableTableMetadata, StorageError};

use super::super::super::{Conflict, Once, StoreError};
use super::Tables;

impl Tables<'_> {
    pub(super) fn done_before(
        &mut self,
        once: &Once,
        at: Timestamp,
    ) -> Result<Option<Conflict>, StoreError> {
        self.forget_expired(at)?;
        let Some(entry) = self.once.get(once.key.as_str())? else { return Ok(None) };
        let (_, fingerprint, id) = entry.value();
        let fingerprint = fingerprint.to_owned();
        // What was written as an id is one.
        Ok(SessionId::parse(id).ok().map(|id| Conflict::Done { id, fingerprint }))
    }

    pub(super) fn remember(
        &mut self,
        once: &Once,
        id: &SessionId,
        Timestamp(at): Timestamp,
    ) -> Result<(), StorageError> {
        // Only here, when room is needed: a key that is about to be asked for must not go first.
        while self.once_order.len()? >= self.bounds.idempotency_keys as u64 {
            let Some(oldest) = self.oldest_key()? else { break };
            self.forget_key(&oldest)?;
        }
        let place = self.position.0;
        let expires_at = at + limits::IDEMPOTENCY_TTL.as_millis() as u64;
        self.once.insert(once.key.as_str(), (place, once.fingerprint.as_str(), id.as_str()))?;
        self.once_order.insert(place, (once.key.as_str(), expires_at))?;
        Ok(())
    }

    fn forget_expired(&mut self, Timestamp(now): Timestamp) -> Result<(), StorageError> {
        while let Some(oldest) = self.oldest_key()?.filter(|oldest| oldest.expires_at <= now) {
            self.forget_key(&oldest)?;
        }
        Ok(())
    }

    fn oldest_key(&self) -> Result<Option<Oldest>, StorageError> {
        Ok(self.once_order.first()?.map(|(place, entry)| {
            let (key, expires_at) = entry.value();
            Oldest { place: place.value(), key: key.to_owned(), expires_at }
        }))
    }

    fn forget_key(&mut self, oldest: &Oldest) -> Result<(), StorageError> {
        self.once_order.remove(oldest.place)?;
        self.once.remove(oldest.key.as_str())?;
        Ok(())
    }
}

/// The key that was remembered first.
struct Oldest {
    place: u64,
    key: String,
    expires_at: u64,
}
