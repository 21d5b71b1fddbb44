//! The OpenAPI document as a judge: every answer that a test sees must be one that it promises. A
//! small checker of the parts of JSON Schema that this document uses; what it does not know, it
//! refuses to judge.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::world::Answer;

/// Fields that mean something only where they are described.
const DESCRIBED: [&str; 5] =
    ["etag", "location", "retry-after", "idempotent-replayed", "www-authenticate"];

const KNOWN: [&str; 21] = [
    "$ref",
    "type",
    "description",
    "required",
    "properties",
    "additionalProperties",
    "enum",
    "const",
    "items",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "format",
    "pattern",
    "examples",
    "default",
    "oneOf",
    "propertyNames",
];

pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(portico_control::api::document()).unwrap())
}

/// Every operation: method, path, description.
pub fn operations() -> impl Iterator<Item = (String, &'static str, &'static Value)> {
    document()["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, about)| (method.to_ascii_uppercase(), path.as_str(), about))
    })
}

/// Fails when the document does not promise this answer.
#[track_caller]
pub fn check_answer(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else {
        let (kind, _) = answer.problem();
        let kinds = ["unauthorized", "wrong-token", "unknown-path", "method-not-allowed"];
        assert!(kinds.contains(&kind.as_str()), "{method} {path}: {kind}");
        return;
    };
    let mut promised = &operation["responses"][answer.status.to_string()];
    if let Some(target) = promised["$ref"].as_str() {
        let name = target.strip_prefix("#/components/responses/").unwrap();
        promised = &document()["components"]["responses"][name];
    }
    assert!(!promised.is_null(), "{method} {path}: {} is not promised", answer.status);
    if let Err(mistake) = headers(promised, answer).and_then(|()| content(promised, answer, method))
    {
        panic!("{method} {path}: {} {mistake} in {answer:?}", answer.status);
    }
}

/// Fails when the value is not what the schema of this name says.
#[track_caller]
pub fn check_value(schema: &str, value: &Value) {
    let schema = &document()["components"]["schemas"][schema];
    check(schema, value, true).unwrap_or_else(|mistake| panic!("{mistake} in {value:#}"));
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let method = if method == "HEAD" { "GET" } else { method };
    let path = path.split('?').next().unwrap();
    let is = |template: &str| {
        let (mut parts, mut given) = (template.split('/'), path.split('/'));
        let alike = parts
            .by_ref()
            .zip(given.by_ref())
            .all(|(part, given)| part == given || (part.starts_with('{') && !given.is_empty()));
        alike && template.split('/').count() == path.split('/').count()
    };
    operations().find(|(m, template, _)| m == method && is(template)).map(|(.., about)| about)
}

fn headers(promised: &Value, answer: &Answer) -> Result<(), String> {
    let none = Map::new();
    let promised = promised["headers"].as_object().unwrap_or(&none);
    for (name, header) in promised {
        match answer.header(&name.to_ascii_lowercase()) {
            None if header["required"] == true => return Err(format!("without {name}")),
            None => {}
            Some(text) => {
                let number = text.parse().map(|number: u64| number.into());
                let value = number.unwrap_or_else(|_| Value::from(text));
                let value = match header["schema"]["type"].as_str() {
                    Some("string") => Value::from(text),
                    _ => value,
                };
                check(&header["schema"], &value, true)?;
            }
        }
    }
    let is_promised = |name: &str| promised.keys().any(|known| known.eq_ignore_ascii_case(name));
    match DESCRIBED.iter().find(|name| answer.header(name).is_some() && !is_promised(name)) {
        Some(name) => Err(format!("has {name}, which is not promised")),
        None => Ok(()),
    }
}

fn content(promised: &Value, answer: &Answer, method: &str) -> Result<(), String> {
    let given = answer.header("content-type").map(|name| name.split(';').next().unwrap());
    let (Some(given), Some(content)) = (given, promised["content"].as_object()) else {
        let both = answer.body.is_empty() && promised.get("content").is_none() && given.is_none();
        return if both { Ok(()) } else { Err("has another content".to_owned()) };
    };
    let media = content.get(given).ok_or_else(|| format!("has the type {given}"))?;
    if method == "HEAD" || !given.ends_with("json") || given.ends_with("ndjson") {
        return Ok(());
    }
    let is_foreign =
        media["schema"].get("properties").is_none() && media["schema"]["$ref"].is_null();
    if is_foreign { Ok(()) } else { check(&media["schema"], &answer.json(), true) }
}

/// Answers may grow, so the document leaves them open; here what it does not name is a mistake.
fn check(schema: &Value, value: &Value, closed: bool) -> Result<(), String> {
    let members = schema.as_object().unwrap();
    if let Some(unknown) =
        members.keys().find(|key| !KNOWN.contains(&key.as_str()) && *key != "maxProperties")
    {
        return Err(format!("the checker does not know `{unknown}`"));
    }
    let mut closed = closed;
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.strip_prefix("#/components/schemas/").unwrap();
        check(&document()["components"]["schemas"][name], value, closed)?;
        closed = false;
    }
    if let Some(kind) = schema.get("type") {
        let kinds: Vec<_> = kind.as_array().map_or(vec![kind], |kinds| kinds.iter().collect());
        if !kinds.iter().any(|kind| is_of(kind.as_str().unwrap(), value)) {
            return Err(format!("{value} is not {kind}"));
        }
    }
    if schema.get("enum").is_some_and(|words| !words.as_array().unwrap().contains(value))
        || schema.get("const").is_some_and(|only| only != value)
    {
        return Err(format!("{value} is none of its words"));
    }
    bounds(schema, value)?;
    if let Some(object) = value.as_object() {
        self::members(schema, object, closed)?;
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        list.iter().try_for_each(|item| check(items, item, true))?;
    }
    let Some(variants) = schema["oneOf"].as_array() else { return Ok(()) };
    match variants.iter().filter(|variant| check(variant, value, false).is_ok()).count() {
        1 => Ok(()),
        count => Err(format!("is like {count} of its variants")),
    }
}

fn members(schema: &Value, object: &Map<String, Value>, closed: bool) -> Result<(), String> {
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.map(|name| name.as_str().unwrap()) {
        if !object.contains_key(name) {
            return Err(format!("has no `{name}`"));
        }
    }
    for (name, member) in object {
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        match schema["properties"].get(name).or(others) {
            Some(property) => {
                check(property, member, true).map_err(|mistake| format!("{name}: {mistake}"))?;
            }
            None if closed && schema.get("properties").is_some() => {
                return Err(format!("has `{name}`, which is not described"));
            }
            None => {}
        }
    }
    Ok(())
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("a type {other}"),
    }
}

fn bounds(schema: &Value, value: &Value) -> Result<(), String> {
    let size = match value {
        Value::String(text) => Some(("minLength", "maxLength", text.chars().count() as u64)),
        Value::Array(list) => Some(("minItems", "maxItems", list.len() as u64)),
        Value::Number(number) => Some(("minimum", "maximum", number.as_u64().unwrap())),
        _ => None,
    };
    if let Some((least, most, size)) = size {
        let least = schema[least].as_u64().unwrap_or(0);
        let most = schema[most].as_u64().unwrap_or(u64::MAX);
        if !(least..=most).contains(&size) {
            return Err(format!("{size} is not within {least} to {most}"));
        }
    }
    match (schema["format"].as_str(), value.as_str()) {
        (Some("date-time"), Some(text)) => humantime::parse_rfc3339(text)
            .map(|_| ())
            .map_err(|error| format!("{text} is no time: {error}")),
        _ => Ok(()),
    }
}
