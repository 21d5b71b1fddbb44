//! What the API says when it refuses: `application/problem+json` (RFC 9457) with a `type` that
//! never changes, so that programs can act on it. It must not know why anything was refused.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<Mistake>,
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
    UnknownPath,
    UnknownSession,
    WrongMethod,
    SlowBody,
    IdTaken,
    LabelTaken,
    WorkspaceFull,
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
            Self::UnknownPath => ("unknown-path", "No such path", S::NOT_FOUND),
            Self::UnknownSession => ("unknown-session", "No such session", S::NOT_FOUND),
            Self::WrongMethod => {
                ("method-not-allowed", "The method is not possible here", S::METHOD_NOT_ALLOWED)
            }
            Self::SlowBody => ("slow-body", "The body took too long", S::REQUEST_TIMEOUT),
            Self::IdTaken => ("id-taken", "The session id is taken", S::CONFLICT),
            Self::LabelTaken => ("label-taken", "The label is taken", S::CONFLICT),
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
        Self { kind, detail: detail.into(), errors: Vec::new() }
    }

    pub fn with_mistakes(kind: Kind, detail: impl Into<String>, errors: Vec<Mistake>) -> Self {
        Self { kind, detail: detail.into(), errors }
    }
}

impl Mistake {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (slug, title, status) = self.kind.parts();
        let body = Body {
            r#type: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let mut response = (status, Json(body)).into_response();
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
        response.extensions_mut().insert(self.kind);
        response
    }
}
