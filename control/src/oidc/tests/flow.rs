//! From the redirect to the platform until somebody is signed in, and again by refresh.

use serde_json::{Value, json};
use url::Url;

use super::platform::{CALLBACK, NOW, Platform, client};
use super::signer::Signer;
use crate::oidc::{
    AuthorizeRequest, CallbackError, ClaimNames, Fault, OidcError, Prompt, TokenError, Verifier,
};
use crate::secret::Secret;

async fn platform() -> (Platform, Signer) {
    let signer = Signer::ed25519("a");
    (Platform::start(&[&signer]).await, signer)
}

#[tokio::test]
async fn a_browser_is_sent_with_all_that_binds_its_sign_in() {
    let (platform, _) = platform().await;
    let asked = AuthorizeRequest {
        state: "s 1&",
        nonce: "n-1",
        challenge: "c-1",
        scopes: "profile email",
        prompt: Some(Prompt::Consent),
    };
    let url = platform.provider().authorize_url(&client(), &asked, NOW).await.unwrap();
    let url = Url::parse(&url).unwrap();
    let pairs: Vec<_> = url.query_pairs().collect();
    let expected = [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", "portico-1"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email"),
        ("state", "s 1&"),
        ("nonce", "n-1"),
        ("code_challenge", "c-1"),
        ("code_challenge_method", "S256"),
        ("prompt", "consent"),
    ];
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(pairs, expected);
}

#[tokio::test]
async fn a_code_is_exchanged_for_an_identity() {
    let (platform, signer) = platform().await;
    platform.gives(&signer.sign(&platform.claims()));
    let signed_in = platform.sign_in(&platform.provider()).await.unwrap();
    assert_eq!(signed_in.identity.user.as_str(), "u-1");
    assert_eq!(signed_in.identity.session_id.as_deref(), Some("s-1"));
    assert_eq!(signed_in.refresh_token.as_ref().unwrap().reveal(), "refresh-2");
    assert!(!format!("{signed_in:?}").contains("refresh-2"));
    let asked = platform.answers().asked.clone();
    let (_, field, body) = asked.iter().find(|(path, ..)| path == "/token").unwrap();
    assert_eq!(field.as_deref(), Some("Basic cG9ydGljby0xOmh1bnRlcjI="));
    let verifier = Verifier::from_random([7; 32]);
    let form: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).collect();
    assert!(form.contains(&("code_verifier".into(), verifier.reveal().into())), "{form:?}");
    assert!(form.contains(&("redirect_uri".into(), CALLBACK.into())));
}

#[tokio::test]
async fn a_callback_of_another_issuer_is_refused_before_its_code_is_shown_to_anybody() {
    let (platform, _) = platform().await;
    let provider = platform.provider();
    let (code, verifier) = (Secret::new("code-1"), Verifier::from_random([7; 32]));
    for (issuer, expected) in [
        (None, CallbackError::NoIssuer),
        (Some("https://evil.example.com"), CallbackError::OtherIssuer),
    ] {
        let refused = provider.exchange(&client(), &code, issuer, &verifier, "n-1", NOW).await;
        let error = refused.unwrap_err();
        assert!(matches!(&error, OidcError::Callback(found) if *found == expected));
        assert_eq!(error.fault(), Fault::Request);
    }
    assert_eq!(platform.asked_for("/token"), 0);
}

#[tokio::test]
async fn a_nonce_is_of_this_sign_in() {
    let (platform, signer) = platform().await;
    for nonce in [json!("n-2"), json!(""), json!(1), Value::Null] {
        let mut claims = platform.claims();
        claims["nonce"] = nonce;
        platform.gives(&signer.sign(&claims));
        let error = platform.sign_in(&platform.provider()).await.unwrap_err();
        assert!(matches!(error, OidcError::IdToken(TokenError::Nonce)), "{claims}");
        assert_eq!(error.fault(), Fault::Request);
    }
}

#[tokio::test]
async fn refusals_of_the_token_endpoint_are_told_apart_and_show_no_secret() {
    let (platform, _) = platform().await;
    let provider = platform.provider();
    for (status, answer, fault) in [
        (400, json!({ "error": "invalid_grant", "error_description": "code-1" }), Fault::Request),
        (401, json!({ "error": "invalid_client" }), Fault::Settings),
        (400, json!({ "error": "no", "error_description": "code-1" }), Fault::Settings),
        (500, json!({ "error": "server_error" }), Fault::PlatformAway),
        (429, json!({}), Fault::PlatformAway),
        (302, json!({}), Fault::PlatformWrong),
        (200, json!({ "access_token": "code-1" }), Fault::PlatformWrong),
        (200, json!({ "access_token": "code-1", "token_type": "DPoP" }), Fault::PlatformWrong),
        (200, json!({ "access_token": "code-1", "token_type": "bearer" }), Fault::PlatformWrong),
    ] {
        platform.answers().token = (status, answer.clone());
        let error = platform.sign_in(&provider).await.unwrap_err();
        assert_eq!(error.fault(), fault, "{status} {answer}");
        assert_eq!(error.is_client_unknown(), status == 401);
        let shown = format!("{error:?} {}", crate::with_causes(&error));
        assert!(!shown.contains("code-1") && !shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn the_platform_says_whether_it_still_knows_the_client() {
    let (platform, _) = platform().await;
    let provider = platform.provider();
    for (status, error, known) in [(400, "invalid_grant", true), (401, "invalid_client", false)] {
        platform.answers().token = (status, json!({ "error": error }));
        assert_eq!(provider.knows(&client(), NOW).await.unwrap(), known);
    }
    platform.answers().token = (503, json!({}));
    assert!(provider.knows(&client(), NOW).await.is_err());
}

#[tokio::test]
async fn the_user_info_is_asked_once_and_only_for_what_is_missing() {
    let (platform, signer) = platform().await;
    let claims = |user: &str| ClaimNames { user: user.into(), workspaces: Some("teams".into()) };
    let info = json!({ "sub": "u-1", "email": "ada@example.com", "teams": [1, "b"] });
    platform.answers().user_info = (200, info);
    platform.gives(&signer.sign(&platform.claims()));
    let signed_in = platform.sign_in(&platform.provider_with(claims("email"))).await.unwrap();
    assert_eq!(signed_in.identity.user.as_str(), "ada@example.com");
    assert_eq!(signed_in.identity.workspaces.len(), 2);
    assert_eq!(platform.asked_for("/me"), 1);

    let mut full = platform.claims();
    full["teams"] = json!([]);
    platform.gives(&signer.sign(&full));
    platform.sign_in(&platform.provider_with(claims("sub"))).await.unwrap();
    assert_eq!(platform.asked_for("/me"), 1, "the id token says it all");

    platform.gives(&signer.sign(&platform.claims()));
    platform.answers().user_info = (403, Value::Null);
    let signed_in = platform.sign_in(&platform.provider_with(claims("sub"))).await.unwrap();
    assert!(signed_in.identity.workspaces.is_empty(), "their own sessions need none");
    let nobody = platform.sign_in(&platform.provider_with(claims("email"))).await.unwrap_err();
    assert!(matches!(nobody, OidcError::Status { status: 403, .. }));

    platform.answers().user_info = (200, json!({ "sub": "u-2", "teams": ["c"] }));
    let other = platform.sign_in(&platform.provider_with(claims("sub"))).await.unwrap_err();
    assert_eq!(other.fault(), Fault::PlatformWrong, "info of another user");
}

#[tokio::test]
async fn a_refresh_is_of_the_same_user_and_needs_no_id_token() {
    let (platform, signer) = platform().await;
    let provider = platform.provider();
    let old = Secret::new("refresh-1");
    let refresh = async |subject| provider.refresh(&client(), &old, subject, NOW).await;
    let mut claims = platform.claims();
    claims.as_object_mut().unwrap().remove("nonce");
    platform.gives(&signer.sign(&claims));
    let again = refresh("u-1").await.unwrap();
    assert_eq!(again.refresh_token.unwrap().reveal(), "refresh-2");
    let other = refresh("u-2").await.unwrap_err();
    assert!(matches!(other, OidcError::IdToken(TokenError::Subject)));

    let tokens = json!({ "token_type": "Bearer", "access_token": "access" });
    platform.answers().token = (200, tokens);
    platform.answers().user_info = (200, json!({ "sub": "u-1" }));
    let again = refresh("u-1").await.unwrap();
    assert_eq!(again.identity.user.as_str(), "u-1");
    assert_eq!(again.refresh_token.unwrap().reveal(), "refresh-1", "it stays the same");
    assert!(refresh("u-2").await.is_err());

    platform.answers().token = (400, json!({ "error": "invalid_grant" }));
    let error = refresh("u-1").await.unwrap_err();
    assert!(matches!(error, OidcError::GrantRefused { .. }));
}
