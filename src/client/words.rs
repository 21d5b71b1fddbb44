//! The words of a command line as JSON: pairs, durations, files. Shapes only; whether a value is a
//! good one is the API's to say.

use std::io::Read;

use anyhow::Context;
use serde_json::{Map, Value};

use super::failure::{Failure, Outcome};

/// The members of a body that were given.
#[derive(Default)]
pub struct Body(Map<String, Value>);

impl Body {
    #[must_use]
    pub fn with(mut self, field: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(field.to_owned(), value.into());
        }
        self
    }

    /// A list or an object that is left out when it is empty.
    #[must_use]
    pub fn with_some<V: Into<Value>>(self, field: &str, values: Vec<V>) -> Self {
        let given = !values.is_empty();
        self.with(field, given.then(|| values.into_iter().map(Into::into).collect::<Value>()))
    }

    #[must_use]
    pub fn with_pairs(self, field: &str, pairs: Vec<(String, String)>) -> Self {
        let given = !pairs.is_empty();
        let object: Map<_, _> = pairs.into_iter().map(|(k, v)| (k, v.into())).collect();
        self.with(field, given.then_some(object))
    }

    pub fn json(self) -> Value {
        Value::Object(self.0)
    }
}

/// `team=imaging`
pub fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// `8h`, `1h30m`, `90`: in whole seconds.
pub fn seconds(text: &str) -> Result<u64, String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| "is no number of seconds".to_owned());
    }
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|error| format!("{error}; write 8h, 1h30m or seconds"))?;
    // Cut to seconds it would be 0, which has a meaning of its own.
    match duration.subsec_nanos() {
        0 => Ok(duration.as_secs()),
        _ => Err("must be whole seconds".to_owned()),
    }
}

/// A number, or `none`.
pub fn bound(text: &str) -> Result<Value, &'static str> {
    match text {
        "none" => Ok(Value::Null),
        text => text.parse::<u64>().map(Value::from).map_err(|_| "must be a number, or none"),
    }
}

/// How many: 1 or more.
pub fn count(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("must be 1 or more")
}

/// The bytes of a file, or of standard input when it is `-`.
pub fn document(file: &str) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        file => std::fs::read(file),
    };
    read.with_context(|| format!("cannot read {file}")).map_err(Failure::Usage)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_duration_is_whole_seconds() {
        assert_eq!(seconds("8h"), Ok(28_800));
        assert_eq!(seconds("1h 30m"), Ok(5_400));
        assert_eq!(seconds("90"), Ok(90));
        assert!(seconds("500ms").is_err());
        assert!(seconds("soon").is_err());
        assert!(seconds("-1").is_err());
        assert!(seconds("").is_err());
    }

    #[test]
    fn what_is_not_given_is_not_sent() {
        let body = Body::default()
            .with("id", Some("one"))
            .with("label", None::<String>)
            .with_some::<String>("routing", vec![])
            .with_pairs("labels", vec![pair("team=a=b").unwrap()]);
        assert_eq!(body.json(), json!({ "id": "one", "labels": { "team": "a=b" } }));
    }
}
