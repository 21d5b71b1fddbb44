//! The keys that tokens are signed with. There is more than one while they are exchanged: the
//! newest whose time has come signs, all that are known verify, so that nobody is asked again.

use std::fmt;
use std::sync::{Arc, Weak};

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use crate::record::{RecordError, member, of_form};
use crate::session::Timestamp;

const FORM: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

#[derive(Clone)]
pub struct Key {
    pub id: KeyId,
    /// Before, other replicas may not know it yet.
    pub signs_from: Timestamp,
    secret: [u8; Key::BYTES],
    pub(super) hmac: hmac::Key,
}

/// In the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<Vec<Key>>);

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    signs_from_ms: u64,
    secret: String,
}

impl Key {
    pub const BYTES: usize = 32;

    pub fn new(id: KeyId, secret: [u8; Self::BYTES], signs_from: Timestamp) -> Self {
        Self { id, signs_from, secret, hmac: hmac::Key::new(hmac::HMAC_SHA256, &secret) }
    }

    /// For other uses than signing, to be told apart by a purpose of their own.
    pub fn secret(&self) -> &[u8; Self::BYTES] {
        &self.secret
    }

    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            v: FORM,
            signs_from_ms: self.signs_from.0,
            secret: data_encoding::HEXLOWER.encode(&self.secret),
        };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(id: KeyId, body: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(body, FORM)?;
        let secret = data_encoding::HEXLOWER.decode(wire.secret.as_bytes()).ok();
        let secret = secret.and_then(|secret| secret.try_into().ok());
        let secret = member("secret", secret.ok_or("is not 32 bytes in hexadecimal"))?;
        Ok(Self::new(id, secret, Timestamp(wire.signs_from_ms)))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ***)", self.id.0)
    }
}

impl Keys {
    pub fn find(&self, id: KeyId) -> Option<&Key> {
        let at = self.0.binary_search_by_key(&id, |key| key.id).ok()?;
        Some(&self.0[at])
    }

    /// The newest whose time has come; if there is none, the oldest: one that others do not know
    /// yet is better than none.
    pub fn signing(&self, now: Timestamp) -> Option<&Key> {
        let newest = self.0.iter().rev().find(|key| key.signs_from <= now);
        newest.or(self.0.first())
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Key> {
        self.0.iter()
    }

    pub fn insert(&mut self, key: Key) {
        let keys = Arc::make_mut(&mut self.0);
        match keys.binary_search_by_key(&key.id, |known| known.id) {
            Ok(at) => keys[at] = key,
            Err(at) => keys.insert(at, key),
        }
    }

    /// By which these very keys are known again, and which keeps none of them.
    pub(super) fn mark(&self) -> Weak<Vec<Key>> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn are(&self, mark: &Weak<Vec<Key>>) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.0), mark.as_ptr())
    }

    pub fn remove(&mut self, id: KeyId) {
        Arc::make_mut(&mut self.0).retain(|key| key.id != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whose_time_has_come_signs() {
        let mut keys = Keys::default();
        assert!(keys.signing(Timestamp(0)).is_none());
        for (id, from) in [(2, 2_000), (1, 1_000)] {
            keys.insert(Key::new(KeyId(id), [id as u8; 32], Timestamp(from)));
        }
        let signing = |now| keys.signing(Timestamp(now)).unwrap().id.0;
        assert_eq!([signing(0), signing(1_500), signing(2_000)], [1, 1, 2]);
        assert!(keys.find(KeyId(2)).is_some() && keys.find(KeyId(3)).is_none());
        let mut fewer = keys.clone();
        fewer.remove(KeyId(2));
        assert!(fewer.find(KeyId(2)).is_none() && keys.find(KeyId(2)).is_some());
    }

    #[test]
    fn a_key_is_stored_and_does_not_show() {
        let key = Key::new(KeyId(7), [0xab; 32], Timestamp(5));
        let read = Key::decode(KeyId(7), &key.encode()).unwrap();
        assert_eq!((read.secret(), read.signs_from), (key.secret(), key.signs_from));
        assert!(!format!("{key:?}").contains("ab"));
        assert!(Key::decode(KeyId(7), br#"{"v":1,"signs_from_ms":1,"secret":"ab"}"#).is_err());
    }
}
