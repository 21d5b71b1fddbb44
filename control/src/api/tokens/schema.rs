//! The schemas of tokens.

use portico_core::limits;
use serde_json::{Value, json};

use super::super::schema::{answered, list, name, names, nullable, sent, time};
use crate::token::Scope;

const NAME: &str = "Names the token, also in the audit log. Without a slash.";

pub fn all() -> Vec<(&'static str, Value)> {
    let secret = json!({
        "type": "string",
        "description": "The secret. It is shown this once.",
        "minLength": limits::TOKEN_BYTES_MIN,
        "maxLength": limits::TOKEN_BYTES_MAX,
    });
    let mut with_secret = shown();
    with_secret["token"] = secret;
    vec![
        ("NewToken", new_token()),
        ("Token", answered("A token, without its secret.", shown(), &[])),
        ("TokenWithSecret", answered("A token and its secret.", with_secret, &[])),
        ("Tokens", list("All tokens of the store.", "Token")),
    ]
}

fn new_token() -> Value {
    let mut name = name(NAME, "platform");
    // As a name, without `/`.
    name["pattern"] = json!(r"^[\x21\x23-\x2B\x2D\x2E\x30-\x5B\x5D-\x7E]+$");
    let expires = json!({
        "type": ["integer", "null"],
        "format": "int64",
        "description": "Seconds from now on; null is never.",
        "minimum": 1,
        "maximum": limits::LIFESPAN_SECONDS_MAX,
    });
    let mut scopes = scopes();
    scopes["minItems"] = json!(1);
    let properties = json!({
        "name": name,
        "scopes": scopes,
        "workspaces": workspaces(),
        "expires_in_seconds": expires,
    });
    sent("A token to be made.", properties, &["name", "scopes"])
}

fn shown() -> Value {
    json!({
        "name": name(NAME, "platform"),
        "scopes": scopes(),
        "workspaces": workspaces(),
        "created_at": time("When it was made."),
        "rotated_at": nullable(time("When its secret was last exchanged.")),
        "expires_at": nullable(time("From when on it opens nothing.")),
    })
}

fn workspaces() -> Value {
    nullable(names("The only workspaces that it reaches; null is all.", "genomics"))
}

fn scopes() -> Value {
    json!({
        "type": "array",
        "description": "What it may do. `sessions:write` includes `sessions:read` and \
                        `tickets:write`, and `admin` everything.",
        "items": { "type": "string", "enum": Scope::ALL.map(Scope::as_str) },
        "examples": [["sessions:write"]],
    })
}
