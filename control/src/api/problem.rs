//! What the API says when it refuses: `application/problem+json` (RFC 9457) with a `type` that
//! never changes, so that programs can act on it. It must not know why anything was refused.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<Mistake>,
    retry_after: Option<Duration>,
}

/// One mistake in one field of a body or query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    pub field: String,
    pub message: String,
}

/// The kind of a refusal, also left in the answer's extensions for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    MalformedBody,
    InvalidRequest,
    Unauthorized,
    WrongToken,
    TooManyFailures,
    TooManyListeners,
    MissingScope,
    OutOfBounds,
    UnknownPath,
    UnknownSession,
    Unknown,
    WrongMethod,
    SlowBody,
    IdTaken,
    LabelTaken,
    Exists,
    WorkspaceFull,
    WorkspaceNotAllowed,
    IllegalStep,
    RoutingRefused,
    KeyReused,
    ChangedMeanwhile,
    VersionMismatch,
    LargeBody,
    WrongMediaType,
    InvalidValues,
    Internal,
    StoreUnavailable,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[Mistake]>::is_empty")]
    errors: &'a [Mistake],
}

impl Kind {
    /// The last part of `type`, the title and the status. The first is a promise to clients.
    fn parts(self) -> (&'static str, &'static str, StatusCode) {
        use StatusCode as S;
        match self {
            Self::MalformedBody => ("malformed-body", "The body is not JSON", S::BAD_REQUEST),
            Self::InvalidRequest => {
                ("invalid-request", "The request does not have the expected shape", S::BAD_REQUEST)
            }
            Self::Unauthorized => ("unauthorized", "A token is needed", S::UNAUTHORIZED),
            Self::WrongToken => ("wrong-token", "The token is not valid", S::UNAUTHORIZED),
            Self::TooManyFailures => {
                ("too-many-failures", "Too many wrong tokens", S::TOO_MANY_REQUESTS)
            }
            Self::TooManyListeners => {
                ("too-many-listeners", "Too many event streams", S::TOO_MANY_REQUESTS)
            }
            Self::MissingScope => ("missing-scope", "The token may not do this", S::FORBIDDEN),
            Self::OutOfBounds => {
                ("workspace-out-of-bounds", "The token does not reach this workspace", S::FORBIDDEN)
            }
            Self::UnknownPath => ("unknown-path", "No such path", S::NOT_FOUND),
            Self::UnknownSession => ("unknown-session", "No such session", S::NOT_FOUND),
            Self::Unknown => ("unknown-name", "Nothing has this name", S::NOT_FOUND),
            Self::WrongMethod => {
                ("method-not-allowed", "The method is not possible here", S::METHOD_NOT_ALLOWED)
            }
            Self::SlowBody => ("slow-body", "The body took too long", S::REQUEST_TIMEOUT),
            Self::IdTaken => ("id-taken", "The session id is taken", S::CONFLICT),
            Self::LabelTaken => ("label-taken", "The label is taken", S::CONFLICT),
            Self::Exists => ("exists", "Something has this name already", S::CONFLICT),
            Self::WorkspaceNotAllowed => {
                ("workspace-not-allowed", "The workspace may not have sessions", S::FORBIDDEN)
            }
            Self::IllegalStep => {
                ("illegal-state", "The session cannot come into this state", S::CONFLICT)
            }
            Self::RoutingRefused => (
                "routing-refused",
                "The tool cannot be reached on this routing",
                S::UNPROCESSABLE_ENTITY,
            ),
            Self::WorkspaceFull => {
                ("workspace-full", "The workspace is at its limit", S::TOO_MANY_REQUESTS)
            }
            Self::KeyReused => (
                "idempotency-key-reused",
                "The idempotency key belongs to another request",
                S::UNPROCESSABLE_ENTITY,
            ),
            Self::ChangedMeanwhile => {
                ("changed-meanwhile", "The session kept changing", S::CONFLICT)
            }
            Self::VersionMismatch => {
                ("version-mismatch", "The session has another version", S::PRECONDITION_FAILED)
            }
            Self::LargeBody => ("large-body", "The body is too large", S::PAYLOAD_TOO_LARGE),
            Self::WrongMediaType => {
                ("wrong-media-type", "The body must be JSON", S::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::InvalidValues => {
                ("invalid-values", "Some values are not valid", S::UNPROCESSABLE_ENTITY)
            }
            Self::Internal => ("internal", "Portico failed", S::INTERNAL_SERVER_ERROR),
            Self::StoreUnavailable => {
                ("store-unavailable", "The session store failed", S::SERVICE_UNAVAILABLE)
            }
        }
    }

    pub fn slug(self) -> &'static str {
        self.parts().0
    }
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    pub fn with_mistakes(kind: Kind, detail: impl Into<String>, errors: Vec<Mistake>) -> Self {
        Self { kind, detail: detail.into(), errors, retry_after: None }
    }

    #[must_use]
    pub fn retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    pub fn status(&self) -> StatusCode {
        self.kind.parts().2
    }

    /// The body, also as a part of a larger answer.
    pub fn json(&self) -> serde_json::Value {
        let (slug, title, status) = self.kind.parts();
        let body = Body {
            r#type: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        serde_json::to_value(body).expect("strings and numbers always have a JSON form")
    }
}

impl Mistake {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.json())).into_response();
        let headers = response.headers_mut();
        let fixed = HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, fixed("application/problem+json"));
        match self.kind {
            Kind::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, fixed("Bearer realm=\"portico\""));
            }
            Kind::WrongToken => {
                let challenge = fixed("Bearer realm=\"portico\", error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            Kind::StoreUnavailable | Kind::ChangedMeanwhile => {
                headers.insert(header::RETRY_AFTER, fixed("1"));
            }
            _ => {}
        }
        if let Some(retry_after) = self.retry_after {
            let seconds = retry_after.as_millis().div_ceil(1_000).max(1) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self.kind);
        response
    }
}
