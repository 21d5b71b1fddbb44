//! The end of a connection that may stay no longer, because what it was let in by was taken back,
//! its quota is used up, or the worker ends: at once, but for a WebSocket, which is told why behind
//! the frame that is under way towards its client.

use std::cell::Cell;

use portico_core::access::Cause;
use portico_core::http::websocket::CLOSE_FORBIDDEN;

use super::{Phase, Watch, Watches};
use crate::connection::Live;

/// How far that has come.
pub(super) struct Taken {
    end: Cell<End>,
    /// Why, in the words of a WebSocket.
    goodbye: Cell<u16>,
    /// A frame towards the client is under way.
    in_frame: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    No,
    /// A frame is under way towards the client, of a WebSocket.
    InFrame,
    Ending,
}

impl Default for Taken {
    fn default() -> Self {
        Self {
            end: Cell::new(End::No),
            goodbye: Cell::new(CLOSE_FORBIDDEN),
            in_frame: Cell::new(false),
        }
    }
}

impl Watch {
    /// `relay` says goodbye where that can be said.
    pub(crate) fn revoked(&self) -> bool {
        self.taken.end.get() != End::No
    }

    pub(crate) fn goodbye(&self) -> u16 {
        self.taken.goodbye.get()
    }

    pub(super) fn revoke(&self, goodbye: u16) {
        if self.revoked() {
            return;
        }
        self.taken.goodbye.set(goodbye);
        self.taken.end.set(End::Ending);
        if !self.is_in(Phase::Relay) {
            return self.shut_down();
        }
        self.ended.set(true);
        match self.taken.in_frame.get() {
            true => self.taken.end.set(End::InFrame),
            false => self.shut_down_upstream(),
        }
        // A frame under way may end by itself, or a goodbye be read, until the next look.
        self.deadline.set(self.clock.get() + 1);
    }

    /// The deadline of a relay has passed.
    pub(super) fn end_relay(&self) {
        match self.taken.end.replace(End::Ending) {
            End::InFrame => {
                self.shut_down_upstream();
                self.deadline.set(self.clock.get() + 1);
            }
            End::No | End::Ending => self.shut_down(),
        }
    }

    /// A client that is still sending comes to our goodbye later than one that waits for it.
    pub(crate) fn give_time_to_read(&self) {
        self.deadline.set(self.deadline.get() + 1);
    }

    pub(crate) fn in_frame(&self, is: bool) {
        self.taken.in_frame.set(is);
    }
}

impl Watches {
    /// Ends those of which `objection` answers that they may not stay.
    pub(crate) fn judge(&self, mut objection: impl FnMut(&Live) -> Option<Cause>) {
        for watch in self.all.borrow().iter().flatten() {
            let objected = match &*watch.live.borrow() {
                Some(live) if !watch.revoked() => objection(live).is_some(),
                Some(_) | None => false,
            };
            if objected {
                watch.revoke(CLOSE_FORBIDDEN);
            }
        }
    }
}
