//! Keys of a platform, real ones, and the tokens that they sign.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub struct Signer {
    pub id: &'static str,
    pub algorithm: Algorithm,
    pub key: EncodingKey,
    pub jwk: Value,
}

impl Signer {
    pub fn ed25519(id: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        let der = pair.to_pkcs8v1().unwrap();
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": id, "use": "sig" });
        let key = EncodingKey::from_ed_der(der.as_ref());
        Self { id, algorithm: Algorithm::EdDSA, key, jwk }
    }

    pub fn p256(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::of(id, Algorithm::ES256, EncodingKey::from_ec_der(der.as_ref()))
    }

    /// The same key each time, because making one takes long.
    pub fn rsa(id: &'static str, algorithm: Algorithm) -> Self {
        static DER: OnceLock<Vec<u8>> = OnceLock::new();
        let der = DER.get_or_init(|| {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            // Behind the head of PKCS #8 is PKCS #1, which the library wants.
            pair.as_der().unwrap().as_ref()[26..].to_vec()
        });
        Self::of(id, algorithm, EncodingKey::from_rsa_der(der))
    }

    fn of(id: &'static str, algorithm: Algorithm, key: EncodingKey) -> Self {
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        Self { id, algorithm, key, jwk: serde_json::to_value(jwk).unwrap() }
    }

    pub fn header(&self) -> Header {
        Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) }
    }

    pub fn sign(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.key).unwrap()
    }
}
