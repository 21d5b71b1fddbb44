//! A schema in words, as far as the schemas of this API go.

use serde_json::Value;

use super::html::{code, link, prose, row, table, text};

pub fn section(name: &str, schema: &Value) -> String {
    let about = schema["description"].as_str().unwrap_or_default();
    let mut section =
        format!("<section id=\"{0}\"><h3>{0}</h3><p>{1}</p>", text(name), prose(about));
    if let Some(properties) = schema["properties"].as_object() {
        let rows = properties.iter().map(|(name, property)| {
            let always = if is_required(schema, name) { "always" } else { "can be left out" };
            let about = property["description"].as_str().unwrap_or_default();
            row(&[code(name), text(always), form(property), prose(about)])
        });
        section += &table(&["member", "there", "form", "what"], rows);
    }
    if let Some(variants) = schema["oneOf"].as_array() {
        section += &table(&["event", "data", "when"], variants.iter().map(variant));
    }
    section + "</section>"
}

fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name))
}

/// Of the event stream.
fn variant(variant: &Value) -> String {
    let about = variant["description"].as_str().unwrap_or_default();
    let properties = &variant["properties"];
    row(&[form(&properties["event"]), form(&properties["data"]), prose(about)])
}

/// The type and the bounds: `string, 1 to 63 characters`.
pub fn form(schema: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or(target);
        return link(name, name);
    }
    let mut parts = Vec::new();
    if let Some(words) = schema["enum"].as_array() {
        parts.push(words.iter().map(json).collect::<Vec<_>>().join(" "));
    } else {
        parts.push(kind(schema));
    }
    let range = |least: &str, most: &str, of: &str| {
        let text = match (schema[least].as_u64(), schema[most].as_u64()) {
            (Some(least), Some(most)) => format!("{least} to {most} {of}"),
            (Some(least), None) => format!("at least {least} {of}"),
            (None, Some(most)) => format!("at most {most} {of}"),
            (None, None) => return None,
        };
        Some(text.trim_end().to_owned())
    };
    parts.extend(range("minimum", "maximum", ""));
    parts.extend(range("minLength", "maxLength", "characters"));
    parts.extend(range("minItems", "maxItems", "items"));
    parts.extend(range("minProperties", "maxProperties", "members"));
    if schema.get("items").is_some() {
        parts.push(format!("each: {}", form(&schema["items"])));
    }
    parts.extend(schema["pattern"].as_str().map(code));
    if let Some(default) = schema.get("default") {
        parts.push(format!("default {}", json(default)));
    }
    if let Some(example) = schema["examples"].get(0) {
        parts.push(format!("such as {}", json(example)));
    }
    parts.join(", ")
}

fn json(value: &Value) -> String {
    code(&value.to_string())
}

fn kind(schema: &Value) -> String {
    let kind = match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => "anything".to_owned(),
    };
    match schema["format"].as_str() {
        Some(format) => text(&format!("{kind} ({format})")),
        None => text(&kind),
    }
}
