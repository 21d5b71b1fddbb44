//! Finding the platform's document.

use super::platform::{NOW, Platform, client};
use super::signer::Signer;
use crate::oidc::{ClaimNames, Fault, OidcError, Place, Provider, ProviderSettings, Step};
use crate::outbound::Outbound;
use portico_core::session::Timestamp;
use serde_json::json;

fn provider(place: Place) -> Provider {
    let claims = ClaimNames { user: "sub".into(), workspaces: None };
    Provider::new(ProviderSettings { place, claims }, Outbound::new(b"").unwrap()).unwrap()
}

#[tokio::test]
async fn a_platform_whose_issuer_is_below_api_is_found_from_its_url() {
    let platform = Platform::start_at("/api", &[&Signer::ed25519("a")]).await;
    let url = platform.issuer.strip_suffix("/api").unwrap();
    let found = provider(Place::Platform(url.to_owned()));
    assert_eq!(found.issuer(NOW).await.unwrap(), platform.issuer);
    assert!(found.is_plain());
    let exact = provider(Place::Issuer(url.to_owned()));
    let error = exact.issuer(NOW).await.unwrap_err();
    assert!(matches!(error, OidcError::Json { step: Step::Discovery, .. }), "{error:?}");
}

#[tokio::test]
async fn a_document_is_asked_for_once_and_a_failure_is_told_without_asking_again() {
    let platform = Platform::start(&[]).await;
    let good = provider(Place::Issuer(platform.issuer.clone()));
    for _ in 0..3 {
        good.end_session_url(&client(), "https://c/", None, NOW).await.unwrap();
    }
    assert_eq!(platform.asked_for("/.well-known/openid-configuration"), 1);

    platform.answers().document["issuer"] = json!("https://evil.example.com");
    let bad = provider(Place::Issuer(platform.issuer.clone()));
    for _ in 0..3 {
        let error = bad.issuer(NOW).await.unwrap_err();
        assert!(matches!(error, OidcError::OtherIssuer { .. }));
    }
    assert_eq!(platform.asked_for("/.well-known/openid-configuration"), 2);
    platform.answers().document["issuer"] = json!(platform.issuer);
    assert!(bad.issuer(Timestamp(NOW.0 + 1_000)).await.is_ok());
}

#[tokio::test]
async fn a_platform_that_is_away_is_told_from_one_that_is_wrong() {
    let nowhere = provider(Place::Platform("http://127.0.0.1:1".into()));
    assert_eq!(nowhere.issuer(NOW).await.unwrap_err().fault(), Fault::PlatformAway);
    let platform = Platform::start(&[]).await;
    platform.answers().document["response_types_supported"] = json!(["token"]);
    let wrong = provider(Place::Issuer(platform.issuer.clone()));
    assert_eq!(wrong.issuer(NOW).await.unwrap_err().fault(), Fault::PlatformWrong);
}
