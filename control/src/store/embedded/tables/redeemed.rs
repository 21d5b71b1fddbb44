//! Tickets that were used, for as long as somebody could bring them again.

use portico_core::limits;
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
        if self.redeemed.get(ticket)?.is_some() {
            return Ok(Err(Conflict::Exists));
        }
        self.forget_redeemed(at)?;
        self.redeemed.insert(ticket, until)?;
        self.redeemed_order.insert((until, ticket), ())?;
        self.append(&Change::Noted, at)?;
        Ok(Ok(Stored::Nothing))
    }

    /// Oldest first. One that is still here by then is refused, which is on the safe side.
    fn forget_redeemed(&mut self, Timestamp(now): Timestamp) -> Result<(), StorageError> {
        for _ in 0..limits::TICKETS_FORGET_PER_WRITE {
            let oldest = self.redeemed_order.first()?.map(|(key, _)| {
                let (until, ticket) = key.value();
                (until, ticket.to_owned())
            });
            let Some((until, ticket)) = oldest.filter(|(until, _)| *until <= now) else { break };
            self.redeemed_order.remove((until, ticket.as_str()))?;
            self.redeemed.remove(ticket.as_str())?;
        }
        Ok(())
    }
}
