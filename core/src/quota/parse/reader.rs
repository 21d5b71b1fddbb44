//! Members of JSON objects, each with its place, and what is wrong with them.

use std::num::NonZeroU64;

use serde_json::{Map, Value};

use super::super::amount;
use super::{Mistake, Note};
use crate::limits;

#[derive(Default)]
pub struct Reader {
    pub mistakes: Vec<Mistake>,
    pub notes: Vec<Note>,
}

/// An object, and where it is.
pub struct Object<'v> {
    pub path: String,
    pub members: &'v Map<String, Value>,
}

impl Object<'_> {
    pub fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl Reader {
    pub fn wrong(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.mistakes.push(Mistake { path: path.into(), text: text.into() });
    }

    pub fn note(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.notes.push(Note { path: path.into(), text: text.into() });
    }

    pub fn object<'v>(
        &mut self,
        value: &'v Value,
        path: String,
        names: &[&str],
    ) -> Option<Object<'v>> {
        let Some(members) = value.as_object() else {
            self.wrong(path, format!("must be an object: write one with {}", names.join(", ")));
            return None;
        };
        let object = Object { path, members };
        for name in members.keys().filter(|name| !names.contains(&name.as_str())) {
            let text = format!("is not known: leave it out, or write {}", names.join(", "));
            self.wrong(object.at(name), text);
        }
        Some(object)
    }

    pub fn array<'v>(
        &mut self,
        object: &Object<'v>,
        name: &str,
        min: usize,
        max: usize,
    ) -> &'v [Value] {
        let values = object.members.get(name).and_then(Value::as_array);
        match values.map(Vec::as_slice) {
            Some(values) if (min..=max).contains(&values.len()) => values,
            Some(_) => {
                self.wrong(object.at(name), format!("must have {min} to {max}: write so many"));
                &[]
            }
            None => {
                self.wrong(object.at(name), "must be a list: write one in brackets");
                &[]
            }
        }
    }

    pub fn text<'v>(&mut self, object: &Object<'v>, name: &str) -> Option<&'v str> {
        match object.members.get(name) {
            Some(Value::String(text))
                if !text.is_empty() && text.len() <= limits::QUOTA_VALUE_BYTES_MAX =>
            {
                Some(text)
            }
            Some(_) => {
                let max = limits::QUOTA_VALUE_BYTES_MAX;
                self.wrong(
                    object.at(name),
                    format!("must be a text of 1 to {max} bytes: write one"),
                );
                None
            }
            None => {
                self.wrong(object.at(name), "is missing: write it");
                None
            }
        }
    }

    /// The name of a field (RFC 9110 §5.1).
    pub fn token<'v>(&mut self, object: &Object<'v>, name: &str) -> Option<&'v str> {
        let text = self.text(object, name)?;
        if !is_token(text) {
            let text = format!("`{text}` is not the name of a field: write one as \"X-Team\"");
            self.wrong(object.at(name), text);
            return None;
        }
        Some(text)
    }

    pub fn word<'v, T>(
        &mut self,
        object: &Object<'v>,
        name: &str,
        words: &str,
        default: &'v str,
        meaning: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let word = match object.members.contains_key(name) {
            true => self.text(object, name)?,
            false => default,
        };
        let known = meaning(word);
        if known.is_none() {
            let text = format!("`{word}` is not one of {words}: write one of them");
            self.wrong(object.at(name), text);
        }
        known
    }

    pub fn bytes(&mut self, object: &Object<'_>, name: &str) -> Option<NonZeroU64> {
        let bytes = match object.members.get(name) {
            Some(Value::String(text)) => amount::bytes(text),
            Some(value) => value.as_u64(),
            None => {
                self.wrong(object.at(name), "is missing: write it, as \"100GB\"");
                return None;
            }
        };
        let bytes = bytes.and_then(NonZeroU64::new);
        let bytes = bytes.filter(|bytes| bytes.get() <= limits::QUOTA_BYTES_MAX);
        if bytes.is_none() {
            let text =
                "is not a size from 1 to 8191TB: write a number of bytes, or one as \"100GB\"";
            self.wrong(object.at(name), text);
        }
        bytes
    }
}

pub fn is_token(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}
