//! One line of the audit log: who changed what, when, and from where. Written with the change, in
//! the same step, and never changed.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{RecordError, member, of_form};
use crate::session::{Name, Timestamp};

const FORM: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    pub at: Timestamp,
    /// The name of a token, or `portico` for what it did by itself.
    pub actor: Name,
    pub address: Option<IpAddr>,
    /// `session.created`
    pub action: String,
    /// `sessions/3e8370e7`
    pub subject: String,
    pub workspace: Option<Name>,
    /// What changed, in words.
    pub detail: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    at_ms: u64,
    actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    action: String,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl AuditRecord {
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            v: FORM,
            at_ms: self.at.0,
            actor: self.actor.to_string(),
            address: self.address,
            action: self.action.clone(),
            subject: self.subject.clone(),
            workspace: self.workspace.as_ref().map(Name::to_string),
            detail: self.detail.clone(),
        };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(bytes, FORM)?;
        Ok(Self {
            at: Timestamp(wire.at_ms),
            actor: member("actor", wire.actor.parse())?,
            address: wire.address,
            action: wire.action,
            subject: wire.subject,
            workspace: member("workspace", wire.workspace.map(|name| name.parse()).transpose())?,
            detail: wire.detail,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let record = AuditRecord {
            at: Timestamp(1_795_000_000_123),
            actor: "platform".parse().unwrap(),
            address: Some("192.0.2.7".parse().unwrap()),
            action: "session.created".into(),
            subject: "sessions/3e8370e7".into(),
            workspace: Some("genomics".parse().unwrap()),
            detail: Some("running \"now\"".into()),
        };
        assert_eq!(AuditRecord::decode(&record.encode()).unwrap(), record);
        let own = AuditRecord { address: None, workspace: None, detail: None, ..record };
        assert_eq!(AuditRecord::decode(&own.encode()).unwrap(), own);
        assert!(matches!(AuditRecord::decode(br#"{"v":2}"#), Err(RecordError::Newer { .. })));
    }
}
