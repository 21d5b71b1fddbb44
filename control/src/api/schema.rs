//! The words that the schemas of the OpenAPI document are made of, with the bounds of
//! `core::limits`. It knows JSON Schema 2020-12, and of the API only the shapes that recur.

use portico_core::limits;
use portico_core::session::{HostHeader, State};
use serde_json::{Map, Value, json};

/// Visible ASCII but for `"`, `,` and `\`.
const NAME: &str = r"^[\x21\x23-\x2B\x2D-\x5B\x5D-\x7E]+$";
/// The same without `=`.
const LABEL_NAME: &str = r"^[\x21\x23-\x2B\x2D-\x3C\x3E-\x5B\x5D-\x7E]+$";
const DNS_LABEL: &str = "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$";
const NO_CONTROL: &str = r"^[^\x00-\x1F\x7F-\x9F]*$";
const UPSTREAM: &str = r"^http://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$";
const IMAGE: &str = concat!(
    r"^(([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?/)?",
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*",
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?",
    r"(@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$"
);

/// An object of an answer: everything is always there but for what `optional` names. Clients must
/// expect more members in time, so that it is left open.
pub fn answered(description: &str, properties: Value, optional: &[&str]) -> Value {
    let names: Map<_, _> = properties.as_object().cloned().unwrap_or_default();
    let required: Vec<_> = names.keys().filter(|name| !optional.contains(&name.as_str())).collect();
    json!({
        "type": "object",
        "description": description,
        "required": required,
        "properties": properties,
    })
}

/// An object that is sent: what it does not name is a mistake.
pub fn sent(description: &str, properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    })
}

pub fn list(description: &str, of: &str) -> Value {
    let items = json!({ "type": "array", "items": reference(of) });
    answered(description, json!({ "items": items }), &[])
}

/// A list that may have a page behind it.
pub fn page(description: &str, of: &str) -> Value {
    let items = json!({ "type": "array", "items": reference(of) });
    let cursor = json!({
        "type": ["string", "null"],
        "description": "The `cursor` of the next page; null on the last one.",
    });
    answered(description, json!({ "items": items, "next_cursor": cursor }), &[])
}

pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

pub fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema["type"].as_str().map(str::to_owned) {
        schema["type"] = json!([kind, "null"]);
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    schema
}

pub fn about(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

pub fn name(description: &str, example: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "minLength": 1,
        "maxLength": limits::NAME_BYTES_MAX,
        "pattern": NAME,
        "examples": [example],
    })
}

pub fn names(description: &str, example: &str) -> Value {
    json!({ "type": "array", "description": description, "items": name("A name.", example) })
}

pub fn session_id() -> Value {
    json!({
        "type": "string",
        "description": "Names the session in this API. Upper case is made lower.",
        "minLength": 1,
        "maxLength": limits::SESSION_ID_BYTES_MAX,
        "pattern": DNS_LABEL,
        "examples": ["3e8370e7"],
    })
}

pub fn label() -> Value {
    json!({
        "type": "string",
        "description": "Names the session in its URLs: one DNS label (RFC 1123). `a` and the id \
                        where none is given.",
        "minLength": 1,
        "maxLength": limits::LABEL_BYTES_MAX,
        "pattern": DNS_LABEL,
        "examples": ["a3e8370e7"],
    })
}

pub fn state() -> Value {
    let words: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
    json!({ "type": "string", "enum": words })
}

pub fn routing() -> Value {
    json!({
        "type": "array",
        "description": "On which URLs it answers.",
        "minItems": 1,
        "items": { "type": "string", "enum": ["subdomain", "path"] },
        "examples": [["subdomain", "path"]],
    })
}

pub fn host_header() -> Value {
    json!({
        "type": "string",
        "description": "What the tool sees as `Host`: what the browser sent, or the address of \
                        its own.",
        "enum": HostHeader::WORDS.split(", ").collect::<Vec<_>>(),
    })
}

pub fn labels() -> Value {
    json!({
        "type": "object",
        "description": "What the platform wants to find it by. Nothing here reads them.",
        "maxProperties": limits::LABELS_MAX,
        "propertyNames": {
            "minLength": 1,
            "maxLength": limits::NAME_BYTES_MAX,
            "pattern": LABEL_NAME,
        },
        "additionalProperties": {
            "type": "string",
            "maxLength": limits::LABEL_VALUE_BYTES_MAX,
            "pattern": NO_CONTROL,
        },
        "examples": [{ "team": "imaging" }],
    })
}

/// `team=imaging,stage=test`
pub fn sought_labels() -> Value {
    let name = LABEL_NAME.trim_matches(['^', '$']);
    let pair = format!(r"{name}=[^,\x00-\x1F\x7F-\x9F]*");
    json!({
        "type": "string",
        "pattern": format!("^{pair}(,{pair})*$"),
        "examples": ["team=imaging,stage=test"],
    })
}

/// A name that may stand in white space, or nothing.
pub fn word_of_list() -> Value {
    let name = NAME.trim_matches(['^', '$']).trim_end_matches('+');
    let most = limits::NAME_BYTES_MAX;
    json!({ "type": "string", "pattern": format!(r"^\s*{name}{{0,{most}}}\s*$") })
}

pub fn upstream() -> Value {
    json!({
        "type": "string",
        "description": "Where the tool listens: `http://host:port`, nothing behind the port. An \
                        address must be in the upstream networks of the settings.",
        "pattern": UPSTREAM,
        "examples": ["http://10.0.0.7:8888"],
    })
}

pub fn image() -> Value {
    json!({
        "type": "string",
        "description": "The container image that it runs in. Its tag, \
                        `<software>-[u<build>-]<connect version>`, decides what the tool can do.",
        "minLength": 1,
        "maxLength": limits::IMAGE_BYTES_MAX,
        "pattern": IMAGE,
        "examples": ["public.cr.seqera.io/platform/data-studio-jupyter:4.2.5-0.12"],
    })
}

pub fn short_text(description: &str, example: &str) -> Value {
    json!({
        "type": "string",
        "description": description,
        "maxLength": limits::REASON_BYTES_MAX,
        "pattern": NO_CONTROL,
        "examples": [example],
    })
}

pub fn lifespan_seconds() -> Value {
    json!({
        "type": "integer",
        "format": "int64",
        "description": "Seconds until it ends by itself; 0 is never.",
        "minimum": 0,
        "maximum": limits::LIFESPAN_SECONDS_MAX,
        "examples": [28_800],
    })
}

pub fn idle_timeout_seconds() -> Value {
    let least = limits::IDLE_TIMEOUT_SECONDS_MIN;
    json!({
        "type": "integer",
        "format": "int64",
        "description": format!(
            "Seconds without data after which a running session is idle: 0 is never, and the least \
             is {least}. It is told as `session.idle`, and where the settings say so it is stopped."
        ),
        "minimum": 0,
        "maximum": limits::IDLE_TIMEOUT_SECONDS_MAX,
        "examples": [7_200],
    })
}

pub fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

pub fn time(description: &str) -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "description": format!("{description} RFC 3339, UTC."),
        "examples": ["2026-02-01T09:30:00.000Z"],
    })
}

/// A place in the change log, as text where a number would lose digits.
pub fn position() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]{1,19}$", "examples": ["42"] })
}

pub fn count(description: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "description": description, "minimum": 0 })
}
