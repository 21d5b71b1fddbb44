//! A webhook that answers in all the ways that one should, and should not.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;

const QUESTION: Question<'_> = Question {
    user: "grace",
    session: "3e8370e7",
    workspace: "genomics",
    owner: "ada",
    policy: "workspace",
};

async fn webhook(app: Router, timeout: Duration) -> Webhook {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/authorize", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let settings = WebhookSettings { url, token: Some(Secret::new("s3cret")), timeout };
    Webhook::new(settings, Outbound::new(b"").unwrap()).unwrap()
}

async fn answered(status: u16, body: &'static str) -> Result<Answer, WebhookError> {
    let status = StatusCode::from_u16(status).unwrap();
    let app = Router::new().route("/authorize", post(move || async move { (status, body) }));
    webhook(app, Duration::from_secs(10)).await.ask(&QUESTION).await
}

fn allow(seconds: u64) -> Answer {
    Answer::Allow { ttl: Duration::from_secs(seconds) }
}

#[tokio::test]
async fn the_platform_gets_the_question_and_the_token() {
    let (sender, mut asked) = mpsc::channel(1);
    let answer = |State(sender): State<mpsc::Sender<(String, Value)>>,
                  headers: HeaderMap,
                  Json(body): Json<Value>| async move {
        let token = headers["authorization"].to_str().unwrap().to_owned();
        sender.send((token, body)).await.unwrap();
        Json(json!({ "allow": true, "ttl_seconds": 60, "more": 1 }))
    };
    let app = Router::new().route("/authorize", post(answer)).with_state(sender);
    let webhook = webhook(app, Duration::from_secs(10)).await;
    assert_eq!(webhook.ask(&QUESTION).await.unwrap(), allow(60));
    let (token, body) = asked.recv().await.unwrap();
    assert_eq!(token, "Bearer s3cret");
    let expected = json!({
        "user": "grace", "session": "3e8370e7", "workspace": "genomics", "owner": "ada",
        "policy": "workspace",
    });
    assert_eq!(body, expected);
    assert!(!format!("{:?}", webhook.settings).contains("s3cret"));
}

#[tokio::test]
async fn times_and_reasons_are_bounded() {
    for (body, expected) in [
        (r#"{"allow":true}"#, allow(300)),
        (r#"{"allow":true,"ttl_seconds":0}"#, allow(1)),
        (r#"{"allow":true,"ttl_seconds":99999999}"#, allow(86_400)),
        (r#"{"allow":false,"ttl_seconds":60}"#, Answer::Deny { reason: None }),
        (r#"{"allow":false,"reason":" no\nway "}"#, Answer::Deny { reason: Some("noway".into()) }),
        (r#"{"allow":false,"reason":" "}"#, Answer::Deny { reason: None }),
    ] {
        assert_eq!(answered(200, body).await.unwrap(), expected, "{body}");
    }
    let long = "ä".repeat(limits::REASON_BYTES_MAX);
    assert_eq!(for_people(&long).unwrap().len(), limits::REASON_BYTES_MAX);
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    for body in ["", "yes", "[]", r#"{"allow":"true"}"#, r#"{"ttl_seconds":1}"#] {
        assert!(matches!(answered(200, body).await, Err(WebhookError::Malformed(_))), "{body}");
    }
    for body in [r#"{"allow":true,"ttl_seconds":-1}"#, r#"{"allow":true,"ttl_seconds":1.5}"#] {
        assert!(matches!(answered(200, body).await, Err(WebhookError::Malformed(_))), "{body}");
    }
    for status in [201, 302, 403, 500] {
        let error = answered(status, r#"{"allow":true}"#).await.unwrap_err();
        assert!(matches!(error, WebhookError::Status(found) if found == status), "{status}");
    }
}

#[tokio::test]
async fn silence_ends_and_the_number_of_calls_is_bounded() {
    let app = Router::new().route("/authorize", post(std::future::pending::<()>));
    let webhook = webhook(app, Duration::from_millis(50)).await;
    let error = webhook.ask(&QUESTION).await.unwrap_err();
    assert!(matches!(error, WebhookError::Call(CallError::Timeout(_))));
    let all = webhook.places.acquire_many(limits::WEBHOOK_CALLS_MAX as u32).await.unwrap();
    assert!(matches!(webhook.ask(&QUESTION).await, Err(WebhookError::Busy)));
    drop(all);
    let error = webhook.ask(&QUESTION).await.unwrap_err();
    assert!(matches!(error, WebhookError::Call(_)), "the place was given back");
}

#[test]
fn settings_that_cannot_be_sent_are_refused_at_once() {
    for (url, token) in
        [("/a", "t"), ("http://u:p@p/", "t"), ("ftp://p/", "t"), ("http://p/", "a\nb")]
    {
        let settings = WebhookSettings {
            url: url.into(),
            token: Some(Secret::new(token)),
            timeout: Duration::from_secs(1),
        };
        let refused = Webhook::new(settings, Outbound::new(b"").unwrap());
        assert!(matches!(refused, Err(WebhookError::Settings)), "{url}");
    }
}
