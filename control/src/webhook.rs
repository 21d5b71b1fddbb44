//! The platform's authorize webhook: a question for each new grant, where the operator set one. An
//! error is no answer: the caller denies a new grant then, and leaves existing ones until they end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use portico_core::limits;
use portico_core::route::Route;
use portico_core::session::Name;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::outbound::{CallError, Outbound};
use crate::secret::Secret;

#[derive(Debug, Clone)]
pub struct WebhookSettings {
    pub url: String,
    /// Sent as a bearer token.
    pub token: Option<Secret>,
    /// For the whole question, with the wait for a place.
    pub timeout: Duration,
}

/// Clones share the bound on calls.
#[derive(Clone)]
pub struct Webhook {
    outbound: Outbound,
    settings: Arc<WebhookSettings>,
    places: Arc<Semaphore>,
}

/// What the platform is asked, and so the JSON that it gets.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Question<'a> {
    pub user: &'a str,
    pub session: &'a str,
    pub workspace: &'a str,
    pub owner: &'a str,
    /// The session's policy, by its word in the API.
    pub policy: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// For as long as `ttl`; then it is asked again.
    Allow { ttl: Duration },
    /// The reason is the platform's, for the user's page.
    Deny { reason: Option<String> },
}

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook's URL or token cannot be written into a request")]
    Settings,
    #[error("{max} questions to the webhook are under way", max = limits::WEBHOOK_CALLS_MAX)]
    Busy,
    #[error("the webhook gave no answer")]
    Call(#[source] CallError),
    #[error("the webhook answered with status {0}")]
    Status(u16),
    #[error("the webhook's answer is not the JSON of what it should be")]
    Malformed(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Wire {
    allow: bool,
    ttl_seconds: Option<u64>,
    reason: Option<String>,
}

impl<'a> Question<'a> {
    pub fn about(user: &'a Name, route: &'a Route) -> Self {
        Self {
            user: user.as_str(),
            session: route.session(),
            workspace: route.workspace.name.as_str(),
            owner: route.owner.as_str(),
            policy: route.access.policy.as_str(),
        }
    }
}

impl Webhook {
    pub fn new(settings: WebhookSettings, outbound: Outbound) -> Result<Self, WebhookError> {
        let webhook = Self {
            outbound,
            settings: Arc::new(settings),
            places: Arc::new(Semaphore::new(limits::WEBHOOK_CALLS_MAX)),
        };
        // What is wrong with the settings is wrong at the start.
        webhook.request(Bytes::new())?;
        Ok(webhook)
    }

    pub async fn ask(&self, question: &Question<'_>) -> Result<Answer, WebhookError> {
        let end = Instant::now() + self.settings.timeout;
        let place = tokio::time::timeout_at(end, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(WebhookError::Busy) };
        let body = serde_json::to_vec(question).expect("texts always have a JSON form");
        let left = end.saturating_duration_since(Instant::now());
        let reply = self.outbound.call(self.request(body.into())?, left).await;
        let reply = reply.map_err(WebhookError::Call)?;
        match reply.status {
            StatusCode::OK => Answer::parse(&reply.body),
            status => Err(WebhookError::Status(status.as_u16())),
        }
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, WebhookError> {
        let mut request =
            Request::post(&self.settings.url).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.settings.token {
            let field = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
            let mut field = field.map_err(|_| WebhookError::Settings)?;
            field.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, field);
        }
        let request = request.body(Full::new(body)).map_err(|_| WebhookError::Settings)?;
        let uri = request.uri();
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        // A password in a URL would show; the token is what proves Portico.
        let nobody = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if known && nobody { Ok(request) } else { Err(WebhookError::Settings) }
    }
}

impl Answer {
    fn parse(body: &[u8]) -> Result<Self, WebhookError> {
        let wire: Wire = serde_json::from_slice(body).map_err(WebhookError::Malformed)?;
        if !wire.allow {
            return Ok(Self::Deny { reason: wire.reason.and_then(|words| for_people(&words)) });
        }
        let most = limits::WEBHOOK_TTL_MAX.as_secs();
        let default = limits::WEBHOOK_TTL_DEFAULT.as_secs();
        let seconds = wire.ttl_seconds.unwrap_or(default).clamp(1, most);
        Ok(Self::Allow { ttl: Duration::from_secs(seconds) })
    }
}

/// As it may stand on a page and in a line of a log.
fn for_people(words: &str) -> Option<String> {
    let mut words: String = words.trim().chars().filter(|c| !c.is_control()).collect();
    words.truncate(words.floor_char_boundary(limits::REASON_BYTES_MAX));
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests;
