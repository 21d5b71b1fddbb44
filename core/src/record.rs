//! The stored form of a session, and beside it of documents and the audit log: versioned JSON
//! bytes, the same in every store. Reading parses back into the domain type, so that what was
//! damaged or written by a newer Portico is an error and never a half-understood session. Which
//! store holds the bytes, and how, is none of this file's business.

mod audit;
mod document;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::access::{Access, AllowedUsers, Policy};
use crate::label::{Label, SessionId};
use crate::session::{
    HostHeader, Idle, Labels, Lifespan, Name, Prefix, Routing, Session, State, Timestamp,
};

pub use audit::AuditRecord;
pub use document::{Document, DocumentKey, Kind};

/// The form written here. An addition that an older Portico may ignore keeps the number (unknown
/// members are skipped when read); anything else raises it.
const FORM: u32 = 3;

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
    #[error("the record is not the JSON of what it should be")]
    Json(#[source] serde_json::Error),
    #[error("the record has form {found}, this Portico reads up to {newest}: a newer one wrote it")]
    Newer { found: u32, newest: u32 },
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    upstream: String,
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    routing: Vec<String>,
    host_header: String,
    strip_prefix: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifespan: Option<LifespanWire>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle: Option<IdleWire>,
    /// None in form 2: nobody but the owner.
    #[serde(default)]
    access: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_users: Vec<String>,
    created_at_ms: u64,
    changed_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct LifespanWire {
    seconds: u64,
    ends_at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct IdleWire {
    timeout_seconds: u64,
    counts_from_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since_ms: Option<u64>,
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let Session { id, label, workspace, owner, tool, labels, upstream, .. } = &self.session;
        let session = &self.session;
        let wire = Wire {
            v: FORM,
            version: self.version.0,
            id: id.to_string(),
            label: label.to_string(),
            workspace: workspace.to_string(),
            owner: owner.to_string(),
            tool: tool.to_string(),
            image: session.image.as_deref().map(str::to_owned),
            labels: labels.pairs().map(|(name, value)| (name.into(), value.into())).collect(),
            upstream: upstream.to_string(),
            state: session.state.as_str().to_owned(),
            reason: session.reason.clone(),
            routing: session.routing.words().iter().map(|word| word.to_string()).collect(),
            host_header: session.host_header.as_str().to_owned(),
            strip_prefix: session.prefix == Prefix::Strip,
            lifespan: session.lifespan.map(|lifespan| LifespanWire {
                seconds: lifespan.seconds,
                ends_at_ms: lifespan.ends_at.0,
            }),
            idle: session.idle.map(|idle| IdleWire {
                timeout_seconds: idle.timeout_seconds,
                counts_from_ms: idle.counts_from.0,
                since_ms: idle.since.map(|Timestamp(since)| since),
            }),
            access: Some(session.access.policy.as_str().to_owned()),
            allowed_users: session.access.users.iter().map(Name::to_string).collect(),
            created_at_ms: session.created_at.0,
            changed_at_ms: session.changed_at.0,
        };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(bytes, FORM)?;
        let session = Session {
            id: member("id", SessionId::parse(&wire.id))?,
            label: member("label", Label::parse(&wire.label))?,
            workspace: member("workspace", wire.workspace.parse())?,
            owner: member("owner", wire.owner.parse())?,
            tool: member("tool", wire.tool.parse())?,
            image: wire.image.map(String::into_boxed_str),
            labels: member(
                "labels",
                Labels::of_pairs(wire.labels.iter().map(|(name, value)| (&**name, &**value))),
            )?,
            upstream: member("upstream", wire.upstream.parse())?,
            state: member("state", wire.state.parse::<State>())?,
            reason: wire.reason,
            routing: member(
                "routing",
                Routing::from_words(wire.routing.iter().map(String::as_str)),
            )?,
            host_header: member("host_header", wire.host_header.parse::<HostHeader>())?,
            prefix: if wire.strip_prefix { Prefix::Strip } else { Prefix::Keep },
            lifespan: wire.lifespan.map(|lifespan| Lifespan {
                seconds: lifespan.seconds,
                ends_at: Timestamp(lifespan.ends_at_ms),
            }),
            idle: wire.idle.map(|idle| Idle {
                timeout_seconds: idle.timeout_seconds,
                counts_from: Timestamp(idle.counts_from_ms),
                since: idle.since_ms.map(Timestamp),
            }),
            access: Access {
                policy: match wire.access {
                    Some(word) => member("access", word.parse())?,
                    None => Policy::default(),
                },
                users: member(
                    "allowed_users",
                    AllowedUsers::of_words(wire.allowed_users.iter().map(String::as_str)),
                )?,
            },
            created_at: Timestamp(wire.created_at_ms),
            changed_at: Timestamp(wire.changed_at_ms),
        };
        Ok(Self { session, version: Version(wire.version) })
    }
}

/// The bytes of a record or a document before and after the number of its version, for a store that
/// knows the number only at the moment of writing. `None` for what `encode` did not write.
pub fn split_at_version(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = |from: usize| {
        let length = encoded.get(from..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        (length > 0).then_some(from + length)
    };
    let behind = |from: usize, text: &[u8]| {
        encoded.get(from..)?.starts_with(text).then_some(from + text.len())
    };
    let start = behind(digits(behind(0, b"{\"v\":")?)?, b",\"version\":")?;
    Some((&encoded[..start], &encoded[digits(start)?..]))
}

/// Bytes of at most form `newest`. The form is looked at first: a newer one may lack members that
/// this one needs.
pub fn of_form<T: DeserializeOwned>(bytes: &[u8], newest: u32) -> Result<T, RecordError> {
    let Form { v } = serde_json::from_slice(bytes).map_err(RecordError::Json)?;
    if v > newest {
        return Err(RecordError::Newer { found: v, newest });
    }
    serde_json::from_slice(bytes).map_err(RecordError::Json)
}

/// Names the member that a parser refused.
pub fn member<T, E: std::fmt::Display>(
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
            image: Some("registry.example.com/data-studio-jupyter:4.2.5-0.12".into()),
            labels: Labels::of_pairs([("team", "imaging")]).unwrap(),
            upstream: "http://[fd00::7]:8888".parse().unwrap(),
            state: State::Errored,
            reason: Some("spot instance \"reclaimed\" ☹".to_owned()),
            routing: Routing::Both,
            host_header: HostHeader::Upstream,
            prefix: Prefix::Strip,
            lifespan: Some(Lifespan { seconds: 60, ends_at: Timestamp(1_795_000_060_123) }),
            idle: None,
            access: Access {
                policy: Policy::Users,
                users: AllowedUsers::of_words(["bob"]).unwrap(),
            },
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
        for since in [None, Some(Timestamp(9))] {
            let counts_from = Timestamp(1_795_000_000_123);
            plain.session.idle = Some(Idle { timeout_seconds: 60, counts_from, since });
            assert_eq!(Record::decode(&plain.encode()).unwrap(), plain);
        }
    }

    fn value(bytes: &[u8]) -> serde_json::Value {
        serde_json::from_slice(bytes).unwrap()
    }

    /// The stored bytes of a form never change: stores out there hold them.
    #[test]
    fn form_3_is_fixed() {
        let bytes = r#"{"v":3,"version":7,"id":"3e8370e7","label":"a3e8370e7",
            "workspace":"genomics","owner":"ada@example.com","tool":"jupyter",
            "image":"registry.example.com/data-studio-jupyter:4.2.5-0.12",
            "labels":{"team":"imaging"},"upstream":"http://[fd00::7]:8888",
            "state":"errored","reason":"spot instance \"reclaimed\" ☹",
            "routing":["subdomain","path"],"host_header":"upstream","strip_prefix":true,
            "lifespan":{"seconds":60,"ends_at_ms":1795000060123},
            "access":"users","allowed_users":["bob"],
            "created_at_ms":1795000000123,"changed_at_ms":1795000000456}"#;
        assert_eq!(Record::decode(bytes.as_bytes()).unwrap(), record());
        assert_eq!(value(&record().encode()), value(bytes.as_bytes()));
    }

    #[test]
    fn form_2_is_still_read() {
        let bytes = r#"{"v":2,"version":7,"id":"3e8370e7","label":"a3e8370e7",
            "workspace":"genomics","owner":"ada@example.com","tool":"jupyter",
            "image":"registry.example.com/data-studio-jupyter:4.2.5-0.12",
            "labels":{"team":"imaging"},"upstream":"http://[fd00::7]:8888",
            "state":"errored","reason":"spot instance \"reclaimed\" ☹",
            "routing":["subdomain","path"],"host_header":"upstream","strip_prefix":true,
            "lifespan":{"seconds":60,"ends_at_ms":1795000060123},
            "created_at_ms":1795000000123,"changed_at_ms":1795000000456}"#;
        let mut record = record();
        record.session.access = Access::default();
        assert_eq!(Record::decode(bytes.as_bytes()).unwrap(), record);
    }

    #[test]
    fn form_1_is_still_read() {
        let bytes = r#"{"v":1,"version":7,"id":"3e8370e7","label":"a3e8370e7",
            "workspace":"genomics","owner":"ada@example.com","tool":"jupyter",
            "upstream":"http://[fd00::7]:8888",
            "state":"errored","reason":"spot instance \"reclaimed\" ☹",
            "routing":["subdomain","path"],"host_header":"upstream","strip_prefix":true,
            "created_at_ms":1795000000123,"changed_at_ms":1795000000456}"#;
        let mut record = record();
        record.session.image = None;
        record.session.labels = Labels::default();
        record.session.lifespan = None;
        record.session.access = Access::default();
        assert_eq!(Record::decode(bytes.as_bytes()).unwrap(), record);
    }

    #[test]
    fn a_newer_form_is_refused_and_an_unknown_member_is_not() {
        assert!(matches!(edited("\"v\":3", "\"v\":4"), Err(RecordError::Newer { found: 4, .. })));
        assert!(matches!(Record::decode(br#"{"v":9}"#), Err(RecordError::Newer { found: 9, .. })));
        assert_eq!(edited("\"v\":3", "\"v\":3,\"later\":[1]").unwrap(), record());
    }

    #[test]
    fn the_version_can_be_put_in_later() {
        let document = Document {
            key: "workspace/genomics".parse().unwrap(),
            version: Version(0),
            body: br#"{"v":1,"version":5}"#.to_vec(),
        };
        let session = Record { version: Version(0), ..record() };
        for encoded in [session.encode(), document.encode()] {
            let (before, after) = split_at_version(&encoded).unwrap();
            let spliced = [before, b"9007199254740991", after].concat();
            let version = Version((1 << 53) - 1);
            if before.starts_with(b"{\"v\":1") {
                let later = Document { version, ..document.clone() };
                assert_eq!(Document::decode(&spliced).unwrap(), later);
            } else {
                assert_eq!(Record::decode(&spliced).unwrap(), Record { version, ..record() });
            }
        }
        for strange in ["", "{", "{\"v\":", "{\"v\":1", "{\"v\":1,\"version\":", "{\"version\":1}"]
        {
            assert_eq!(split_at_version(strange.as_bytes()), None);
        }
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
