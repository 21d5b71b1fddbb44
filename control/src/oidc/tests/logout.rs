//! Logout, from both sides.

use jsonwebtoken::{Header, encode};
use serde_json::{Value, json};

use super::platform::{NOW, NOW_SECONDS, Platform, client};
use super::signer::Signer;
use crate::oidc::{Fault, LogoutOf, OidcError, TokenError};

fn claims(platform: &Platform) -> Value {
    json!({
        "iss": platform.issuer, "aud": "portico-1", "sub": "u-1", "sid": "s-1", "jti": "j-1",
        "iat": NOW_SECONDS, "exp": NOW_SECONDS + 120,
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    })
}

#[tokio::test]
async fn the_platform_logs_a_user_or_one_of_their_sessions_out() {
    let signer = Signer::ed25519("a");
    let platform = Platform::start(&[&signer]).await;
    let provider = platform.provider();
    let all = LogoutOf {
        subject: Some("u-1".into()),
        session_id: Some("s-1".into()),
        jti: "j-1".into(),
        issued_at: NOW,
    };
    for typ in [Some("logout+jwt"), Some("JWT"), None] {
        let header = Header { typ: typ.map(str::to_owned), ..signer.header() };
        let token = encode(&header, &claims(&platform), &signer.key).unwrap();
        assert_eq!(provider.logout_token(&client(), &token, NOW).await.unwrap(), all);
    }
    for (name, expected) in [
        ("sub", LogoutOf { subject: None, ..all.clone() }),
        ("sid", LogoutOf { session_id: None, ..all.clone() }),
    ] {
        let mut claims = claims(&platform);
        claims[name] = Value::Null;
        let found = provider.logout_token(&client(), &signer.sign(&claims), NOW).await.unwrap();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn what_is_no_logout_token_logs_nobody_out() {
    let (signer, evil) = (Signer::ed25519("a"), Signer::ed25519("a"));
    let platform = Platform::start(&[&signer]).await;
    let provider = platform.provider();
    let refused = async |token: &str| {
        let error = provider.logout_token(&client(), token, NOW).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Request);
        let OidcError::LogoutToken(error) = error else { panic!("{error:?}") };
        error
    };
    assert_eq!(refused(&evil.sign(&claims(&platform))).await, TokenError::Signature);
    let id_token = signer.sign(&platform.claims());
    assert_eq!(refused(&id_token).await, TokenError::Claim("events"));
    let other = json!({ "http://schemas.openid.net/event/other": {} });
    let no_object = json!({ "http://schemas.openid.net/event/backchannel-logout": true });
    for (name, value, expected) in [
        ("events", other, TokenError::Claim("events")),
        ("events", no_object, TokenError::Claim("events")),
        ("nonce", json!("n-1"), TokenError::Kind),
        ("jti", Value::Null, TokenError::Claim("jti")),
        ("iat", Value::Null, TokenError::Claim("iat")),
        ("exp", Value::Null, TokenError::Claim("exp")),
        ("exp", json!(NOW_SECONDS - 60), TokenError::Expired),
        ("aud", json!("portico-2"), TokenError::Audience),
        ("iss", json!("https://evil.example.com"), TokenError::Issuer),
    ] {
        let mut claims = claims(&platform);
        claims[name] = value;
        assert_eq!(refused(&signer.sign(&claims)).await, expected, "{name}");
    }
    let mut nobody = claims(&platform);
    nobody["sub"] = Value::Null;
    nobody["sid"] = Value::Null;
    assert_eq!(refused(&signer.sign(&nobody)).await, TokenError::Claim("sub"));
    let header = Header { typ: Some("at+jwt".into()), ..signer.header() };
    let token = encode(&header, &claims(&platform), &signer.key).unwrap();
    assert_eq!(refused(&token).await, TokenError::Kind);
}

#[tokio::test]
async fn a_user_who_logs_out_here_is_sent_to_the_platform_to_log_out_there() {
    let platform = Platform::start(&[]).await;
    let back = "https://connect.example.com/_portico/signed-out";
    let provider = platform.provider();
    let url = provider.end_session_url(&client(), back, Some("s-1"), NOW).await.unwrap().unwrap();
    let expected = "/logout?client_id=portico-1&post_logout_redirect_uri=\
        https%3A%2F%2Fconnect.example.com%2F_portico%2Fsigned-out&state=s-1";
    assert_eq!(url, format!("{}{expected}", platform.issuer));
    platform.answers().document["end_session_endpoint"] = Value::Null;
    let without = platform.provider();
    assert_eq!(without.end_session_url(&client(), back, None, NOW).await.unwrap(), None);
}
