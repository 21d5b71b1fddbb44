//! When somebody last did something with a session: three clocks, because a browser that nobody
//! looks at keeps its sockets busy all the same.

pub mod request;
pub mod message;
mod protocol;

use crate::label::SessionId;
use crate::session::Timestamp;

/// What one process knows of a session's activity. Those of several processes are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// The last byte from a client that means something: not a ping, not a poll.
    pub client_data_at: Option<Timestamp>,
    /// The same from the session.
    pub session_data_at: Option<Timestamp>,
    /// The last ping, pong, keep-alive or status poll, of either side.
    pub ping_at: Option<Timestamp>,
    pub open: Open,
}

/// Open connections by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Open {
    /// Client connections on which requests for the session are answered.
    pub requests: u64,
    pub websockets: u64,
    /// Switched to another protocol than WebSocket.
    pub upgrades: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionActivity {
    pub session: SessionId,
    pub activity: Activity,
}

impl Activity {
    /// With what another process knows of the same session.
    pub fn merged(self, other: Self) -> Self {
        Self {
            client_data_at: self.client_data_at.max(other.client_data_at),
            session_data_at: self.session_data_at.max(other.session_data_at),
            ping_at: self.ping_at.max(other.ping_at),
            open: Open {
                requests: self.open.requests + other.open.requests,
                websockets: self.open.websockets + other.open.websockets,
                upgrades: self.open.upgrades + other.open.upgrades,
            },
        }
    }

    /// The last time at which either side had something to say.
    pub fn data_at(&self) -> Option<Timestamp> {
        self.client_data_at.max(self.session_data_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_processes_know_is_merged_to_the_latest() {
        let at = |ms| Some(Timestamp(ms));
        let open = Open { requests: 1, websockets: 2, upgrades: 0 };
        let one = Activity { client_data_at: at(5), ping_at: at(9), open, ..Activity::default() };
        let other = Activity { client_data_at: at(7), session_data_at: at(6), open, ..one };
        let merged = one.merged(other);
        assert_eq!(merged.client_data_at, at(7));
        assert_eq!(
            (merged.session_data_at, merged.ping_at, merged.data_at()),
            (at(6), at(9), at(7))
        );
        assert_eq!(merged.open, Open { requests: 2, websockets: 4, upgrades: 0 });
        assert_eq!(Activity::default().data_at(), None);
    }
}
