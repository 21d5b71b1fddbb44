//! Which id tokens are believed.

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use portico_core::limits;
use portico_core::session::Timestamp;
use serde_json::{Value, json};

use super::platform::{NOW, NOW_SECONDS, Platform, client};
use super::signer::Signer;
use crate::oidc::{OidcError, Provider, TokenError, Verifier};
use crate::secret::Secret;

async fn outcome(platform: &Platform, token: &str) -> Result<(), TokenError> {
    judged(platform, &platform.provider(), token, NOW).await
}

async fn judged(
    platform: &Platform,
    provider: &Provider,
    token: &str,
    now: Timestamp,
) -> Result<(), TokenError> {
    platform.gives(token);
    let (code, verifier) = (Secret::new("c"), Verifier::from_random([7; 32]));
    let issuer = Some(platform.issuer.as_str());
    match provider.exchange(&client(), &code, issuer, &verifier, "n-1", now).await {
        Ok(_) => Ok(()),
        Err(OidcError::IdToken(error)) => Err(error),
        Err(error) => panic!("{error:?}"),
    }
}

/// With a header and a signature that no library would make.
fn by_hand(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = BASE64URL_NOPAD.encode(&sign(message.as_bytes()));
    format!("{message}.{signature}")
}

#[tokio::test]
async fn every_way_of_signing_that_is_accepted() {
    let signers = [
        Signer::ed25519("ed"),
        Signer::p256("p256"),
        Signer::rsa("rs256", Algorithm::RS256),
        Signer::rsa("rs512", Algorithm::RS512),
        Signer::rsa("ps256", Algorithm::PS256),
    ];
    let platform = Platform::start(&signers.each_ref()).await;
    for signer in &signers {
        let token = signer.sign(&platform.claims());
        assert_eq!(outcome(&platform, &token).await, Ok(()), "{}", signer.id);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let mut signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        signature[10] ^= 1;
        let forged = format!("{message}.{}", BASE64URL_NOPAD.encode(&signature));
        assert_eq!(outcome(&platform, &forged).await, Err(TokenError::Signature));
    }
}

#[tokio::test]
async fn no_signature_and_no_shared_secret_is_accepted() {
    let rsa = Signer::rsa("a", Algorithm::RS256);
    let platform = Platform::start(&[&rsa]).await;
    let claims = platform.claims();
    for none in ["none", "None", "NONE", "nOnE"] {
        let header = json!({ "alg": none, "kid": "a" });
        let refused = outcome(&platform, &by_hand(&header, &claims, |_| Vec::new())).await;
        assert!(
            matches!(refused, Err(TokenError::Algorithm | TokenError::Malformed)),
            "{none}: {refused:?}"
        );
    }
    // The public key, in the forms that a confused library would take for a secret; the client's.
    let modulus = rsa.jwk["n"].as_str().unwrap().to_owned();
    let decoded = BASE64URL_NOPAD.decode(modulus.as_bytes()).unwrap();
    let jwk = rsa.jwk.to_string().into_bytes();
    for secret in [modulus.into_bytes(), decoded, jwk, b"hunter2".to_vec(), Vec::new()] {
        let header = json!({ "alg": "HS256", "kid": "a", "typ": "JWT" });
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let token = by_hand(&header, &claims, |m| hmac::sign(&key, m).as_ref().to_vec());
        assert_eq!(outcome(&platform, &token).await, Err(TokenError::Algorithm));
    }
    // A key that the token brings along, or points to.
    let evil = Signer::p256("a");
    let header = json!({ "alg": "ES256", "kid": "a", "jwk": evil.jwk, "jku": "https://evil/" });
    let real = evil.sign(&claims);
    let signature = real.rsplit_once('.').unwrap().1.as_bytes().to_vec();
    let signature = BASE64URL_NOPAD.decode(&signature).unwrap();
    let token = by_hand(&header, &claims, |_| signature);
    assert_eq!(outcome(&platform, &token).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn a_token_is_of_the_issuer_for_us_and_in_time() {
    let signer = Signer::ed25519("a");
    let platform = Platform::start(&[&signer]).await;
    let issuer = platform.issuer.clone();
    let skew = limits::OIDC_CLOCK_SKEW.as_secs();
    for (name, value, expected) in [
        ("iss", json!("https://evil.example.com"), Err(TokenError::Issuer)),
        ("iss", json!(format!("{issuer}/")), Err(TokenError::Issuer)),
        ("iss", json!([issuer]), Err(TokenError::Issuer)),
        ("iss", Value::Null, Err(TokenError::Claim("iss"))),
        ("aud", json!("portico-2"), Err(TokenError::Audience)),
        ("aud", json!([]), Err(TokenError::Audience)),
        ("aud", json!(["portico-1"]), Ok(())),
        ("aud", json!(["portico-1", "portico-2"]), Err(TokenError::Audience)),
        ("aud", Value::Null, Err(TokenError::Claim("aud"))),
        ("azp", json!("portico-1"), Ok(())),
        ("azp", json!("portico-2"), Err(TokenError::Audience)),
        ("exp", json!(NOW_SECONDS - skew), Err(TokenError::Expired)),
        ("exp", json!(NOW_SECONDS - skew + 1), Ok(())),
        ("exp", json!("tomorrow"), Err(TokenError::Claim("exp"))),
        ("exp", Value::Null, Err(TokenError::Claim("exp"))),
        ("iat", json!(NOW_SECONDS + skew), Ok(())),
        ("iat", json!(NOW_SECONDS + skew + 1), Err(TokenError::Early)),
        ("iat", json!(NOW_SECONDS as f64 - 0.5), Ok(())),
        ("iat", Value::Null, Err(TokenError::Claim("iat"))),
        ("nbf", json!(NOW_SECONDS + skew + 1), Err(TokenError::Early)),
        ("sub", json!(7), Err(TokenError::Claim("sub"))),
        ("sub", json!("two words"), Err(TokenError::User)),
    ] {
        let mut claims = platform.claims();
        claims[name] = value;
        let token = signer.sign(&claims);
        assert_eq!(outcome(&platform, &token).await, expected, "{name}: {claims}");
    }
    let mut several = platform.claims();
    several["aud"] = json!(["portico-2", "portico-1"]);
    several["azp"] = json!("portico-1");
    assert_eq!(outcome(&platform, &signer.sign(&several)).await, Ok(()));
}

#[tokio::test]
async fn tokens_of_another_kind_or_form_are_refused() {
    let signer = Signer::ed25519("a");
    let platform = Platform::start(&[&signer]).await;
    let claims = platform.claims();
    let with = |header: Header| encode(&header, &claims, &signer.key).unwrap();
    for typ in ["logout+jwt", "AT+JWT", "application/at+jwt"] {
        let token = with(Header { typ: Some(typ.into()), ..signer.header() });
        assert_eq!(outcome(&platform, &token).await, Err(TokenError::Kind), "{typ}");
    }
    let crit = with(Header { crit: Some(vec!["exp".into()]), ..signer.header() });
    assert_eq!(outcome(&platform, &crit).await, Err(TokenError::Malformed));
    let good = with(signer.header());
    let huge = format!("{good}{}", "A".repeat(limits::OIDC_TOKEN_BYTES_MAX));
    assert_eq!(outcome(&platform, &huge).await, Err(TokenError::TooLong));
    for bad in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d.e", &good[..good.len() / 2]] {
        assert_eq!(outcome(&platform, bad).await, Err(TokenError::Malformed), "{bad}");
    }
}

#[tokio::test]
async fn an_unknown_key_has_the_keys_fetched_once_and_not_too_often() {
    let (old, new) = (Signer::ed25519("old"), Signer::ed25519("new"));
    let platform = Platform::start(&[&old]).await;
    let provider = platform.provider();
    let at = |seconds: u64| Timestamp(NOW.0 + seconds * 1_000);
    let [old_token, new_token] = [&old, &new].map(|signer| signer.sign(&platform.claims()));
    assert_eq!(judged(&platform, &provider, &old_token, at(0)).await, Ok(()));
    let unknown = Err(TokenError::UnknownKey);
    assert_eq!(judged(&platform, &provider, &new_token, at(10)).await, unknown);
    assert_eq!(platform.asked_for("/keys"), 1, "they are new enough");
    assert_eq!(judged(&platform, &provider, &new_token, at(11)).await, unknown);
    assert_eq!(platform.asked_for("/keys"), 2);
    platform.publish(&[&old, &new]);
    assert_eq!(judged(&platform, &provider, &new_token, at(15)).await, unknown);
    assert_eq!(judged(&platform, &provider, &new_token, at(22)).await, Ok(()));
    assert_eq!(judged(&platform, &provider, &old_token, at(22)).await, Ok(()));
    assert_eq!(platform.asked_for("/keys"), 3);
}

#[tokio::test]
async fn a_token_without_a_key_id_is_tried_with_new_keys_too() {
    let (old, new) = (Signer::ed25519("old"), Signer::ed25519("new"));
    let platform = Platform::start(&[&old]).await;
    let provider = platform.provider();
    let token = |signer: &Signer| {
        let key: &EncodingKey = &signer.key;
        encode(&Header::new(Algorithm::EdDSA), &platform.claims(), key).unwrap()
    };
    assert_eq!(judged(&platform, &provider, &token(&old), NOW).await, Ok(()));
    platform.publish(&[&new]);
    let later = Timestamp(NOW.0 + 11_000);
    assert_eq!(judged(&platform, &provider, &token(&new), later).await, Ok(()));
    assert_eq!(
        judged(&platform, &provider, &token(&old), later).await,
        Err(TokenError::UnknownKey)
    );
}
