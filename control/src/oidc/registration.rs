//! How Portico becomes a client of the platform by itself (RFC 7591), and what came of it, as it is
//! kept in the store for all replicas.

use axum::body::Bytes;
use axum::http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use portico_core::limits;
use portico_core::record::{RecordError, member, of_form};
use portico_core::session::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{call, json_of_secrets, refusal};
use super::discovery::Document;
use super::keys::ALGORITHMS;
use super::{Client, ClientAuth, OidcError, SettingsError, Step};
use crate::outbound::{Outbound, Reply};
use crate::secret::Secret;

/// What Portico wants to be registered as.
#[derive(Debug, Clone)]
pub struct Registration {
    /// What users may be shown.
    pub client_name: String,
    pub redirect_uri: String,
    pub post_logout_redirect_uri: String,
    pub backchannel_logout_uri: String,
    /// The initial access token (RFC 7591 §3), where the platform wants one.
    pub token: Option<Secret>,
}

/// A store document, encrypted by nobody: who reads the store can be this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredClient {
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    pub auth: ClientAuth,
    pub redirect_uri: String,
    pub registered_at: Timestamp,
    /// When its secret ends, if it does.
    pub expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    issuer: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    auth: String,
    redirect_uri: String,
    registered_at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at_ms: Option<u64>,
}

const FORM: u32 = 1;

impl RegisteredClient {
    pub fn client(&self) -> Client {
        Client {
            id: self.client_id.clone(),
            secret: self.client_secret.clone(),
            auth: Some(self.auth),
            redirect_uri: self.redirect_uri.clone(),
        }
    }

    /// Whether it still is what is wanted. Whether the platform still knows it is for the platform
    /// to say (`OidcError::is_client_unknown`, `Provider::knows`).
    pub fn serves(&self, issuer: &str, redirect_uri: &str, now: Timestamp) -> bool {
        let lasts = self.expires_at.is_none_or(|end| now < end);
        self.issuer == issuer && self.redirect_uri == redirect_uri && lasts
    }

    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            v: FORM,
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.as_ref().map(|secret| secret.reveal().to_owned()),
            auth: self.auth.as_str().to_owned(),
            redirect_uri: self.redirect_uri.clone(),
            registered_at_ms: self.registered_at.0,
            expires_at_ms: self.expires_at.map(|at| at.0),
        };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(bytes, FORM)?;
        let auth = ClientAuth::parse(&wire.auth).ok_or("is no method of a token endpoint");
        Ok(Self {
            issuer: wire.issuer,
            client_id: wire.client_id,
            client_secret: wire.client_secret.map(Secret::new),
            auth: member("auth", auth)?,
            redirect_uri: wire.redirect_uri,
            registered_at: Timestamp(wire.registered_at_ms),
            expires_at: wire.expires_at_ms.map(Timestamp),
        })
    }
}

pub async fn register(
    outbound: &Outbound,
    document: &Document,
    wanted: &Registration,
    now: Timestamp,
) -> Result<RegisteredClient, OidcError> {
    let step = Step::Registration;
    let no = OidcError::Settings(SettingsError::NoRegistration);
    let to = document.registration.as_ref().ok_or(no)?;
    let wrong = |reason| OidcError::Answer { step, reason };
    let auth = ClientAuth::preferred(&document.client_auth)
        .ok_or_else(|| wrong("it supports no way that we know for a client to prove itself"))?;
    let request = request(to.as_str(), &body(document, wanted, auth)?, wanted.token.as_ref())?;
    let reply = call(outbound, step, request).await?;
    match reply.status {
        StatusCode::CREATED | StatusCode::OK => answered(&reply, document, wanted, auth, now),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(OidcError::Settings(SettingsError::RegistrationToken))
        }
        _ => Err(refusal(step, &reply)),
    }
}

/// Only what the platform says that it can do: some refuse what they do not know.
fn body(
    document: &Document,
    wanted: &Registration,
    auth: ClientAuth,
) -> Result<serde_json::Value, OidcError> {
    let mut grants = vec!["authorization_code"];
    if document.grants_refresh {
        grants.push("refresh_token");
    }
    let mut body = json!({
        "client_name": wanted.client_name,
        "application_type": "web",
        "redirect_uris": [wanted.redirect_uri],
        "response_types": ["code"],
        "grant_types": grants,
        "token_endpoint_auth_method": auth.as_str(),
    });
    if document.end_session.is_some() {
        body["post_logout_redirect_uris"] = json!([wanted.post_logout_redirect_uri]);
    }
    if document.backchannel_logout {
        body["backchannel_logout_uri"] = json!(wanted.backchannel_logout_uri);
        body["backchannel_logout_session_required"] = json!(document.backchannel_logout_session);
    }
    let does = |name: &str| document.signed_by.iter().any(|each| each == name);
    if !does("RS256") {
        let known = ALGORITHMS.iter().map(|known| format!("{known:?}"));
        let chosen = known.into_iter().find(|name| does(name)).ok_or(OidcError::Answer {
            step: Step::Registration,
            reason: "it signs id tokens in no way that is accepted here",
        })?;
        body["id_token_signed_response_alg"] = json!(chosen);
    }
    Ok(body)
}

fn request(
    to: &str,
    body: &serde_json::Value,
    token: Option<&Secret>,
) -> Result<Request<Full<Bytes>>, OidcError> {
    let mut request = Request::post(to).header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        let field = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
        let unusable = OidcError::Settings(SettingsError::RegistrationToken);
        let mut field = field.map_err(|_| unusable)?;
        field.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, field);
    }
    let body = Full::from(body.to_string());
    request.body(body).map_err(|_| OidcError::Settings(SettingsError::NoRegistration))
}

fn answered(
    reply: &Reply,
    document: &Document,
    wanted: &Registration,
    asked: ClientAuth,
    now: Timestamp,
) -> Result<RegisteredClient, OidcError> {
    #[derive(Deserialize)]
    struct Answer {
        client_id: String,
        client_secret: Option<String>,
        client_secret_expires_at: Option<u64>,
        token_endpoint_auth_method: Option<String>,
        redirect_uris: Option<Vec<String>>,
    }
    let step = Step::Registration;
    let wrong = |reason| OidcError::Answer { step, reason };
    let answer: Answer = json_of_secrets(step, &reply.body)?;
    // The platform may have changed what was asked for (RFC 7591 §3.2.1).
    let auth = match answer.token_endpoint_auth_method {
        Some(word) => ClientAuth::parse(&word)
            .ok_or_else(|| wrong("the client would have to prove itself in a way unknown here"))?,
        None => asked,
    };
    let short = |text: &String| (1..=limits::OIDC_URL_BYTES_MAX).contains(&text.len());
    if !short(&answer.client_id) || answer.client_secret.as_ref().is_some_and(|s| !short(s)) {
        return Err(wrong("the client's id or secret is empty or too long"));
    }
    if auth != ClientAuth::None && answer.client_secret.is_none() {
        return Err(wrong("the client got no secret"));
    }
    if answer.redirect_uris.is_some_and(|uris| !uris.contains(&wanted.redirect_uri)) {
        return Err(wrong("the client was registered for other redirect URIs"));
    }
    Ok(RegisteredClient {
        issuer: document.issuer.clone(),
        client_id: answer.client_id,
        client_secret: answer.client_secret.filter(|_| auth != ClientAuth::None).map(Secret::new),
        auth,
        redirect_uri: wanted.redirect_uri.clone(),
        registered_at: now,
        // Seconds; 0 is never (RFC 7591 §3.2.1).
        expires_at: answer
            .client_secret_expires_at
            .filter(|at| *at > 0)
            .map(|at| Timestamp(at.saturating_mul(1_000))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered() -> RegisteredClient {
        RegisteredClient {
            issuer: "https://p.example.com".into(),
            client_id: "portico-1".into(),
            client_secret: Some(Secret::new("hunter2")),
            auth: ClientAuth::Post,
            redirect_uri: "https://c.example.com/_portico/callback".into(),
            registered_at: Timestamp(5),
            expires_at: Some(Timestamp(9)),
        }
    }

    #[test]
    fn what_was_written_is_read_and_the_secret_does_not_show() {
        let one = registered();
        assert_eq!(RegisteredClient::decode(&one.encode()).unwrap(), one);
        let public = RegisteredClient {
            client_secret: None,
            auth: ClientAuth::None,
            expires_at: None,
            ..registered()
        };
        assert_eq!(RegisteredClient::decode(&public.encode()).unwrap(), public);
        assert!(!format!("{one:?} {:?}", one.client()).contains("hunter2"));
    }

    #[test]
    fn damage_and_newer_forms_are_named() {
        let text = String::from_utf8(registered().encode()).unwrap();
        let newer = text.replace("\"v\":1", "\"v\":2");
        let error = RegisteredClient::decode(newer.as_bytes()).unwrap_err();
        assert!(matches!(error, RecordError::Newer { found: 2, newest: 1 }));
        let damaged = text.replace("client_secret_post", "telepathy");
        let error = RegisteredClient::decode(damaged.as_bytes()).unwrap_err();
        assert!(matches!(error, RecordError::Member { member: "auth", .. }));
    }

    #[test]
    fn a_registration_serves_its_issuer_and_callback_until_it_ends() {
        let one = registered();
        let (issuer, callback) = (one.issuer.as_str(), one.redirect_uri.as_str());
        assert!(one.serves(issuer, callback, Timestamp(8)));
        assert!(!one.serves(issuer, callback, Timestamp(9)));
        assert!(!one.serves("https://other.example.com", callback, Timestamp(8)));
        assert!(!one.serves(issuer, "https://other.example.com/callback", Timestamp(8)));
    }
}
