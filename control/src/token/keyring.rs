//! All tokens that are in force: the one of the settings, and those of the store as the feed brings
//! them. Asked at every request of the API, also while the store is away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use portico_core::record::{Document, Kind};
use portico_core::session::{Name, Timestamp};

use super::stored::hash;
use super::{Scopes, StoredToken, Token};
use crate::feed::Follower;
use crate::store::{Change, Entry, Snapshot};

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    pub name: Name,
    pub scopes: Scopes,
    /// Only these, where it is bounded.
    pub workspaces: Option<Arc<BTreeSet<Name>>>,
    /// As it was when the request came.
    token: Arc<StoredToken>,
}

#[derive(Clone)]
pub struct Keyring {
    tokens: Arc<ArcSwap<Vec<Arc<StoredToken>>>>,
    /// Of the settings: an administrator, and not in the store.
    own: Option<Arc<StoredToken>>,
}

pub struct KeyringFollower {
    keyring: Keyring,
    by_name: BTreeMap<Name, Arc<StoredToken>>,
}

/// The name of the settings' token in the audit log.
pub const OWN_NAME: &str = "settings";

impl Keyring {
    pub fn new(own: Option<&Token>) -> Self {
        let name = OWN_NAME.parse().expect("a constant that is a name");
        let own = own.map(|secret| StoredToken::new(name, secret, Scopes::ADMIN, Timestamp(0)));
        Self { tokens: Arc::default(), own: own.map(Arc::new) }
    }

    pub fn follower(&self) -> KeyringFollower {
        KeyringFollower { keyring: self.clone(), by_name: BTreeMap::new() }
    }

    /// Whose token an `Authorization` field's value carries. All tokens are looked at, each in the
    /// same time, so that the answer's time tells nothing of any.
    pub fn caller(&self, field: &[u8], now: Timestamp) -> Option<Caller> {
        let secret = Token::in_field(field)?;
        let hash = hash(secret);
        let tokens = self.tokens.load();
        let found =
            self.own.iter().chain(tokens.iter()).fold(None, |found, token| {
                if token.has_hash(&hash) { Some(token) } else { found }
            })?;
        found.is_live(now).then(|| Caller {
            name: found.name.clone(),
            scopes: found.scopes,
            workspaces: found.workspaces.clone().map(Arc::new),
            token: found.clone(),
        })
    }

    /// Whether the token of a request that goes on is in force still, as it was: not revoked,
    /// exchanged, changed or over.
    pub fn holds(&self, Caller { token, .. }: &Caller, now: Timestamp) -> bool {
        let tokens = self.tokens.load();
        token.is_live(now) && self.own.iter().chain(tokens.iter()).any(|known| known == token)
    }
}

impl Caller {
    /// Whether the token reaches into this workspace.
    pub fn reaches(&self, workspace: &Name) -> bool {
        self.workspaces.as_ref().is_none_or(|names| names.contains(workspace))
    }
}

impl KeyringFollower {
    fn put(&mut self, document: &Document) {
        match StoredToken::decode(&document.body) {
            Ok(token) => {
                self.by_name.insert(document.key.name.clone(), Arc::new(token));
            }
            // A token that cannot be read opens nothing.
            Err(error) => {
                self.by_name.remove(&document.key.name);
                let error = crate::with_causes(&error);
                tracing::error!(document = %document.key, error, "the token is out of force");
            }
        }
    }

    fn publish(&self) {
        self.keyring.tokens.store(Arc::new(self.by_name.values().cloned().collect()));
    }
}

impl Follower for KeyringFollower {
    fn load(&mut self, snapshot: &Snapshot) {
        self.by_name.clear();
        let tokens = snapshot.documents.iter().filter(|document| document.key.kind == Kind::Token);
        tokens.for_each(|document| self.put(document));
        self.publish();
    }

    fn follow(&mut self, entries: &[Entry]) {
        let mut changed = false;
        for entry in entries {
            match &entry.change {
                Change::DocumentPut(document) if document.key.kind == Kind::Token => {
                    self.put(document);
                    changed = true;
                }
                Change::DocumentDeleted(key) if key.kind == Kind::Token => {
                    self.by_name.remove(&key.name);
                    changed = true;
                }
                _ => {}
            }
        }
        if changed {
            self.publish();
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_core::record::{DocumentKey, Version};

    use super::*;
    use crate::store::Position;
    use crate::token::Scope;

    const NOW: Timestamp = Timestamp(1_000);

    fn field(secret: &Token) -> Vec<u8> {
        format!("Bearer {}", secret.secret()).into_bytes()
    }

    fn entry(change: Change) -> Entry {
        Entry { position: Position(1), at: NOW, change }
    }

    #[test]
    fn tokens_come_and_go_with_the_store() {
        let (own, secret) = (Token::generate().unwrap(), Token::generate().unwrap());
        let keyring = Keyring::new(Some(&own));
        let mut follower = keyring.follower();
        assert_eq!(keyring.caller(&field(&own), NOW).unwrap().name.as_str(), "settings");
        assert!(keyring.caller(&field(&secret), NOW).is_none());

        let name: Name = "platform".parse().unwrap();
        let mut token =
            StoredToken::new(name.clone(), &secret, Scopes::of([Scope::SessionsRead]), NOW);
        token.workspaces = Some(BTreeSet::from(["a".parse().unwrap()]));
        let key = DocumentKey { kind: Kind::Token, name };
        let put = |token: &StoredToken| {
            let (key, body) = (key.clone(), token.encode());
            entry(Change::DocumentPut(Document { key, version: Version(1), body }))
        };
        follower.follow(&[put(&token)]);
        let caller = keyring.caller(&field(&secret), NOW).unwrap();
        assert!(caller.scopes.allow(Scope::SessionsRead) && !caller.scopes.allow(Scope::Admin));
        assert!(caller.reaches(&"a".parse().unwrap()) && !caller.reaches(&"b".parse().unwrap()));
        follower.follow(&[put(&token)]);
        assert!(keyring.holds(&caller, NOW), "the same again");

        token.expires_at = Some(NOW);
        follower.follow(&[put(&token)]);
        assert!(keyring.caller(&field(&secret), NOW).is_none(), "expired");
        assert!(!keyring.holds(&caller, Timestamp(0)), "changed");
        let caller = keyring.caller(&field(&secret), Timestamp(0)).unwrap();
        assert!(keyring.holds(&caller, Timestamp(0)) && !keyring.holds(&caller, NOW));
        token.expires_at = None;
        follower.follow(&[put(&token)]);
        let caller = keyring.caller(&field(&secret), NOW).unwrap();
        follower.follow(&[entry(Change::DocumentDeleted(key))]);
        assert!(keyring.caller(&field(&secret), NOW).is_none(), "revoked");
        assert!(!keyring.holds(&caller, NOW));
        let caller = keyring.caller(&field(&own), NOW).unwrap();
        assert!(keyring.holds(&caller, NOW));
        assert!(keyring.caller(&field(&own), NOW).is_some());
    }
}
