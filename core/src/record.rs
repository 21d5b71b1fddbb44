//! The stored form of a session: versioned JSON bytes, the same in every store. Reading parses back
//! into the domain type, so that what was damaged or written by a newer Portico is an error and
//! never a half-understood session. Which store holds the bytes, and how, is none of this file's
//! business.

use serde::{Deserialize, Serialize};

use crate::label::{Label, SessionId};
use crate::session::{HostHeader, Prefix, Routing, Session, State, Timestamp};

/// The form written here. An addition that an older Portico may ignore keeps the number (unknown
/// members are skipped when read); anything else raises it.
const FORM: u32 = 1;

/// Rises with each change of a session. No two states of a session ever had the same one, not even
/// across a deletion, so it serves as the API's entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A session as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub session: Session,
    pub version: Version,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the record is not the JSON of a session")]
    Json(#[source] serde_json::Error),
    #[error("the record has form {found}, this Portico reads up to {FORM}: a newer one wrote it")]
    Newer { found: u32 },
    #[error("the record's member `{member}` is not valid: {reason}")]
    Member { member: &'static str, reason: String },
}

#[derive(Deserialize)]
struct Form {
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    version: u64,
    id: String,
    label: String,
    workspace: String,
    owner: String,
    tool: String,
    upstream: String,
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    routing: Vec<String>,
    host_header: String,
    strip_prefix: bool,
    created_at_ms: u64,
    changed_at_ms: u64,
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let Session { id, label, workspace, owner, tool, upstream, .. } = &self.session;
        let session = &self.session;
        let wire = Wire {
            v: FORM,
            version: self.version.0,
            id: id.to_string(),
            label: label.to_string(),
            workspace: workspace.to_string(),
            owner: owner.to_string(),
            tool: tool.to_string(),
            upstream: upstream.to_string(),
            state: session.state.as_str().to_owned(),
            reason: session.reason.clone(),
            routing: session.routing.words().iter().map(|word| word.to_string()).collect(),
            host_header: session.host_header.as_str().to_owned(),
            strip_prefix: session.prefix == Prefix::Strip,
            created_at_ms: session.created_at.0,
            changed_at_ms: session.changed_at.0,
        };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        // The form first: a newer one may lack members that this one needs.
        let Form { v } = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        if v > FORM {
            return Err(RecordError::Newer { found: v });
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
        let session = Session {
            id: member("id", SessionId::parse(&wire.id))?,
            label: member("label", Label::parse(&wire.label))?,
            workspace: member("workspace", wire.workspace.parse())?,
            owner: member("owner", wire.owner.parse())?,
            tool: member("tool", wire.tool.parse())?,
            upstream: member("upstream", wire.upstream.parse())?,
            state: member("state", wire.state.parse::<State>())?,
            reason: wire.reason,
            routing: member(
                "routing",
                Routing::from_words(wire.routing.iter().map(String::as_str)),
            )?,
            host_header: member("host_header", wire.host_header.parse::<HostHeader>())?,
            prefix: if wire.strip_prefix { Prefix::Strip } else { Prefix::Keep },
            created_at: Timestamp(wire.created_at_ms),
            changed_at: Timestamp(wire.changed_at_ms),
        };
        Ok(Self { session, version: Version(wire.version) })
    }
}

fn member<T, E: std::fmt::Display>(
    member: &'static str,
    parsed: Result<T, E>,
) -> Result<T, RecordError> {
    parsed.map_err(|error| RecordError::Member { member, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let id = SessionId::parse("3e8370e7").unwrap();
        let session = Session {
            label: Label::of(&id),
            id,
            workspace: "genomics".parse().unwrap(),
            owner: "ada@example.com".parse().unwrap(),
            tool: "jupyter".parse().unwrap(),
            upstream: "http://[fd00::7]:8888".parse().unwrap(),
            state: State::Errored,
            reason: Some("spot instance \"reclaimed\" ☹".to_owned()),
            routing: Routing::Both,
            host_header: HostHeader::Upstream,
            prefix: Prefix::Strip,
            created_at: Timestamp(1_795_000_000_123),
            changed_at: Timestamp(1_795_000_000_456),
        };
        Record { session, version: Version(7) }
    }

    fn edited(from: &str, to: &str) -> Result<Record, RecordError> {
        let text = String::from_utf8(record().encode()).unwrap();
        assert!(text.contains(from), "{text}");
        Record::decode(text.replace(from, to).as_bytes())
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Record::decode(&record().encode()).unwrap(), record());
        let mut plain = record();
        plain.session.reason = None;
        plain.session.prefix = Prefix::Keep;
        assert_eq!(Record::decode(&plain.encode()).unwrap(), plain);
    }

    /// The stored bytes of form 1 never change: stores out there hold them.
    #[test]
    fn form_1_is_fixed() {
        let bytes = r#"{"v":1,"version":7,"id":"3e8370e7","label":"a3e8370e7",
            "workspace":"genomics","owner":"ada@example.com","tool":"jupyter",
            "upstream":"http://[fd00::7]:8888",
            "state":"errored","reason":"spot instance \"reclaimed\" ☹",
            "routing":["subdomain","path"],"host_header":"upstream","strip_prefix":true,
            "created_at_ms":1795000000123,"changed_at_ms":1795000000456}"#;
        assert_eq!(Record::decode(bytes.as_bytes()).unwrap(), record());
        let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&record().encode()), value(bytes.as_bytes()));
    }

    #[test]
    fn a_newer_form_is_refused_and_an_unknown_member_is_not() {
        assert!(matches!(edited("\"v\":1", "\"v\":2"), Err(RecordError::Newer { found: 2 })));
        assert!(matches!(Record::decode(br#"{"v":9}"#), Err(RecordError::Newer { found: 9 })));
        assert_eq!(edited("\"v\":1", "\"v\":1,\"later\":[1]").unwrap(), record());
    }

    #[test]
    fn damage_is_an_error_that_names_the_member() {
        assert!(matches!(Record::decode(b""), Err(RecordError::Json(_))));
        assert!(matches!(Record::decode(br#"{"v":1}"#), Err(RecordError::Json(_))));
        for (from, to, name) in [
            ("\"id\":\"3e", "\"id\":\"_", "id"),
            ("\"errored\"", "\"asleep\"", "state"),
            ("[\"subdomain\",\"path\"]", "[]", "routing"),
            ("http://", "ftp://", "upstream"),
        ] {
            let Err(RecordError::Member { member, .. }) = edited(from, to) else {
                panic!("{from} -> {to} was read");
            };
            assert_eq!(member, name);
        }
    }
}
