//! Becoming a client.

use serde_json::{Value, json};

use super::platform::{CALLBACK, NOW, Platform};
use crate::oidc::{ClientAuth, Fault, OidcError, Registration, SettingsError};
use crate::secret::Secret;

fn wanted() -> Registration {
    Registration {
        client_name: "Portico".into(),
        redirect_uri: CALLBACK.into(),
        post_logout_redirect_uri: "https://connect.example.com/_portico/signed-out".into(),
        backchannel_logout_uri: "https://connect.example.com/_portico/backchannel-logout".into(),
        token: Some(Secret::new("initial")),
    }
}

#[tokio::test]
async fn portico_registers_as_what_the_platform_can_do() {
    let platform = Platform::start(&[]).await;
    let answer = json!({
        "client_id": "portico-1", "client_secret": "hunter2", "client_secret_expires_at": 0,
        "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_basic",
    });
    platform.answers().registration = (201, answer);
    let registered = platform.provider().register(&wanted(), NOW).await.unwrap();
    assert_eq!(registered.client_id, "portico-1");
    assert_eq!((registered.auth, registered.expires_at), (ClientAuth::Basic, None));
    assert!(registered.serves(&platform.issuer, CALLBACK, NOW));
    let (_, field, body) = platform.answers().asked.last().unwrap().clone();
    assert_eq!(field.as_deref(), Some("Bearer initial"));
    let expected = json!({
        "client_name": "Portico",
        "application_type": "web",
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": ["https://connect.example.com/_portico/signed-out"],
        "backchannel_logout_uri": "https://connect.example.com/_portico/backchannel-logout",
        "backchannel_logout_session_required": true,
        "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}

#[tokio::test]
async fn a_platform_that_can_do_less_is_asked_for_less() {
    let platform = Platform::start(&[]).await;
    {
        let mut answers = platform.answers();
        let document = answers.document.as_object_mut().unwrap();
        let all = ["grant_types_supported", "end_session_endpoint", "backchannel_logout_supported"];
        all.iter().for_each(|name| drop(document.remove(*name)));
        document.insert("token_endpoint_auth_methods_supported".into(), json!(["none"]));
        let signed_by = json!(["HS256", "ES384", "EdDSA"]);
        document.insert("id_token_signing_alg_values_supported".into(), signed_by);
        answers.registration = (200, json!({ "client_id": "public" }));
    }
    let wanted = Registration { token: None, ..wanted() };
    let registered = platform.provider().register(&wanted, NOW).await.unwrap();
    assert_eq!((registered.auth, registered.client_secret), (ClientAuth::None, None));
    let (_, field, body) = platform.answers().asked.last().unwrap().clone();
    assert_eq!(field, None);
    let expected = json!({
        "client_name": "Portico",
        "application_type": "web",
        "redirect_uris": [CALLBACK],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "none",
        "id_token_signed_response_alg": "EdDSA",
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}

#[tokio::test]
async fn refusals_and_answers_of_no_use_say_whose_turn_it_is() {
    let platform = Platform::start(&[]).await;
    let good = json!({ "client_id": "a", "client_secret": "hunter2" });
    let with = |name: &str, value: Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer
    };
    for (status, answer, fault) in [
        (401, json!({ "error": "invalid_token" }), Fault::Settings),
        (403, json!({}), Fault::Settings),
        (400, json!({ "error": "invalid_redirect_uri" }), Fault::Settings),
        (404, json!({}), Fault::PlatformWrong),
        (503, json!({}), Fault::PlatformAway),
        (201, json!({ "client_id": "a" }), Fault::PlatformWrong),
        (201, with("client_id", json!("")), Fault::PlatformWrong),
        (201, with("client_secret", json!(7)), Fault::PlatformWrong),
        (201, with("redirect_uris", json!(["https://evil/"])), Fault::PlatformWrong),
        (201, with("token_endpoint_auth_method", json!("tls_client_auth")), Fault::PlatformWrong),
    ] {
        platform.answers().registration = (status, answer.clone());
        let error = platform.provider().register(&wanted(), NOW).await.unwrap_err();
        assert_eq!(error.fault(), fault, "{status} {answer}");
        let shown = format!("{error:?} {}", crate::with_causes(&error));
        assert!(!shown.contains("hunter2") && !shown.contains("initial"), "{shown}");
    }
    platform.answers().document["registration_endpoint"] = Value::Null;
    let error = platform.provider().register(&wanted(), NOW).await.unwrap_err();
    assert!(matches!(error, OidcError::Settings(SettingsError::NoRegistration)));
}
