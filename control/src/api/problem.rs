//! What the API says when it refuses: `application/problem+json` (RFC 9457) with a `type` that
//! never changes, so that programs can act on it. It must not know why anything was refused.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::operation::Header;
use super::schema::answered;

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
    Busy,
    StoreUnavailable,
}

const _: () = assert!(Kind::ALL.len() == Kind::StoreUnavailable as usize + 1, "all of them");

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
    pub const ALL: [Self; 29] = [
        Self::MalformedBody,
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::WrongToken,
        Self::TooManyFailures,
        Self::TooManyListeners,
        Self::MissingScope,
        Self::OutOfBounds,
        Self::UnknownPath,
        Self::UnknownSession,
        Self::Unknown,
        Self::WrongMethod,
        Self::SlowBody,
        Self::IdTaken,
        Self::LabelTaken,
        Self::Exists,
        Self::WorkspaceFull,
        Self::WorkspaceNotAllowed,
        Self::IllegalStep,
        Self::RoutingRefused,
        Self::KeyReused,
        Self::ChangedMeanwhile,
        Self::VersionMismatch,
        Self::LargeBody,
        Self::WrongMediaType,
        Self::InvalidValues,
        Self::Internal,
        Self::Busy,
        Self::StoreUnavailable,
    ];

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
                ("version-mismatch", "It has another version", S::PRECONDITION_FAILED)
            }
            Self::LargeBody => ("large-body", "The body is too large", S::PAYLOAD_TOO_LARGE),
            Self::WrongMediaType => {
                ("wrong-media-type", "The body must be JSON", S::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::InvalidValues => {
                ("invalid-values", "Some values are not valid", S::UNPROCESSABLE_ENTITY)
            }
            Self::Internal => ("internal", "Portico failed", S::INTERNAL_SERVER_ERROR),
            Self::Busy => ("busy", "Too many questions at once", S::SERVICE_UNAVAILABLE),
            Self::StoreUnavailable => {
                ("store-unavailable", "The session store failed", S::SERVICE_UNAVAILABLE)
            }
        }
    }

    pub fn slug(self) -> &'static str {
        self.parts().0
    }

    pub fn title(self) -> &'static str {
        self.parts().1
    }

    pub fn status(self) -> StatusCode {
        self.parts().2
    }

    /// `type` of the problem, relative to the API. It names the kind; nothing is to be found there.
    pub fn uri(self) -> String {
        format!("/problems/{}", self.slug())
    }

    /// The field that an answer of this kind always has.
    pub fn header(self) -> Option<Header> {
        match self {
            Self::Unauthorized | Self::WrongToken => Some(Header::Challenge),
            Self::TooManyFailures
            | Self::TooManyListeners
            | Self::WorkspaceFull
            | Self::ChangedMeanwhile
            | Self::Busy
            | Self::StoreUnavailable => Some(Header::RetryAfter),
            _ => None,
        }
    }

    /// The seconds after which the same may be tried again, where they are always the same.
    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::StoreUnavailable | Self::ChangedMeanwhile => Some(Duration::from_secs(1)),
            Self::Busy => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self::with_mistakes(kind, detail, Vec::new())
    }

    pub fn with_mistakes(kind: Kind, detail: impl Into<String>, errors: Vec<Mistake>) -> Self {
        Self { kind, detail: detail.into(), errors, retry_after: kind.retry_after() }
    }

    #[must_use]
    pub fn retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The body, also as a part of a larger answer.
    pub fn json(&self) -> Value {
        let body = Body {
            r#type: self.kind.uri(),
            title: self.kind.title(),
            status: self.status().as_u16(),
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

pub fn schemas() -> Vec<(&'static str, Value)> {
    let mistake = json!({
        "field": { "type": "string", "description": "The member of the body, or the parameter." },
        "message": { "type": "string", "examples": ["is required"] },
    });
    let mistakes = json!({
        "type": "array",
        "description": "All mistakes of the request, each with its field.",
        "items": super::schema::reference("Mistake"),
    });
    let kind = json!({
        "type": "string",
        "format": "uri-reference",
        "description": "What kind of problem it is. Never changes, so that programs can act on it.",
        "enum": Kind::ALL.map(Kind::uri),
    });
    let problem = json!({
        "type": kind,
        "title": { "type": "string", "description": "The kind, in words." },
        "status": { "type": "integer", "minimum": 400, "maximum": 599 },
        "detail": { "type": "string", "description": "What was wrong here, and what to do." },
        "errors": mistakes,
    });
    vec![
        ("Problem", answered("Why a request was refused (RFC 9457).", problem, &["errors"])),
        ("Mistake", answered("One mistake in one field.", mistake, &[])),
    ]
}
