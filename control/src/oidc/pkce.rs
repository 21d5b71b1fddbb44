//! PKCE (RFC 7636): a secret that only the browser's sign-in knows, and the hash that the platform
//! gets first. With it a code that was seen by somebody else is of no use.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;

use crate::secret::Secret;

/// 43 characters; travels sealed between the two halves of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier(Secret);

impl Verifier {
    /// Of 256 random bits, as RFC 7636 §4.1 recommends.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(Secret::new(BASE64URL_NOPAD.encode(&bytes)))
    }

    /// What `reveal` gave.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let fits = (43..=128).contains(&text.len()) && text.bytes().all(allowed);
        fits.then(|| Self(Secret::new(text)))
    }

    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    /// For `Provider::authorize_url`, by S256.
    pub fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(digest(&SHA256, self.reveal().as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636() {
        let verifier = Verifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_is_read_back_and_does_not_show() {
        let verifier = Verifier::from_random([7; 32]);
        assert_eq!(Verifier::parse(verifier.reveal()), Some(verifier.clone()));
        assert!(!format!("{verifier:?}").contains(verifier.reveal()));
        for bad in ["", "short", &"x".repeat(129), &"ä".repeat(43)] {
            assert_eq!(Verifier::parse(bad), None);
        }
    }
}
