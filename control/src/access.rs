//! What the control plane holds of access: the newest keys and revocations for whoever signs or
//! judges tokens there, and the names of their documents.

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

/// Keeps the keys of the store; revocations are for those who judge, the workers.
pub struct AccessFollower(pub SharedAccess);

impl AccessFollower {
    fn put(state: &mut AccessState, document: &Document) {
        match document.key.kind {
            Kind::SigningKey => {
                if let Some(key) = key_of(document) {
                    state.keys.insert(key);
                }
            }
            Kind::Revocation => {
                if let Ok(revocation) = Revocation::decode(&document.body) {
                    state.revocations.insert(revocation);
                }
            }
            _ => {}
        }
    }
}

impl Follower for AccessFollower {
    fn load(&mut self, snapshot: &Snapshot) {
        let mut state = AccessState::default();
        snapshot.documents.iter().for_each(|document| Self::put(&mut state, document));
        self.0.store(Arc::new(state));
    }

    fn follow(&mut self, entries: &[Entry]) {
        let mut state = (**self.0.load()).clone();
        let mut changed = false;
        for entry in entries {
            match &entry.change {
                Change::DocumentPut(document) => Self::put(&mut state, document),
                Change::DocumentDeleted(DocumentKey { kind: Kind::SigningKey, name }) => {
                    if let Ok(id) = name.as_str().parse() {
                        state.keys.remove(KeyId(id));
                    }
                }
                _ => continue,
            }
            changed = true;
        }
        if changed {
            self.0.store(Arc::new(state));
        }
    }
}
