//! A token as it is kept: its name, what it may do, and the hash of its secret. The secret is 256
//! random bits, or as strong as its owner made it, so one round of SHA-256 is enough.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use portico_core::record::{RecordError, member, of_form};
use portico_core::session::{Name, NameError, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{Scope, Scopes, Token};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    pub name: Name,
    pub hash: [u8; 32],
    pub scopes: Scopes,
    /// Only these, where it is bounded.
    pub workspaces: Option<BTreeSet<Name>>,
    pub created_at: Timestamp,
    /// When its secret was last exchanged.
    pub rotated_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    name: String,
    sha256: String,
    scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspaces: Option<Vec<String>>,
    created_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

const FORM: u32 = 1;

impl StoredToken {
    pub fn new(name: Name, secret: &Token, scopes: Scopes, now: Timestamp) -> Self {
        Self {
            name,
            hash: hash(secret.secret().as_bytes()),
            scopes,
            workspaces: None,
            created_at: now,
            rotated_at: None,
            expires_at: None,
        }
    }

    pub fn rotate(&mut self, secret: &Token, now: Timestamp) {
        self.hash = hash(secret.secret().as_bytes());
        self.rotated_at = Some(now);
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Takes the same time wherever the difference is.
    pub fn has_hash(&self, hash: &[u8; 32]) -> bool {
        bool::from(self.hash.ct_eq(hash))
    }

    pub fn encode(&self) -> Vec<u8> {
        let names = |names: &BTreeSet<Name>| names.iter().map(Name::to_string).collect();
        let wire = Wire {
            v: FORM,
            name: self.name.to_string(),
            sha256: HEXLOWER.encode(&self.hash),
            scopes: self.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            workspaces: self.workspaces.as_ref().map(names),
            created_at_ms: self.created_at.0,
            rotated_at_ms: self.rotated_at.map(|at| at.0),
            expires_at_ms: self.expires_at.map(|at| at.0),
        };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(bytes, FORM)?;
        let hash = HEXLOWER.decode(wire.sha256.as_bytes()).ok();
        let hash = hash.and_then(|bytes| bytes.try_into().ok());
        let scopes = wire.scopes.iter().map(|word| word.parse::<Scope>());
        let scopes: Result<Vec<_>, _> = scopes.collect();
        let workspaces: Option<Result<_, NameError>> =
            wire.workspaces.map(|names| names.iter().map(|name| name.parse()).collect());
        Ok(Self {
            name: member("name", wire.name.parse())?,
            hash: member("sha256", hash.ok_or("is not 64 hexadecimal digits"))?,
            scopes: Scopes::of(member("scopes", scopes)?),
            workspaces: member("workspaces", workspaces.transpose())?,
            created_at: Timestamp(wire.created_at_ms),
            rotated_at: wire.rotated_at_ms.map(Timestamp),
            expires_at: wire.expires_at_ms.map(Timestamp),
        })
    }
}

pub fn hash(secret: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, secret).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_the_secret_is_not_in_it() {
        let secret = Token::generate().unwrap();
        let scopes = Scopes::of([Scope::SessionsRead, Scope::UsageRead]);
        let mut token =
            StoredToken::new("platform".parse().unwrap(), &secret, scopes, Timestamp(5));
        assert_eq!(StoredToken::decode(&token.encode()).unwrap(), token);
        token.workspaces = Some(BTreeSet::from(["genomics".parse().unwrap()]));
        token.expires_at = Some(Timestamp(9));
        let before = token.clone();
        token.rotate(&Token::generate().unwrap(), Timestamp(7));
        assert_ne!(before.hash, token.hash);
        let bytes = token.encode();
        assert_eq!(StoredToken::decode(&bytes).unwrap(), token);
        assert!(!String::from_utf8(bytes).unwrap().contains(secret.secret()));
        assert!(
            before.has_hash(&hash(secret.secret().as_bytes())) && !token.has_hash(&before.hash)
        );
    }

    #[test]
    fn damage_is_named() {
        let bytes = br#"{"v":1,"name":"a","sha256":"00","scopes":[],"created_at_ms":1}"#;
        let Err(RecordError::Member { member, .. }) = StoredToken::decode(bytes) else { panic!() };
        assert_eq!(member, "sha256");
    }
}
