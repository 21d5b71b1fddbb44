//! Puts the sources on top of each other: flag, then `PORTICO_*`, then the file, then today's
//! names, then the default. What comes out is one value or none for each key, and where it came
//! from.

mod todays;

use std::fmt;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::Note;
use super::mistake::{Mistake, Wrong};
use super::sources::{FILE_ENVIRONMENT, File, Sources};
use super::table::{self, KEYS, Key, Preset, Shape};
use super::value::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// Made from another key.
    Key(&'static str),
    Fallback(&'static str),
    File {
        path: PathBuf,
        line: usize,
    },
    Environment(String),
    Flag(String),
}

/// One key with what is in force.
#[derive(Debug)]
pub struct Entry {
    pub key: &'static Key,
    pub value: Option<Value>,
    pub origin: Origin,
}

impl Entry {
    /// Nobody has set it.
    pub fn is_default(&self) -> bool {
        matches!(self.origin, Origin::Default)
    }
}

/// An entry for each key, in the order of the table.
#[derive(Debug)]
pub struct Collected {
    pub entries: Vec<Entry>,
    /// False when there is a file that could not be read: what seems to be missing may be in it.
    pub is_whole: bool,
    pub mistakes: Vec<Mistake>,
    pub notes: Vec<Note>,
    /// Of today's names, those of templates with their values.
    pub templates: Vec<(String, String)>,
}

/// What the operator's client reads: both may run in one environment. They are no settings.
const OF_THE_CLIENT: [&str; 3] = ["PORTICO_API", "PORTICO_TOKEN", "PORTICO_TOKEN_FILE"];

pub fn collect(sources: Sources) -> Collected {
    let mut collected = Collected {
        entries: KEYS.iter().map(default).collect(),
        is_whole: sources.mistakes.is_empty(),
        mistakes: sources.mistakes,
        notes: Vec::new(),
        templates: Vec::new(),
    };
    for (key, text) in &sources.defaults {
        collected.set(key, Origin::Default, Value::from_text(key.shape, text));
    }
    if let Some(file) = &sources.file {
        collected.file(file);
    }
    collected.environment(&sources.environment);
    for (key, text) in &sources.flags {
        let flag = key.flag().unwrap_or_default();
        collected.set(key, Origin::Flag(flag), Value::from_text(key.shape, text));
    }
    // Last, because they only fill what nothing else has filled.
    collected.todays(&sources.environment);
    collected
}

fn default(key: &'static Key) -> Entry {
    let value = match key.default {
        Preset::Value(text) => Value::from_text(key.shape, text).ok(),
        Preset::Required(_) | Preset::Unset { .. } => None,
    };
    Entry { key, value, origin: Origin::Default }
}

impl Collected {
    /// # Panics
    /// When `name` is not in the table.
    pub fn entry(&self, name: &str) -> &Entry {
        let entry = self.entries.iter().find(|entry| entry.key.name == name);
        entry.expect("there is an entry for every key, and callers name keys")
    }

    /// As if nobody had set it; of what must be set, the example.
    pub fn reset(&mut self, name: &str) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key.name == name) {
            *entry = default(entry.key);
            if let Preset::Required(example) = entry.key.default {
                entry.value = Value::from_text(entry.key.shape, example).ok();
            }
        }
    }

    fn set(&mut self, key: &'static Key, origin: Origin, value: Result<Value, Wrong>) {
        match value {
            Ok(value) => {
                let entry = self.entries.iter_mut().find(|entry| entry.key.name == key.name);
                if let Some(entry) = entry {
                    entry.value = Some(value);
                    entry.origin = origin;
                }
            }
            Err(wrong) => self.mistake(key.name, Some(origin), wrong),
        }
    }

    pub fn mistake(&mut self, name: &str, origin: Option<Origin>, wrong: Wrong) {
        let Wrong { wrong, fix } = wrong;
        self.mistakes.push(Mistake { name: name.to_owned(), origin, wrong, fix });
    }

    fn unknown(&mut self, name: &str, origin: Option<Origin>, as_written: fn(&Key) -> String) {
        let fix = match table::nearest(&key_of(name)) {
            Some(key) => format!("did you mean {}?", as_written(key)),
            None => "remove it; `portico settings` lists every setting".to_owned(),
        };
        self.mistake(name, origin, Wrong::new("is not a setting", fix));
    }

    fn file(&mut self, file: &File) {
        match DeTable::parse(&file.text) {
            Ok(table) => self.section(file, "", table.get_ref()),
            Err(error) => {
                self.is_whole = false;
                let at = error.span().map_or(0, |span| span.start);
                let origin = self.origin_in(file, at);
                let wrong = format!("is not TOML: {}", error.message());
                let wrong = Wrong::new(wrong, "correct the line");
                self.mistake("the file", Some(origin), wrong);
            }
        }
    }

    fn section(&mut self, file: &File, prefix: &str, section: &DeTable<'_>) {
        for (name, value) in section {
            let origin = self.origin_in(file, name.span().start);
            let name = format!("{prefix}{}", name.get_ref());
            let below = format!("{name}.");
            match (table::find(&name), value.get_ref()) {
                (Some(key), value) => {
                    self.set(key, origin, Value::from_toml(key.shape, value));
                }
                (None, DeValue::Table(inner))
                    if KEYS.iter().any(|key| key.name.starts_with(&below)) =>
                {
                    self.section(file, &below, inner);
                }
                (None, _) => self.unknown(&name, Some(origin), |key| key.name.to_owned()),
            }
        }
    }

    fn origin_in(&self, file: &File, at: usize) -> Origin {
        let before = &file.text.as_bytes()[..at.min(file.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: file.path.clone(), line }
    }

    fn environment(&mut self, environment: &[(String, String)]) {
        for (name, text) in environment {
            let is_other = name == FILE_ENVIRONMENT || OF_THE_CLIENT.contains(&name.as_str());
            if !name.starts_with("PORTICO_") || is_other {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.environment() == *name) else {
                if !is_service_link(name, text) {
                    self.unknown(name, None, Key::environment);
                }
                continue;
            };
            let origin = Origin::Environment(name.clone());
            if text.trim().is_empty() && key.shape != Shape::List && !key.form.contains("off") {
                let wrong = Wrong::new("is empty", "unset it, or give it a value");
                self.mistake(key.name, Some(origin), wrong);
                continue;
            }
            self.set(key, origin, Value::from_text(key.shape, text));
        }
    }
}

/// `PORTICO_PROXY__HTP` as the key that it tries to be.
fn key_of(name: &str) -> String {
    match name.strip_prefix("PORTICO_") {
        Some(rest) => rest.to_ascii_lowercase().replace("__", "."),
        None => name.to_owned(),
    }
}

/// What Kubernetes puts into every container for a Service called `portico` or `portico-…`, and
/// nothing that could be a slip: `PORTICO_HTTP_PORT=8080` is no link, `=tcp://10.0.0.1:80` is.
fn is_service_link(name: &str, text: &str) -> bool {
    let numbered = |name: &str| {
        name.split("_PORT_").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || name.ends_with("_PORT") && is_address
            || numbered(name))
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Key(name) => f.write_str(name),
            Origin::Fallback(name) => write!(f, "{name}, as a fall-back"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => f.write_str(name),
            Origin::Flag(name) => write!(f, "--{name}"),
        }
    }
}
