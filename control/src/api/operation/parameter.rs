//! What an operation takes besides its body: parts of the path, the query, and header fields.

use portico_core::limits;
use serde_json::{Value, json};

use super::super::schema;

#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub description: &'static str,
    pub schema: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Always needed; all others can be left out.
    Path,
    Query,
    Header,
}

impl Place {
    pub fn word(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

impl Parameter {
    pub fn in_path(name: &'static str, description: &'static str, schema: Value) -> Self {
        Self { name, place: Place::Path, description, schema }
    }

    pub fn in_query(name: &'static str, description: &'static str, schema: Value) -> Self {
        Self { name, place: Place::Query, description, schema }
    }

    fn in_header(name: &'static str, description: &'static str, schema: Value) -> Self {
        Self { name, place: Place::Header, description, schema }
    }

    pub fn limit() -> Self {
        let schema = json!({
            "type": "integer",
            "minimum": 1,
            "maximum": limits::PAGE_ITEMS_MAX,
            "default": limits::PAGE_ITEMS_DEFAULT,
        });
        Self::in_query("limit", "Items on the page, at most.", schema)
    }

    pub fn if_match() -> Self {
        let about = "Entity tags (RFC 9110 §13.1.1): it is done only if the version is still one \
                     of these. `*` is any.";
        let schema = json!({ "type": "string", "examples": ["\"42\""] });
        Self::in_header("If-Match", about, schema)
    }

    pub fn idempotency_key() -> Self {
        let about = "Makes it safe to send the request again: the same key with the same body \
                     answers what the first request created. Kept for a day, for each token \
                     apart.";
        let schema = json!({
            "type": "string",
            "minLength": 1,
            "maxLength": limits::IDEMPOTENCY_KEY_BYTES_MAX,
            "pattern": "^[\\x21-\\x7E]([\\x20-\\x7E]*[\\x21-\\x7E])?$",
            "examples": ["3f0c2a86-launch-1"],
        });
        Self::in_header("Idempotency-Key", about, schema)
    }

    pub fn last_event_id() -> Self {
        let about = "The id of the last event that was received; the stream goes on behind it. \
                     Before `after`, where both are given.";
        Self::in_header("Last-Event-ID", about, schema::position())
    }
}
