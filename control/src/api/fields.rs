//! Reading the fields of a body or a query so that all mistakes are found at once, and nothing that
//! was sent is ignored in silence. It knows JSON shapes, not what a session is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::problem::{Kind, Mistake, Problem};

/// What was given, with each field taken out as it is read. Shape mistakes (an unknown field, a
/// number for a string) make the answer 400; mistakes in well-shaped values alone make it 422.
pub struct Fields {
    given: BTreeMap<String, Value>,
    null: Null,
    shape: Vec<Mistake>,
    values: Vec<Mistake>,
}

/// What `null` means: the field is left out (when creating), or a mistake (when changing, where it
/// would ask for removal, RFC 7396).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Null {
    Absent,
    Refused,
}

/// The members of a JSON object in the order given, repeated names included.
struct Members(Vec<(String, Value)>);

#[cfg(test)]
thread_local! {
    /// So that a test can compare what is read with what is promised.
    static ASKED: std::cell::RefCell<std::collections::BTreeSet<String>> = const {
        std::cell::RefCell::new(std::collections::BTreeSet::new())
    };
}

impl Fields {
    pub fn from_json(bytes: &[u8], null: Null) -> Result<Self, Problem> {
        let Members(members) = serde_json::from_slice(bytes)
            .map_err(|error| Problem::new(Kind::MalformedBody, error.to_string()))?;
        Ok(Self::collect(members, null))
    }

    pub fn from_query(pairs: Vec<(String, String)>) -> Self {
        let texts = pairs.into_iter().map(|(name, text)| (name, Value::String(text)));
        Self::collect(texts, Null::Refused)
    }

    fn collect(members: impl IntoIterator<Item = (String, Value)>, null: Null) -> Self {
        let mut fields =
            Self { given: BTreeMap::new(), null, shape: Vec::new(), values: Vec::new() };
        for (name, value) in members {
            match fields.given.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(taken) => {
                    fields.shape.push(Mistake::new(taken.key(), "is given twice"));
                }
            }
        }
        fields
    }

    /// Everything that was asked for since the last call, in this thread.
    #[cfg(test)]
    pub fn take_asked() -> std::collections::BTreeSet<String> {
        ASKED.take()
    }

    /// A string that `T` can be made from.
    pub fn parsed<T>(&mut self, field: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        self.checked(field, str::parse)
    }

    /// A string that passes `check`.
    pub fn checked<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.take(field)? {
            Value::String(text) => match check(&text) {
                Ok(value) => Some(value),
                Err(error) => self.invalid(field, error.to_string()),
            },
            _ => self.misshapen(field, "must be a string"),
        }
    }

    pub fn boolean(&mut self, field: &'static str) -> Option<bool> {
        match self.take(field)? {
            Value::Bool(value) => Some(value),
            _ => self.misshapen(field, "must be true or false"),
        }
    }

    /// A list of strings that passes `check`.
    pub fn words<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        check: impl FnOnce(Vec<&str>) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(field)?;
        let words: Option<Vec<&str>> =
            value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        match words.map(check) {
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => self.invalid(field, error.to_string()),
            None => self.misshapen(field, "must be a list of strings"),
        }
    }

    /// A list of anything, of a bounded length.
    pub fn items(&mut self, field: &'static str, items_max: usize) -> Option<Vec<Value>> {
        match self.take(field)? {
            Value::Array(items) if items.len() <= items_max => Some(items),
            Value::Array(_) => self.invalid(field, format!("has more than {items_max} items")),
            _ => self.misshapen(field, "must be a list"),
        }
    }

    /// A whole number that passes `check`.
    pub fn number<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        check: impl FnOnce(u64) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(field)?;
        match whole(&value).map(check) {
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => self.invalid(field, error.to_string()),
            None => self.misshapen(field, "must be a whole number, not negative"),
        }
    }

    /// An object of strings that passes `check`.
    pub fn texts<T, E: fmt::Display>(
        &mut self,
        field: &'static str,
        check: impl FnOnce(Vec<(&str, &str)>) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(field)?;
        let pairs: Option<Vec<(&str, &str)>> = value.as_object().and_then(|object| {
            object.iter().map(|(name, text)| Some((name.as_str(), text.as_str()?))).collect()
        });
        match pairs.map(check) {
            Some(Ok(value)) => Some(value),
            Some(Err(error)) => self.invalid(field, error.to_string()),
            None => self.misshapen(field, "must be an object of strings"),
        }
    }

    /// Whether the field is there as `null`; if so it is taken.
    pub fn is_null(&mut self, field: &str) -> bool {
        let null = self.given.get(field).is_some_and(Value::is_null);
        if null {
            self.given.remove(field);
        }
        null
    }

    pub fn require(&mut self, field: &'static str) {
        match self.given.get(field) {
            None => {
                self.misshapen::<()>(field, "is required");
            }
            Some(Value::Null) => {
                self.given.remove(field);
                self.misshapen::<()>(field, "is required and cannot be null");
            }
            Some(_) => {}
        }
    }

    /// A field that exists but cannot be given here.
    pub fn refuse(&mut self, field: &'static str, message: &str) {
        if self.given.remove(field).is_some() {
            self.invalid::<()>(field, message);
        }
    }

    /// A mistake in a value that is well-shaped; always None.
    pub fn invalid<T>(&mut self, field: &str, message: impl Into<String>) -> Option<T> {
        self.values.push(Mistake::new(field, message));
        None
    }

    /// What was not taken is a mistake. True when there is none.
    pub fn complete(&mut self, unknown: &str) -> bool {
        let left = std::mem::take(&mut self.given).into_keys();
        self.shape.extend(left.map(|field| Mistake::new(field, unknown)));
        self.shape.is_empty() && self.values.is_empty()
    }

    pub fn into_problem(self) -> Problem {
        let kind = if self.shape.is_empty() { Kind::InvalidValues } else { Kind::InvalidRequest };
        let mistakes = [self.shape, self.values].concat();
        let text: Vec<_> = mistakes
            .iter()
            .map(|Mistake { field, message }| format!("{field} {message}"))
            .collect();
        Problem::with_mistakes(kind, text.join("; "), mistakes)
    }

    fn take(&mut self, field: &'static str) -> Option<Value> {
        #[cfg(test)]
        ASKED.with_borrow_mut(|asked| asked.insert(field.to_owned()));
        match (self.given.remove(field)?, self.null) {
            (Value::Null, Null::Absent) => None,
            (Value::Null, Null::Refused) => self.misshapen(field, "cannot be null"),
            (value, _) => Some(value),
        }
    }

    fn misshapen<T>(&mut self, field: &str, message: &str) -> Option<T> {
        self.shape.push(Mistake::new(field, message));
        None
    }
}

/// JSON has one kind of numbers: `5.0` is as whole as `5` (JSON Schema 2020-12 §6.1.1).
fn whole(value: &Value) -> Option<u64> {
    /// 2^64, the first that is too large.
    const END: f64 = 18_446_744_073_709_551_616.0;
    let exact = |number: &f64| number.fract() == 0.0 && (0.0..END).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(exact).map(|number| number as u64))
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
