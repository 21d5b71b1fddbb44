//! The OpenAPI 3.1 document, made of the table of operations and the schemas beside the wire code.
//! `control/openapi.json` is a copy for those who read it without a running Portico; a test fails
//! when it is stale.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::operation::{Access, Answer, Body, Content, Header, Operation, Parameter, Place, Tag};
use super::operations;
use super::problem::Kind;
use super::schema::reference;

/// Of the API and not of the program: what answers without a token does not tell which build runs.
const VERSION: &str = "1";

pub const ABOUT: &str = "\
The control plane of Portico, the edge in front of interactive sessions. Send `Authorization: \
Bearer <token>`; what a token may do is told by its scopes, and where by its workspaces. A \
session outside of them is answered as if it were not there.\n\n\
Every refusal is a problem (RFC 9457) whose `type` never changes. All mistakes of a request are \
told at once. A field or parameter that is not described here is a mistake. Members may be added \
to answers in time: ignore those that you do not know.\n\n\
Times are RFC 3339 in UTC, sizes bytes, durations seconds. A session, the allow-list and the \
limits of a workspace have an `ETag`; with `If-Match` a change is made only to the version that \
was read. A 429, a 503, and a 409 of the kind `changed-meanwhile` have a `Retry-After`.";

/// The text of `control/openapi.json`.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));
    &TEXT
}

pub async fn show() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], text()).into_response()
}

fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut responses = BTreeMap::new();
    for operation in operations::all() {
        responses.extend(
            refusals(&operation)
                .into_iter()
                .map(|(status, kinds)| (refusal_name(status, &kinds), refusal(&kinds))),
        );
        let item = paths.entry(operation.path).or_default();
        item.insert(operation.method.word().to_owned(), described(&operation));
    }
    let tags = Tag::ALL.map(|tag| json!({ "name": tag.name(), "description": tag.description() }));
    let bearer = json!({
        "type": "http",
        "scheme": "bearer",
        "description": "A token of this Portico. Each operation names the scope that it needs.",
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portico",
            "version": VERSION,
            "description": ABOUT,
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The listener that this document is from." }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": bearer },
            "responses": responses,
            "schemas": operations::schemas().into_iter().collect::<BTreeMap<_, _>>(),
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut answers: BTreeMap<String, Value> = operation.answers.iter().map(answer).collect();
    answers.extend(refusals(operation).iter().map(|(status, kinds)| {
        let target = format!("#/components/responses/{}", refusal_name(*status, kinds));
        (status.to_string(), json!({ "$ref": target }))
    }));
    let security = match operation.access {
        Access::Open => json!([]),
        Access::Scopes(scopes) => {
            scopes.iter().map(|scope| json!({ "bearer": [scope.as_str()] })).collect()
        }
    };
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag.name()],
        "summary": operation.summary,
        "description": said(operation),
        "security": security,
        "responses": answers,
    });
    if !operation.parameters.is_empty() {
        described["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = request_body(body);
    }
    described
}

/// The description, and the scope in words: few tools show that of a bearer token.
pub fn said(operation: &Operation) -> String {
    let access = match operation.access {
        Access::Open => "Needs no token.".to_owned(),
        Access::Scopes(scopes) => {
            let scopes: Vec<_> = scopes.iter().map(|s| format!("`{}`", s.as_str())).collect();
            format!("Needs the scope {}.", scopes.join(" or "))
        }
    };
    format!("{} {access}", operation.description).trim_start().to_owned()
}

fn parameter(Parameter { name, place, description, schema }: &Parameter) -> Value {
    // What the parameter says is more to the point than what its schema says in general.
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.remove("description");
    }
    json!({
        "name": name,
        "in": place.word(),
        "required": *place == Place::Path,
        "description": description,
        "schema": schema,
    })
}

fn request_body(body: &Body) -> Value {
    let media = json!({ "schema": reference(body.schema), "example": body.example });
    let content: BTreeMap<_, _> = body.media_types.iter().map(|name| (name, &media)).collect();
    json!({
        "required": true,
        "description": format!("At most {} bytes.", body.bytes_max),
        "content": content,
    })
}

fn answer(answer: &Answer) -> (String, Value) {
    let schema = |name| json!({ "schema": reference(name) });
    let content = match answer.content {
        Content::None => json!({}),
        Content::Json(name) => json!({ "application/json": schema(name) }),
        Content::JsonOrLines(json, line) => json!({
            "application/json": schema(json),
            "application/x-ndjson": {
                "schema": { "type": "string", "description": "One record on each line." },
                "x-line-schema": reference(line),
            },
        }),
        Content::JsonOrCsv(name) => json!({
            "application/json": schema(name),
            "text/csv": {
                "schema": { "type": "string", "description": "A line of names, then the items." },
            },
        }),
        Content::Events(event) => json!({
            "text/event-stream": {
                "schema": { "type": "string", "description": "Server-sent events." },
                "x-event-schema": reference(event),
            },
        }),
        Content::Html => json!({ "text/html": { "schema": { "type": "string" } } }),
        Content::ForeignJson => json!({ "application/json": { "schema": { "type": "object" } } }),
    };
    let mut value = json!({ "description": answer.description });
    if answer.headers.iter().len() > 0 {
        value["headers"] = headers(answer.headers, |header| header.is_always_there());
    }
    if !matches!(answer.content, Content::None) {
        value["content"] = content;
    }
    (answer.status.to_string(), value)
}

/// What it may refuse, by status.
fn refusals(operation: &Operation) -> BTreeMap<u16, Vec<Kind>> {
    let mut kinds: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
    for kind in operation.problems() {
        kinds.entry(kind.status().as_u16()).or_default().push(kind);
    }
    kinds
}

/// Many operations refuse the same: it is described once.
fn refusal_name(status: u16, kinds: &[Kind]) -> String {
    let slugs: Vec<_> = kinds.iter().map(|kind| kind.slug()).collect();
    format!("{status}.{}", slugs.join("."))
}

/// All kinds of problems that one status can mean.
fn refusal(kinds: &[Kind]) -> Value {
    let status = kinds[0].status();
    let about: Vec<_> =
        kinds.iter().map(|kind| format!("`{}`: {}.", kind.slug(), kind.title())).collect();
    let mut schema = reference("Problem");
    schema["properties"] = json!({
        "type": { "enum": kinds.iter().map(|kind| kind.uri()).collect::<Vec<_>>() },
        "status": { "const": status.as_u16() },
    });
    let mut value = json!({
        "description": about.join(" "),
        "content": { "application/problem+json": { "schema": schema } },
    });
    let may = kinds.iter().filter_map(|kind| kind.header()).collect::<Vec<_>>();
    if !may.is_empty() {
        value["headers"] = headers(&may, |_| may.len() == kinds.len());
    }
    value
}

fn headers(headers: &[Header], is_required: impl Fn(&Header) -> bool) -> Value {
    let shown = |header: &Header| {
        let shown = json!({
            "description": header.description(),
            "required": is_required(header),
            "schema": header.schema(),
        });
        (header.name(), shown)
    };
    json!(headers.iter().map(shown).collect::<BTreeMap<_, _>>())
}
