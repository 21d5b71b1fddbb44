//! Calls to the platform and how its answers are read: JSON, or an error of RFC 6749 §5.2.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use http_body_util::Full;
use portico_core::limits;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{OidcError, Step};
use crate::outbound::{Outbound, Reply};

/// Words of the platform in our log: one line's worth.
const WORDS_MAX: usize = 256;

pub async fn call(
    outbound: &Outbound,
    step: Step,
    request: Request<Full<Bytes>>,
) -> Result<Reply, OidcError> {
    let reply = outbound.call(request, limits::OIDC_CALL_TIMEOUT).await;
    reply.map_err(|source| OidcError::NoAnswer { step, source: Arc::new(source) })
}

/// The error of serde names a place and a type, and quotes at most a short scalar where a type was
/// wrong. Answers that hold a secret are read by `json_of_secrets`.
pub fn json<T: DeserializeOwned>(step: Step, body: &[u8]) -> Result<T, OidcError> {
    serde_json::from_slice(body)
        .map_err(|source| OidcError::Json { step, source: Arc::new(source) })
}

pub fn json_of_secrets<T: DeserializeOwned>(step: Step, body: &[u8]) -> Result<T, OidcError> {
    serde_json::from_slice(body)
        .map_err(|_| OidcError::Answer { step, reason: "it is not the JSON of what it should be" })
}

/// What an answer means that is not the expected one.
pub fn refusal(step: Step, reply: &Reply) -> OidcError {
    #[derive(Deserialize)]
    struct Wire {
        error: String,
        error_description: Option<String>,
    }
    let status = reply.status.as_u16();
    let Ok(wire) = serde_json::from_slice::<Wire>(&reply.body) else {
        return match reply.status {
            StatusCode::UNAUTHORIZED => OidcError::ClientUnknown { step },
            _ => OidcError::Status { step, status },
        };
    };
    match wire.error.as_str() {
        "invalid_client" => OidcError::ClientUnknown { step },
        "invalid_grant" => OidcError::GrantRefused { step },
        "temporarily_unavailable" | "server_error" => OidcError::Status { step, status: 503 },
        _ if reply.status.is_server_error() => OidcError::Status { step, status },
        // What was sent with a registration is no secret, so the platform may say what was wrong
        // with it; elsewhere a description might quote a code or token.
        code => {
            let words = wire.error_description.filter(|_| step == Step::Registration);
            OidcError::Refused {
                step,
                code: cleaned(code),
                detail: words.map_or_else(|| "no details".to_owned(), |words| cleaned(&words)),
            }
        }
    }
}

/// Somebody else's words, as they may stand in a line of a log.
pub fn cleaned(words: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    words.chars().take(WORDS_MAX).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(step: Step, status: u16, body: &'static str) -> OidcError {
        let status = StatusCode::from_u16(status).unwrap();
        refusal(step, &Reply { status, date: None, body: body.into() })
    }

    #[test]
    fn refusals_are_told_apart() {
        let step = Step::Code;
        assert!(refused(step, 401, r#"{"error":"invalid_client"}"#).is_client_unknown());
        assert!(refused(step, 401, "no JSON").is_client_unknown());
        let grant = refused(step, 400, r#"{"error":"invalid_grant"}"#);
        assert!(matches!(grant, OidcError::GrantRefused { step: Step::Code }));
        let away = refused(step, 502, "<html>");
        assert_eq!(away.fault(), super::super::Fault::PlatformAway);
    }

    #[test]
    fn words_of_the_platform_are_cleaned_and_shown_where_no_secret_can_be() {
        let body = "{\"error\":\"x\\ny\",\"error_description\":\"code\\u001b[1m s3cret\"}";
        let text = refused(Step::Registration, 400, body).to_string();
        assert!(text.contains("`x?y`: code?[1m s3cret"), "{text}");
        assert!(!refused(Step::Code, 400, body).to_string().contains("s3cret"));
    }
}
