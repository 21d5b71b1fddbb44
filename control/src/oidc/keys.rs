//! The platform's public keys (RFC 7517): those that may sign a token that we believe. Keys of
//! other kinds are left out one by one, so that a platform may add new ones.

use std::str::FromStr;

use axum::http::{Request, StatusCode};
use http_body_util::Full;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use portico_core::limits;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::answer::{call, json};
use super::{OidcError, Step};
use crate::outbound::Outbound;

/// Asymmetric ones only. With a client's secret (HS256) a token could be made by whoever sees that
/// secret; and `none` is no member of the library's list at all. The order is the one in which we
/// ask a platform for one that does not do RS256, the default.
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::ES256,
    Algorithm::EdDSA,
    Algorithm::PS256,
    Algorithm::ES384,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS384,
    Algorithm::PS512,
];

#[derive(Debug)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    signs: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Wire {
    keys: Vec<Value>,
}

impl Keys {
    pub async fn fetch(outbound: &Outbound, from: &Url) -> Result<Self, OidcError> {
        let step = Step::Keys;
        let request = Request::get(from.as_str()).body(Full::default());
        let request =
            request.map_err(|_| OidcError::Answer { step, reason: "the keys' URL is not one" })?;
        let reply = call(outbound, step, request).await?;
        if reply.status != StatusCode::OK {
            return Err(OidcError::Status { step, status: reply.status.as_u16() });
        }
        Self::parse(&reply.body)
    }

    pub fn parse(body: &[u8]) -> Result<Self, OidcError> {
        let Wire { keys } = json(Step::Keys, body)?;
        let usable = keys.into_iter().filter_map(Key::parse).take(limits::OIDC_KEYS_MAX);
        Ok(Self(usable.collect()))
    }

    /// Keys that may have signed a token with this header. Both may lack a key id (OpenID Connect
    /// Core §10.1, a platform with one key).
    pub fn of<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a DecodingKey> {
        let same = |key: &Key| match (&key.id, &header.kid) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        };
        let fits = move |key: &&Key| same(key) && key.signs.contains(&header.alg);
        self.0.iter().filter(fits).map(|key| &key.key).take(limits::OIDC_KEYS_TRIED_MAX)
    }
}

impl Key {
    /// None for what does not verify signatures that we accept.
    fn parse(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let by_kind: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                EllipticCurve::P521 | EllipticCurve::Ed25519 => &[],
            },
            AlgorithmParameters::OctetKeyPair(key) => match key.curve {
                EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
                EllipticCurve::P256 | EllipticCurve::P384 | EllipticCurve::P521 => &[],
            },
            AlgorithmParameters::OctetKey(_) => &[],
        };
        let signs: Vec<_> = match jwk.common.key_algorithm {
            Some(only) => {
                let only = Algorithm::from_str(&only.to_string()).ok()?;
                by_kind.iter().copied().filter(|each| *each == only).collect()
            }
            None => by_kind.to_vec(),
        };
        if signs.is_empty() {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, signs, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_must_not_sign_are_left_out() {
        let keys = serde_json::json!({ "keys": [
            { "kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "secret" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc", "kid": "encrypts" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RSA-OAEP", "kid": "encrypts, too" },
            { "kty": "AKP", "alg": "ML-DSA-44", "kid": "of tomorrow" },
            { "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "of elsewhere" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "HS256", "kid": "confused" },
            { "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "PS256", "kid": "good" },
            7,
        ]});
        let keys = Keys::parse(keys.to_string().as_bytes()).unwrap();
        assert_eq!(keys.0.len(), 1, "{keys:?}");
        let mut header = Header::new(Algorithm::PS256);
        assert_eq!(keys.of(&header).count(), 1, "a token may lack a key id");
        header.kid = Some("other".into());
        assert_eq!(keys.of(&header).count(), 0);
        header.kid = Some("good".into());
        assert_eq!(keys.of(&header).count(), 1);
        header.alg = Algorithm::RS256;
        assert_eq!(keys.of(&header).count(), 0, "the key says what it signs with");
    }

    #[test]
    fn a_set_is_bounded() {
        let key = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
        let keys = vec![key; limits::OIDC_KEYS_MAX * 2].join(",");
        let keys = Keys::parse(format!("{{\"keys\":[{keys}]}}").as_bytes()).unwrap();
        assert_eq!(keys.0.len(), limits::OIDC_KEYS_MAX);
        let tried = keys.of(&Header::new(Algorithm::RS256)).count();
        assert_eq!(tried, limits::OIDC_KEYS_TRIED_MAX);
    }
}
