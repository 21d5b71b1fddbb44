//! Who is connected to which session, and whose quotas are used up or nearly, as a process says it
//! with its heartbeat.

use std::collections::BTreeMap;

use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// As the API shows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quotas: Vec<Value>,
    /// There are more of them than are here.
    #[serde(default)]
    quotas_truncated: bool,
}

/// Accounts whose quotas are used up or nearly, the fullest first, as the API shows them.
#[derive(Debug, Default, PartialEq)]
pub struct Near {
    pub items: Vec<Value>,
    /// Whether these are all.
    pub complete: bool,
}

#[derive(Serialize, Deserialize)]
struct Who {
    user: String,
    connections: u64,
    since_ms: u64,
}

const FORM: u32 = 1;

/// The note of a heartbeat, no longer than a store should carry every few seconds.
pub fn encode(all: impl IntoIterator<Item = Present>, quotas: Near) -> Vec<u8> {
    let mut wire = Wire { v: FORM, quotas_truncated: !quotas.complete, ..Wire::default() };
    let mut bytes = 0;
    for item in quotas.items {
        // With the comma.
        bytes += item.to_string().len() + 1;
        if bytes > QUOTAS_BYTES_MAX {
            wire.quotas_truncated = true;
            break;
        }
        wire.quotas.push(item);
    }
    bytes = bytes.min(QUOTAS_BYTES_MAX) + ROOM;
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

/// Of the note's bytes: who is connected has the larger part of it in any case.
const QUOTAS_BYTES_MAX: usize = limits::BEAT_NOTE_BYTES_MAX / 4;

/// What a note tells of quotas. A process without workers has no note, and counts nothing.
pub fn quotas(note: &[u8]) -> Near {
    if note.is_empty() {
        return Near { complete: true, ..Near::default() };
    }
    let near = |wire: Wire| Near { items: wire.quotas, complete: !wire.quotas_truncated };
    decoded(note).map(near).unwrap_or_default()
}

/// None of one that is of another version.
fn decoded(note: &[u8]) -> Option<Wire> {
    serde_json::from_slice(note).ok().filter(|wire: &Wire| wire.v == FORM)
}

/// What a note tells of one session.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub present: Vec<Present>,
    /// Whether these are all. Not of a note without room for more, nor of one that cannot be read,
    /// which is of another version.
    pub complete: bool,
}

/// A process without workers has no note, and nobody is connected to it.
pub fn of_session(note: &[u8], session: &str) -> Told {
    if note.is_empty() {
        return Told { complete: true, ..Told::default() };
    }
    let Some(mut wire) = decoded(note) else { return Told::default() };
    let present = |who: Who| {
        Some(Present {
            session: session.into(),
            user: who.user.parse().ok()?,
            connections: who.connections,
            since: Timestamp(who.since_ms),
        })
    };
    let all = wire.sessions.remove(session).unwrap_or_default();
    let present = all.into_iter().filter_map(present).collect();
    Told { present, complete: !wire.truncated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_all_quotas_are_told_is_told() {
        let near = |complete| Near { items: vec![Value::from(7)], complete };
        for complete in [true, false] {
            assert_eq!(quotas(&encode([], near(complete))), near(complete));
        }
        assert!(quotas(b"").complete, "a process without workers counts nothing");
        assert!(!quotas(br#"{"v":2,"sessions":{}}"#).complete, "of another version");
    }

    #[test]
    fn who_is_there_is_told_within_a_bound() {
        let of = |number: usize| Present {
            session: format!("s{}", number % 7).into(),
            user: format!("user-{number}").parse().unwrap(),
            connections: 2,
            since: Timestamp(1_795_000_000_000),
        };
        let near = |items, complete| Near { items, complete };
        let note = encode((0..20).map(of), near(vec![Value::from(7)], true));
        assert_eq!(quotas(&note), near(vec![Value::from(7)], true));
        let told = |present, complete| Told { present, complete };
        assert_eq!(of_session(&note, "s3"), told(vec![of(3), of(10), of(17)], true));
        assert_eq!(of_session(&note, "s9"), told(vec![], true));
        assert_eq!(of_session(b"", "s1"), told(vec![], true));
        for other in [&b"{"[..], br#"{"v":2,"sessions":{}}"#] {
            assert_eq!(of_session(other, "s1"), told(vec![], false));
        }
        let large = vec![Value::from("x".repeat(1_000)); 2_000];
        let note = encode((0..100_000).map(of), near(large, true));
        let told = quotas(&note);
        assert!(!told.complete && told.items.len() > 200, "{}", told.items.len());
        assert!(note.len() <= limits::BEAT_NOTE_BYTES_MAX);
        assert!(serde_json::from_slice::<Wire>(&note).unwrap().truncated);
        assert!(!of_session(&note, "s1").complete);
    }
}
