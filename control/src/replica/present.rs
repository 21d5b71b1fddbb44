//! Who is connected to which session, as a process says it with its heartbeat.

use std::collections::BTreeMap;

use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use serde::{Deserialize, Serialize};

/// The connections of one user to one session through one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub session: Box<str>,
    pub user: Name,
    pub connections: u64,
    /// Of the oldest of an unbroken series.
    pub since: Timestamp,
}

#[derive(Default, Serialize, Deserialize)]
struct Wire {
    v: u32,
    /// Not all of it is here.
    #[serde(default)]
    truncated: bool,
    sessions: BTreeMap<String, Vec<Who>>,
}

#[derive(Serialize, Deserialize)]
struct Who {
    user: String,
    connections: u64,
    since_ms: u64,
}

/// The note of a heartbeat, no longer than a store should carry every few seconds.
pub fn encode(all: impl IntoIterator<Item = Present>) -> Vec<u8> {
    let mut wire = Wire { v: 1, ..Wire::default() };
    let mut bytes = 0;
    for Present { session, user, connections, since } in all {
        bytes += session.len() + user.as_str().len() + ROOM;
        if bytes > limits::BEAT_NOTE_BYTES_MAX {
            wire.truncated = true;
            break;
        }
        let who = Who { user: user.to_string(), connections, since_ms: since.0 };
        wire.sessions.entry(session.into()).or_default().push(who);
    }
    serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
}

/// For what stands around the names, with the longest numbers.
const ROOM: usize = 96;

/// Those of one session. What cannot be read is of another version, and says nothing.
pub fn of_session(note: &[u8], session: &str) -> Vec<Present> {
    let mut wire: Wire = serde_json::from_slice(note).unwrap_or_default();
    let present = |who: Who| {
        Some(Present {
            session: session.into(),
            user: who.user.parse().ok()?,
            connections: who.connections,
            since: Timestamp(who.since_ms),
        })
    };
    let all = wire.sessions.remove(session).unwrap_or_default();
    all.into_iter().filter_map(present).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_is_told_within_a_bound() {
        let of = |number: usize| Present {
            session: format!("s{}", number % 7).into(),
            user: format!("user-{number}").parse().unwrap(),
            connections: 2,
            since: Timestamp(1_795_000_000_000),
        };
        let note = encode((0..20).map(of));
        assert_eq!(of_session(&note, "s3"), [of(3), of(10), of(17)]);
        assert!(of_session(&note, "s9").is_empty() && of_session(b"{", "s1").is_empty());
        let note = encode((0..100_000).map(of));
        assert!(note.len() <= limits::BEAT_NOTE_BYTES_MAX);
        assert!(serde_json::from_slice::<Wire>(&note).unwrap().truncated);
    }
}
