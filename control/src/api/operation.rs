//! What one operation of the API is: how it is reached and by whom, what it takes, what it answers.
//! The router and the OpenAPI document are both made of these, so that neither can know of
//! something that the other does not. It must not know what any operation does.

mod parameter;

use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::Value;

use super::Api;
use super::problem::Kind;
use crate::token::Scope;

pub use parameter::{Parameter, Place};

pub struct Operation {
    pub method: Method,
    pub path: &'static str,
    /// The name that code generators give it.
    pub id: &'static str,
    pub tag: Tag,
    pub access: Access,
    pub summary: &'static str,
    pub description: &'static str,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    pub answers: Vec<Answer>,
    /// What it refuses by itself; `problems` has the rest.
    refusals: Vec<Kind>,
    pub handler: MethodRouter<Arc<Api>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    Sessions,
    Access,
    Usage,
    Workspaces,
    Templates,
    Tokens,
    Operations,
    Documents,
}

/// Who may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, also without a token.
    Open,
    /// A token with one of these.
    Scopes(&'static [Scope]),
}

/// A body that is needed.
pub struct Body {
    pub schema: &'static str,
    pub media_types: &'static [&'static str],
    pub bytes_max: usize,
    pub example: Value,
}

/// An answer that is no refusal.
pub struct Answer {
    pub status: u16,
    pub description: &'static str,
    pub content: Content,
    pub headers: &'static [Header],
}

pub enum Content {
    None,
    /// JSON by the schema of this name.
    Json(&'static str),
    /// JSON by the first, or, where it is accepted, lines of JSON by the second.
    JsonOrLines(&'static str, &'static str),
    /// JSON by the schema of this name, or, where it is accepted, the same as a table of text.
    JsonOrCsv(&'static str),
    /// Server-sent events, each by the schema of this name.
    Events(&'static str),
    Html,
    /// JSON that another standard describes.
    ForeignJson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    ETag,
    Location,
    IdempotentReplayed,
    RetryAfter,
    Challenge,
}

pub const JSON: &[&str] = &["application/json"];
pub const MERGE_PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

impl Operation {
    pub fn new<T: 'static>(
        method: Method,
        path: &'static str,
        handler: impl Handler<T, Arc<Api>>,
    ) -> Self {
        Self {
            method,
            path,
            id: "",
            tag: Tag::Documents,
            access: Access::Open,
            summary: "",
            description: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: Vec::new(),
            handler: on(method.filter(), handler),
        }
    }

    pub fn named(mut self, id: &'static str, tag: Tag, summary: &'static str) -> Self {
        (self.id, self.tag, self.summary) = (id, tag, summary);
        self
    }

    pub fn described(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// One of these scopes is enough.
    pub fn needing(mut self, scopes: &'static [Scope]) -> Self {
        self.access = Access::Scopes(scopes);
        self
    }

    pub fn taking(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    pub fn reading(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    pub fn answering(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    pub fn refusing(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.refusals.extend(kinds);
        self
    }

    pub fn has(&self, place: Place) -> bool {
        self.parameters.iter().any(|parameter| parameter.place == place)
    }

    /// Everything that it may refuse, in the order of the statuses.
    pub fn problems(&self) -> Vec<Kind> {
        let mut kinds = self.refusals.clone();
        if self.has(Place::Query) {
            kinds.push(Kind::InvalidValues);
        }
        if self.has(Place::Path) {
            // A name that is empty, or that a client takes for a step in the path (`..`).
            kinds.push(Kind::UnknownPath);
        }
        if self.body.is_some() {
            kinds.extend([Kind::MalformedBody, Kind::InvalidValues]);
            kinds.extend([Kind::WrongMediaType, Kind::LargeBody, Kind::SlowBody]);
        }
        if self.access != Access::Open {
            kinds.extend([Kind::Unauthorized, Kind::WrongToken, Kind::TooManyFailures]);
            kinds.extend([Kind::MissingScope, Kind::Internal, Kind::StoreUnavailable]);
            // At least of a parameter that there is not.
            kinds.push(Kind::InvalidRequest);
        }
        kinds.sort_by_key(|kind| (kind.status(), kind.slug()));
        kinds.dedup();
        kinds
    }
}

impl Answer {
    pub fn new(status: u16, description: &'static str, content: Content) -> Self {
        Self { status, description, content, headers: &[] }
    }

    pub fn json(status: u16, schema: &'static str, description: &'static str) -> Self {
        Self::new(status, description, Content::Json(schema))
    }

    pub fn with(mut self, headers: &'static [Header]) -> Self {
        self.headers = headers;
        self
    }
}

impl Method {
    /// As a path item of OpenAPI names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

impl Tag {
    pub const ALL: [Self; 8] = [
        Self::Sessions,
        Self::Access,
        Self::Usage,
        Self::Workspaces,
        Self::Templates,
        Self::Tokens,
        Self::Operations,
        Self::Documents,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sessions => "Sessions",
            Self::Access => "Access",
            Self::Usage => "Usage",
            Self::Workspaces => "Workspaces",
            Self::Templates => "Templates",
            Self::Tokens => "Tokens",
            Self::Operations => "Operations",
            Self::Documents => "Documents",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::Sessions => "Running tools: created by the platform, routed by Portico.",
            Self::Access => "Keys of grants, and taking grants back.",
            Self::Usage => "What sessions have used, and when they were last used.",
            Self::Workspaces => "Which workspaces have routes, and what each may use.",
            Self::Templates => "The catalogue of tools, and what each can do.",
            Self::Tokens => "Who may use this API, and for what.",
            Self::Operations => "What runs, what changes, and who changed it.",
            Self::Documents => "This API, described.",
        }
    }
}

impl Header {
    pub fn name(self) -> &'static str {
        match self {
            Self::ETag => "ETag",
            Self::Location => "Location",
            Self::IdempotentReplayed => "Idempotent-Replayed",
            Self::RetryAfter => "Retry-After",
            Self::Challenge => "WWW-Authenticate",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::ETag => "The version, for `If-Match`.",
            Self::Location => "The path of what was created.",
            Self::IdempotentReplayed => "`true` where an earlier request had created it.",
            Self::RetryAfter => "Seconds to wait before the next try.",
            Self::Challenge => "How to authenticate (RFC 6750).",
        }
    }

    pub fn schema(self) -> Value {
        use serde_json::json;
        match self {
            Self::ETag => json!({ "type": "string", "pattern": "^\"[0-9]+\"$" }),
            Self::Location | Self::Challenge => json!({ "type": "string" }),
            Self::IdempotentReplayed => json!({ "type": "string", "enum": ["true"] }),
            Self::RetryAfter => json!({ "type": "integer", "minimum": 1 }),
        }
    }

    /// Whether it stands in every answer that may have it.
    pub fn is_always_there(self) -> bool {
        self != Self::IdempotentReplayed
    }
}
