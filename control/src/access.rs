//! What the control plane holds of access: the newest keys and revocations for whoever signs or
//! judges tokens there, and the names of their documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use portico_core::access::{AccessState, Binding, Key, KeyId, Revocation, Revoked};
use portico_core::record::{Document, DocumentKey, Kind};
use portico_core::session::Name;

use crate::feed::Follower;
use crate::store::{Change, Entry, Snapshot};

pub type SharedAccess = Arc<ArcSwap<AccessState>>;

/// The same of the same, so that a later one takes the place of an earlier one.
pub fn revocation_name(of: &Revoked) -> Name {
    let text = match of {
        Revoked::Login(id) => format!("login\0{id}"),
        Revoked::User(user) => format!("user\0{user}"),
    };
    let digest = data_encoding::HEXLOWER.encode(&Binding::of(text.as_bytes()).0);
    digest[..32].parse().expect("hexadecimal digits are a name")
}

pub fn key_document(id: KeyId) -> DocumentKey {
    let name = id.0.to_string().parse().expect("digits are a name");
    DocumentKey { kind: Kind::SigningKey, name }
}

pub fn key_of(document: &Document) -> Option<Key> {
    let id = document.key.name.as_str().parse().ok()?;
    Key::decode(KeyId(id), &document.body).ok()
}

/// Keeps both as the store has them.
pub struct AccessFollower {
    shared: SharedAccess,
    /// What each revocation took back, to know it when its document goes.
    revoked: BTreeMap<Name, Revoked>,
}

impl AccessFollower {
    pub fn new(shared: SharedAccess) -> Self {
        Self { shared, revoked: BTreeMap::new() }
    }

    /// Whether it is of access. What cannot be read was told to the log by those who obey it.
    fn put(&mut self, state: &mut AccessState, document: &Document) -> bool {
        match document.key.kind {
            Kind::SigningKey => key_of(document).map(|key| state.keys.insert(key)).is_some(),
            Kind::Revocation => match Revocation::decode(&document.body) {
                Ok(revocation) => {
                    self.revoked.insert(document.key.name.clone(), revocation.of.clone());
                    state.revocations.insert(revocation);
                    true
                }
                Err(_) => false,
            },
            _ => false,
        }
    }

    fn delete(
        &mut self,
        state: &mut AccessState,
        DocumentKey { kind, name }: &DocumentKey,
    ) -> bool {
        match kind {
            Kind::SigningKey => {
                let id = name.as_str().parse().map(KeyId);
                id.map(|id| state.keys.remove(id)).is_ok()
            }
            Kind::Revocation => {
                self.revoked.remove(name).map(|of| state.revocations.remove(&of)).is_some()
            }
            _ => false,
        }
    }
}

impl Follower for AccessFollower {
    fn load(&mut self, snapshot: &Snapshot) {
        self.revoked.clear();
        let mut state = AccessState::default();
        for document in &snapshot.documents {
            self.put(&mut state, document);
        }
        self.shared.store(Arc::new(state));
    }

    fn follow(&mut self, entries: &[Entry]) {
        let mut state = AccessState::clone(&self.shared.load());
        let mut changed = false;
        for entry in entries {
            changed |= match &entry.change {
                Change::DocumentPut(document) => self.put(&mut state, document),
                Change::DocumentDeleted(key) => self.delete(&mut state, key),
                _ => false,
            };
        }
        if changed {
            self.shared.store(Arc::new(state));
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_core::access::{LoginId, LoginProof};
    use portico_core::record::Version;
    use portico_core::session::Timestamp;

    use super::*;
    use crate::store::Position;

    fn entry(change: Change) -> Entry {
        Entry { position: Position(1), at: Timestamp(1), change }
    }

    fn document(key: DocumentKey, body: Vec<u8>) -> Document {
        Document { key, version: Version(1), body }
    }

    #[test]
    fn what_goes_from_the_store_is_forgotten() {
        let shared = SharedAccess::default();
        let mut follower = AccessFollower::new(shared.clone());
        let ada: Name = "ada".parse().unwrap();
        let of = Revoked::User(ada.clone());
        let revocation = DocumentKey { kind: Kind::Revocation, name: revocation_name(&of) };
        let body = Revocation { of, before: Timestamp(9) }.encode();
        let key = Key::new(KeyId(7), [1; Key::BYTES], Timestamp(0));
        let documents =
            [document(revocation.clone(), body), document(key_document(key.id), key.encode())];
        let is_there = || {
            let state = shared.load();
            let login = LoginProof { id: LoginId([2; 16]), at: Timestamp(5) };
            (state.revocations.cover(&ada, login), state.keys.find(KeyId(7)).is_some())
        };
        follower.load(&Snapshot { documents: documents.to_vec(), ..Snapshot::default() });
        assert_eq!(is_there(), (true, true));
        follower.follow(&[entry(Change::DocumentDeleted(revocation.clone()))]);
        assert_eq!(is_there(), (false, true));
        follower.follow(&[entry(Change::DocumentDeleted(key_document(KeyId(7))))]);
        assert_eq!(is_there(), (false, false));
        follower.follow(&documents.map(|document| entry(Change::DocumentPut(document))));
        assert_eq!(is_there(), (true, true));
        follower.load(&Snapshot::default());
        assert_eq!(is_there(), (false, false));
        follower.follow(&[entry(Change::DocumentDeleted(revocation))]);
    }
}
