//! A value between its source and its type: what the file, the environment and the flags have in
//! common. It knows shapes, not meanings.

use std::fmt;

use portico_core::redact::redact_url;
use toml::de::DeValue;

use super::mistake::Wrong;
use super::table::Shape;

const SECRET: &str = "***";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    List(Vec<String>),
    /// Certificate file and key file.
    Certificates(Vec<(String, String)>),
}

impl Value {
    /// From one text: the environment, a flag, a default.
    pub fn from_text(shape: Shape, text: &str) -> Result<Self, Wrong> {
        match shape {
            Shape::Text | Shape::Url => Ok(Value::Text(text.trim().to_owned())),
            // A blank may be part of it.
            Shape::Secret => Ok(Value::Text(text.to_owned())),
            Shape::List => Ok(Value::List(words(text))),
            Shape::Certificates => {
                let pair = |item: &str| match item.trim().split_once(':') {
                    Some((cert, key)) if !key.contains(':') && !cert.is_empty() => {
                        Ok((cert.to_owned(), key.to_owned()))
                    }
                    _ => Err(Wrong::new(
                        format!("`{}` is not cert:key", item.trim()),
                        "write cert.pem:key.pem, several divided by commas",
                    )),
                };
                let items = text.split(',').filter(|item| !item.trim().is_empty());
                Ok(Value::Certificates(items.map(pair).collect::<Result<_, _>>()?))
            }
        }
    }

    pub fn from_toml(shape: Shape, value: &DeValue<'_>) -> Result<Self, Wrong> {
        match (shape, value) {
            (Shape::Certificates, DeValue::Array(items)) => {
                let pairs = items.iter().map(|item| pair(item.get_ref()));
                Ok(Value::Certificates(pairs.collect::<Result<_, _>>()?))
            }
            (Shape::List, DeValue::Array(items)) => {
                let texts = items.iter().map(|item| scalar(item.get_ref()));
                Ok(Value::List(without_off(texts.collect::<Result<_, _>>()?)))
            }
            (_, value) => Self::from_text(shape, &scalar(value)?),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Certificates(pairs) => pairs.is_empty(),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            Value::List(_) | Value::Certificates(_) => "",
        }
    }

    pub fn list(&self) -> &[String] {
        match self {
            Value::List(items) => items,
            Value::Text(_) | Value::Certificates(_) => &[],
        }
    }

    pub fn certificates(&self) -> &[(String, String)] {
        match self {
            Value::Certificates(pairs) => pairs,
            Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// As it may be shown: secrets are `***`, here and everywhere.
    pub fn shown(&self, shape: Shape) -> Self {
        match shape {
            Shape::Secret => Value::Text(SECRET.to_owned()),
            Shape::Url => Value::Text(shown_url(self.text())),
            Shape::Text | Shape::List | Shape::Certificates => self.clone(),
        }
    }

    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.as_slice().into(),
            Value::Certificates(pairs) => pairs
                .iter()
                .map(|(cert, key)| serde_json::json!({ "cert": cert, "key": key }))
                .collect(),
        }
    }
}

/// A URL for people. A directory may have an `@` in its name, and hides nothing.
pub fn shown_url(url: &str) -> String {
    if url.starts_with("embedded:") { url.to_owned() } else { redact_url(url) }
}

/// As TOML.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn quoted(text: &str) -> String {
            toml::Value::from(text).to_string()
        }
        match self {
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|item| quoted(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Value::Certificates(pairs) => {
                let pair = |(cert, key): &(String, String)| {
                    format!("{{ cert = {}, key = {} }}", quoted(cert), quoted(key))
                };
                write!(f, "[{}]", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let items = text.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty());
    without_off(items.map(str::to_owned).collect())
}

/// `off` is how an empty list is said aloud.
fn without_off(items: Vec<String>) -> Vec<String> {
    if items == ["off"] { Vec::new() } else { items }
}

fn scalar(value: &DeValue<'_>) -> Result<String, Wrong> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.as_str().to_owned()),
        // The usual way to say `off`.
        DeValue::Boolean(false) => Ok("off".to_owned()),
        DeValue::Boolean(true) => Ok("true".to_owned()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            let found = value.type_str();
            Err(Wrong::new(format!("is a TOML {found}, not a text"), "write it as \"text\""))
        }
    }
}

fn pair(value: &DeValue<'_>) -> Result<(String, String), Wrong> {
    let wrong = || {
        Wrong::new(
            "an item is not { cert = \"file\", key = \"file\" }",
            "write certificates = [{ cert = \"tls.crt\", key = \"tls.key\" }]",
        )
    };
    let table = value.as_table().filter(|table| table.len() == 2).ok_or_else(wrong)?;
    let file = |name: &str| Some(table.get(name)?.get_ref().as_str()?.to_owned());
    file("cert").zip(file("key")).ok_or_else(wrong)
}
