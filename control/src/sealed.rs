//! Small texts that a browser keeps for us and cannot read or change: the state of a sign-in, a
//! refresh token. AES-256-GCM with a random nonce. A purpose is sealed in, so that what was made
//! for one cookie opens as no other. What the texts mean, and until when, is the caller's business,
//! and so is where the secrets come from.
//!
//! Form, in base64url: version 1, key id (4 bytes, big endian), nonce (12), ciphertext and tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use data_encoding::BASE64URL_NOPAD;
use portico_core::limits;

/// What tells our forms apart, should there be another one.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 4;
const TAG_BYTES: usize = 16;
const SEALED_BYTES_MAX: usize = HEAD_BYTES + NONCE_LEN + limits::SEALED_TEXT_BYTES_MAX + TAG_BYTES;

pub struct Sealer {
    keys: Vec<Key>,
}

struct Key {
    id: u32,
    key: RandomizedNonceKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("there is no key to seal with")]
    NoKey,
    #[error("a text to seal has at most {max} bytes", max = limits::SEALED_TEXT_BYTES_MAX)]
    TooLong,
    /// Changed, cut, of another purpose or another Portico: the browser's fault, or an attack.
    #[error("this was not sealed here, or for something else")]
    NotOurs,
    #[error("it was sealed with a key that is no longer there")]
    UnknownKey,
    #[error("the cryptography library failed")]
    Library,
}

impl Sealer {
    /// The first one seals, all of them open: the caller knows which key every replica has already.
    /// Of two with one id the first counts. More than `SEALING_KEYS_MAX` are not looked at.
    pub fn new(secrets: &[(u32, [u8; 32])]) -> Result<Self, SealError> {
        let secrets = &secrets[..secrets.len().min(limits::SEALING_KEYS_MAX)];
        let keys: Result<Vec<_>, _> = secrets
            .iter()
            .map(|(id, secret)| derived(secret).map(|key| Key { id: *id, key }))
            .collect();
        let keys = keys?;
        if keys.is_empty() { Err(SealError::NoKey) } else { Ok(Self { keys }) }
    }

    pub fn seal(&self, purpose: &str, text: &[u8]) -> Result<String, SealError> {
        if text.len() > limits::SEALED_TEXT_BYTES_MAX {
            return Err(SealError::TooLong);
        }
        let Key { id, key } = self.keys.first().ok_or(SealError::NoKey)?;
        let mut sealed = vec![VERSION];
        sealed.extend(id.to_be_bytes());
        let aad = bound_to(&sealed, purpose);
        let mut body = text.to_vec();
        // 2^32 texts may be sealed with one key before random nonces are likely enough to repeat
        // (NIST SP 800-38D §8.3): a day's key never sees as many sign-ins.
        let nonce = key
            .seal_in_place_append_tag(Aad::from(&aad), &mut body)
            .map_err(|_| SealError::Library)?;
        sealed.extend(nonce.as_ref());
        sealed.extend(body);
        Ok(BASE64URL_NOPAD.encode(&sealed))
    }

    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        // Looked at first, so that what a client sends costs no more than the longest of ours.
        if sealed.len() > SEALED_BYTES_MAX.div_ceil(3) * 4 {
            return Err(SealError::NotOurs);
        }
        let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).map_err(|_| SealError::NotOurs)?;
        let (head, rest) = sealed.split_at_checked(HEAD_BYTES).ok_or(SealError::NotOurs)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::NotOurs)?;
        let [VERSION, id @ ..] = head else { return Err(SealError::NotOurs) };
        let id = u32::from_be_bytes(id.try_into().map_err(|_| SealError::NotOurs)?);
        let key = self.keys.iter().find(|key| key.id == id).ok_or(SealError::UnknownKey)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::NotOurs)?;
        let mut body = body.to_vec();
        let aad = bound_to(head, purpose);
        let text = key.key.open_in_place(nonce, Aad::from(&aad), &mut body);
        Ok(text.map_err(|_| SealError::NotOurs)?.to_vec())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id)).finish()
    }
}

/// The same secret may sign elsewhere; a key that is derived from it is used for this alone.
fn derived(secret: &[u8; 32]) -> Result<RandomizedNonceKey, SealError> {
    let mut bytes = [0; 32];
    Salt::new(HKDF_SHA256, &[])
        .extract(secret)
        .expand(&[b"portico sealed text 1"], &AES_256_GCM)
        .and_then(|key| key.fill(&mut bytes))
        .map_err(|_| SealError::Library)?;
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| SealError::Library)
}

fn bound_to(head: &[u8], purpose: &str) -> Vec<u8> {
    [head, purpose.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: (u32, [u8; 32]) = (1, [1; 32]);
    const NEW: (u32, [u8; 32]) = (2, [2; 32]);

    #[test]
    fn what_was_sealed_opens_for_its_purpose_only() {
        let sealer = Sealer::new(&[NEW]).unwrap();
        let sealed = sealer.seal("sign-in", b"{\"nonce\":1}").unwrap();
        assert_ne!(sealed, sealer.seal("sign-in", b"{\"nonce\":1}").unwrap(), "nonces are random");
        assert_eq!(sealer.open("sign-in", &sealed).unwrap(), b"{\"nonce\":1}");
        assert_eq!(sealer.open("refresh", &sealed), Err(SealError::NotOurs));
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_still_opens() {
        let old = Sealer::new(&[OLD]).unwrap();
        let both = Sealer::new(&[NEW, OLD]).unwrap();
        let new = Sealer::new(&[NEW]).unwrap();
        let before = old.seal("a", b"before").unwrap();
        assert_eq!(both.open("a", &before).unwrap(), b"before");
        assert_eq!(new.open("a", &before), Err(SealError::UnknownKey));
        let after = both.seal("a", b"after").unwrap();
        assert_eq!(new.open("a", &after).unwrap(), b"after");
        assert_eq!(Sealer::new(&[]).unwrap_err(), SealError::NoKey);
        let other_secret = Sealer::new(&[(2, [3; 32])]).unwrap();
        assert_eq!(other_secret.open("a", &after), Err(SealError::NotOurs));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_refused() {
        let sealer = Sealer::new(&[NEW, OLD]).unwrap();
        let sealed = sealer.seal("a", b"some text").unwrap();
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open("a", &BASE64URL_NOPAD.encode(&changed)).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            let cut = BASE64URL_NOPAD.encode(&bytes[..length]);
            assert_eq!(sealer.open("a", &cut), Err(SealError::NotOurs), "{length} bytes");
        }
    }

    #[test]
    fn texts_are_bounded_and_the_longest_fits_a_cookie() {
        let sealer = Sealer::new(&[NEW]).unwrap();
        let longest = vec![b'x'; limits::SEALED_TEXT_BYTES_MAX];
        let sealed = sealer.seal("a", &longest).unwrap();
        assert!(sealed.len() < 3_840, "{}", sealed.len());
        assert_eq!(sealer.open("a", &sealed).unwrap(), longest);
        assert_eq!(sealer.seal("a", &[longest, vec![b'x']].concat()), Err(SealError::TooLong));
        assert_eq!(sealer.open("a", &"A".repeat(4_096)), Err(SealError::NotOurs));
    }

    #[test]
    fn secrets_do_not_show() {
        assert_eq!(format!("{:?}", Sealer::new(&[NEW, OLD]).unwrap()), "[2, 1]");
    }
}
