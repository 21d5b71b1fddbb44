//! A platform on a port of its own: a document, keys, a token endpoint, user info and registration,
//! each of which a test can change, and what it was asked.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::BodyExt;
use portico_core::session::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::signer::Signer;
use crate::oidc::{
    ClaimNames, Client, OidcError, Place, Provider, ProviderSettings, SignedIn, Verifier,
};
use crate::outbound::Outbound;
use crate::secret::Secret;

/// When all of it happens.
pub const NOW: Timestamp = Timestamp(1_795_000_000_000);
pub const NOW_SECONDS: u64 = 1_795_000_000;
pub const CALLBACK: &str = "https://connect.example.com/_portico/callback";

pub struct Platform {
    pub issuer: String,
    state: Arc<Mutex<Answers>>,
}

/// What it answers, and what it was asked.
pub struct Answers {
    pub document: Value,
    pub keys: Value,
    pub token: (u16, Value),
    pub user_info: (u16, Value),
    pub registration: (u16, Value),
    /// Path, `Authorization`, body.
    pub asked: Vec<(String, Option<String>, String)>,
}

impl Platform {
    pub async fn start(keys: &[&Signer]) -> Self {
        Self::start_at("", keys).await
    }

    /// Its issuer has this path.
    pub async fn start_at(path: &'static str, keys: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}{path}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Answers {
            document: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize?tenant=1"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
                "userinfo_endpoint": format!("{issuer}/me"),
                "registration_endpoint": format!("{issuer}/register"),
                "end_session_endpoint": format!("{issuer}/logout"),
                "grant_types_supported": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_methods_supported":
                    ["private_key_jwt", "client_secret_post", "client_secret_basic"],
                "authorization_response_iss_parameter_supported": true,
                "backchannel_logout_supported": true,
                "backchannel_logout_session_supported": true,
            }),
            keys: published(keys),
            token: (500, Value::Null),
            user_info: (500, Value::Null),
            registration: (500, Value::Null),
            asked: Vec::new(),
        }));
        let app = Router::new().fallback(answer).with_state((path, state.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { issuer, state }
    }

    pub fn answers(&self) -> MutexGuard<'_, Answers> {
        self.state.lock().unwrap()
    }

    pub fn publish(&self, keys: &[&Signer]) {
        self.answers().keys = published(keys);
    }

    /// How often this path was asked for.
    pub fn asked_for(&self, path: &str) -> usize {
        self.answers().asked.iter().filter(|(asked, ..)| asked == path).count()
    }

    pub fn provider(&self) -> Provider {
        let claims = ClaimNames { user: "sub".into(), workspaces: None };
        self.provider_with(claims)
    }

    pub fn provider_with(&self, claims: ClaimNames) -> Provider {
        let place = Place::Issuer(self.issuer.clone());
        let outbound = Outbound::new(b"").unwrap();
        Provider::new(ProviderSettings { place, claims }, outbound).unwrap()
    }

    pub fn claims(&self) -> Value {
        json!({
            "iss": self.issuer, "aud": "portico-1", "sub": "u-1", "sid": "s-1",
            "nonce": "n-1", "iat": NOW_SECONDS, "exp": NOW_SECONDS + 300, "name": "Ada",
        })
    }

    /// The token endpoint gives this id token from now on.
    pub fn gives(&self, id_token: &str) {
        let tokens = json!({
            "token_type": "Bearer", "access_token": "access", "id_token": id_token,
            "refresh_token": "refresh-2",
        });
        self.answers().token = (200, tokens);
    }

    pub async fn sign_in(&self, provider: &Provider) -> Result<SignedIn, OidcError> {
        let verifier = Verifier::from_random([7; 32]);
        let code = Secret::new("code-1");
        let issuer = Some(self.issuer.as_str());
        provider.exchange(&client(), &code, issuer, &verifier, "n-1", NOW).await
    }
}

pub fn client() -> Client {
    Client::fixed("portico-1", Some(Secret::new("hunter2")), CALLBACK)
}

fn published(keys: &[&Signer]) -> Value {
    json!({ "keys": keys.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>() })
}

type Shared = (&'static str, Arc<Mutex<Answers>>);

async fn answer(State((prefix, state)): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let field = parts.headers.get(header::AUTHORIZATION);
    let field = field.map(|field| field.to_str().unwrap().to_owned());
    let body: Bytes = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let path = parts.uri.path().to_owned();
    let mut answers = state.lock().unwrap();
    answers.asked.push((path.clone(), field, body));
    let (status, value) = match path.strip_prefix(prefix).unwrap_or("elsewhere") {
        "/.well-known/openid-configuration" => (200, answers.document.clone()),
        "/keys" => (200, answers.keys.clone()),
        "/token" => answers.token.clone(),
        "/me" => answers.user_info.clone(),
        "/register" => answers.registration.clone(),
        // As a platform that shows its start page whatever is asked for.
        _ => return (StatusCode::OK, "<!doctype html>").into_response(),
    };
    (StatusCode::from_u16(status).unwrap(), Json(value)).into_response()
}
