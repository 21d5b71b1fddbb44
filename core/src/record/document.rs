//! Documents: what a store keeps besides sessions. Small, few, and each kind knows its own body;
//! here they are only a kind, a name, a version and JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RecordError, Version, member, of_form};
use crate::session::{Name, UnknownWord};

const FORM: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// One document, `all`: which workspaces may have routes.
    AllowList,
    /// The limits of the workspace of that name.
    Workspace,
    /// A template of the catalogue, by its key.
    Template,
    /// A token of the API, by its id.
    Token,
    /// A running process, by its id.
    Replica,
    /// One document, `accepted`: the store that an operator accepted in place of a lost one.
    Store,
    /// A key that grants are signed with, by its number.
    SigningKey,
    /// What takes grants back; the name is drawn.
    Revocation,
    /// One document, `platform`: as which client Portico is registered there.
    Client,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocumentKey {
    pub kind: Kind,
    pub name: Name,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    pub key: DocumentKey,
    pub version: Version,
    /// A JSON object in the form of its kind.
    pub body: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    version: u64,
    kind: String,
    name: String,
    body: Value,
}

impl Document {
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            v: FORM,
            version: self.version.0,
            kind: self.key.kind.to_string(),
            name: self.key.name.to_string(),
            body: serde_json::from_slice(&self.body).unwrap_or(Value::Null),
        };
        serde_json::to_vec(&wire).expect("JSON always has a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(bytes, FORM)?;
        Ok(Self {
            key: DocumentKey {
                kind: member("kind", wire.kind.parse())?,
                name: member("name", wire.name.parse())?,
            },
            version: Version(wire.version),
            body: serde_json::to_vec(&wire.body).expect("JSON always has a JSON form"),
        })
    }
}

/// Without a body that is secret: changes and snapshots print the documents in them.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, version, body } = self;
        let body = if key.kind.is_secret() { "***".into() } else { String::from_utf8_lossy(body) };
        write!(f, "Document({key}, {}, {body})", version.0)
    }
}

impl Kind {
    pub const ALL: [Self; 9] = [
        Self::AllowList,
        Self::Workspace,
        Self::Template,
        Self::Token,
        Self::Replica,
        Self::Store,
        Self::SigningKey,
        Self::Revocation,
        Self::Client,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowList => "allow-list",
            Self::Workspace => "workspace",
            Self::Template => "template",
            Self::Token => "token",
            Self::Replica => "replica",
            Self::Store => "store",
            Self::SigningKey => "signing-key",
            Self::Revocation => "revocation",
            Self::Client => "client",
        }
    }

    /// Whether its documents hold what must not be shown to anybody.
    pub fn is_secret(self) -> bool {
        match self {
            Self::SigningKey | Self::Client => true,
            // Of a token only a digest is kept.
            Self::AllowList
            | Self::Workspace
            | Self::Template
            | Self::Token
            | Self::Replica
            | Self::Store
            | Self::Revocation => false,
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let expected = "allow-list, workspace, template, token, replica, store, signing-key, \
                        revocation, client";
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownWord { expected })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `workspace/genomics`.
impl fmt::Display for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for DocumentKey {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let expected = UnknownWord { expected: "kind/name" };
        let (kind, name) = text.split_once('/').ok_or(expected)?;
        let name = name.parse().map_err(|_| UnknownWord { expected: "kind/name" })?;
        Ok(Self { kind: kind.parse()?, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for kind in Kind::ALL {
            let key = DocumentKey { kind, name: "a/b".parse().unwrap() };
            assert_eq!(key.to_string().parse(), Ok(key.clone()));
            let body = br#"{"v":1,"x":[1,null]}"#.to_vec();
            let document = Document { key, version: Version(7), body };
            assert_eq!(Document::decode(&document.encode()).unwrap(), document);
        }
    }

    #[test]
    fn what_is_secret_is_not_printed() {
        for kind in Kind::ALL {
            let key = DocumentKey { kind, name: "a".parse().unwrap() };
            let body = br#"{"v":1,"secret":"s3cr3t"}"#.to_vec();
            let printed = format!("{:?}", Document { key, version: Version(7), body });
            assert_eq!(printed.contains("s3cr3t"), !kind.is_secret(), "{printed}");
        }
    }

    #[test]
    fn damage_is_an_error() {
        assert!(matches!(Document::decode(b"{"), Err(RecordError::Json(_))));
        assert!(matches!(Document::decode(br#"{"v":2}"#), Err(RecordError::Newer { .. })));
        let strange = br#"{"v":1,"version":1,"kind":"cat","name":"a","body":{}}"#;
        let Err(RecordError::Member { member, .. }) = Document::decode(strange) else { panic!() };
        assert_eq!(member, "kind");
        assert!("workspace".parse::<DocumentKey>().is_err());
    }
}
