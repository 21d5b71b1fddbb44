//! Tickets that were used, for as long as somebody could bring them again.

use portico_core::session::Timestamp;
use redb::{ReadableTable, StorageError};

use super::super::super::{Change, Conflict, Stored};
use super::{Outcome, Tables};

impl Tables<'_> {
    pub(super) fn redeem(
        &mut self,
        ticket: &str,
        Timestamp(until): Timestamp,
        at: Timestamp,
    ) -> Outcome {
        self.forget_redeemed(at)?;
        if self.redeemed.get(ticket)?.is_some() {
            return Ok(Err(Conflict::Exists));
        }
        self.redeemed.insert(ticket, until)?;
        self.redeemed_order.insert((until, ticket), ())?;
        self.append(&Change::Noted, at)?;
        Ok(Ok(Stored::Nothing))
    }

    /// Each is forgotten once, so this costs as much as remembering did.
    fn forget_redeemed(&mut self, Timestamp(now): Timestamp) -> Result<(), StorageError> {
        loop {
            let oldest = self.redeemed_order.first()?.map(|(key, _)| {
                let (until, ticket) = key.value();
                (until, ticket.to_owned())
            });
            let Some((until, ticket)) = oldest.filter(|(until, _)| *until <= now) else {
                return Ok(());
            };
            self.redeemed_order.remove((until, ticket.as_str()))?;
            self.redeemed.remove(ticket.as_str())?;
        }
    }
}
