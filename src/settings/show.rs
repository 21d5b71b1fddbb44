//! The settings for people: what is in force and where it came from, the reference table and the
//! example file. Secrets are shown as `***`.

use std::fmt::Write;

use super::collect::{Collected, Entry};
use super::fallback::{Meaning, NAMES, Part, REDIS_ADDRESS, REDIS_TLS, TEMPLATES};
use super::table::{KEYS, Key, Preset};
use super::value::Value;

/// One line each, `key = value  # from …`: TOML that can be used as a file.
pub fn in_force(collected: &Collected) -> String {
    let mut text = String::new();
    for Entry { key, value, origin } in &collected.entries {
        let name = key.name;
        // Writing to a `String` cannot fail, here and below.
        let _ = match value {
            Some(value) => {
                writeln!(text, "{name} = {}  # from {origin}", value.shown(key.shape))
            }
            None => writeln!(text, "# {name} is not set: {}", meaning(key)),
        };
    }
    text
}

/// `{"proxy.io": {"value": "auto", "from": "default"}, …}`
pub fn in_force_json(collected: &Collected) -> String {
    let entry = |entry: &Entry| {
        let value = entry.value.as_ref().map(|value| value.shown(entry.key.shape).to_json());
        let json = serde_json::json!({ "value": value, "from": entry.origin.to_string() });
        (entry.key.name.to_owned(), json)
    };
    let object: serde_json::Map<_, _> = collected.entries.iter().map(entry).collect();
    format!("{:#}\n", serde_json::Value::Object(object))
}

fn meaning(key: &Key) -> &'static str {
    match key.default {
        Preset::Unset { meaning, .. } => meaning,
        Preset::Required(_) => "required",
        Preset::Value(_) => "default",
    }
}

/// `deploy/SETTINGS.md`
pub fn markdown() -> String {
    let mut text = String::from(
        "# Settings\n\n\
         Made from `src/settings/table.rs` by `portico settings --markdown`; a test compares.\n\n\
         A flag wins over `PORTICO_*` in the environment, that over the file (`--config FILE` or\n\
         `PORTICO_CONFIG`), that over the names of today's installs, that over the default.\n\
         `portico serve --print-config` shows what is in force and where it came from. Lists are\n\
         arrays in the file, and words divided by commas elsewhere; `off` or nothing is the empty\n\
         list. Times are written with their unit (`30s`, `5m`), addresses as `ip:port`.\n\n\
         | key | environment, flag | value | default | what it does |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for key in KEYS.iter() {
        let mut names = format!("`{}`", key.environment());
        for flag in key.flag().into_iter().chain(key.short_flag.map(str::to_owned)) {
            let _ = write!(names, " `--{flag}`");
        }
        let default = match key.default {
            Preset::Value("") => "none".to_owned(),
            Preset::Value(value) => format!("`{value}`"),
            Preset::Required(_) => "required".to_owned(),
            Preset::Unset { meaning, .. } => meaning.to_owned(),
        };
        let Key { name, form, help, .. } = key;
        let _ = writeln!(text, "| `{name}` | {names} | {form} | {default} | {help} |");
    }
    text.push_str(
        "\n## Names of today's installs\n\n\
         Read when nothing else sets the key; the log says which one was used.\n\n\
         | name | what it does |\n\
         | --- | --- |\n",
    );
    for name in NAMES {
        let meaning = match name.meaning {
            Meaning::Sets(key, _) => format!("sets `{key}`"),
            Meaning::NotYet(why) => format!("a warning and no more: {why}"),
            Meaning::NotYetSwitch(why) => format!("a warning and no more unless off: {why}"),
            Meaning::Redis => "sets `store.url` to that Redis, `host:port`".to_owned(),
            Meaning::OfRedis(Part::Url) => format!("is part of the URL of `{REDIS_ADDRESS}`"),
            Meaning::OfRedis(Part::Sets(key, _)) => {
                format!("sets `{key}` for the Redis of `{REDIS_ADDRESS}`")
            }
            Meaning::OfRedis(Part::SetsOfTls(key, _)) => {
                format!("sets `{key}` for the Redis of `{REDIS_ADDRESS}` if `{REDIS_TLS}`")
            }
            Meaning::WithRedis(key, _, without) => {
                format!("sets `{key}` where sessions are in a Redis; {without}")
            }
        };
        let _ = writeln!(text, "| `{}` | {meaning} |", name.name);
    }
    let _ = writeln!(
        text,
        "| `{TEMPLATES}<KEY>_…` | changes or adds the template of that key |\n\n\
         Only `{REDIS_ADDRESS}` leaves the embedded store: the other names of a Redis do nothing\n\
         without it, or where something else sets `store.url`. Of a template, `_STATUS` is\n\
         `recommended`, `deprecated`, `experimental` or `unsupported`, `_REPOSITORY` an image,\n\
         `_ICON` a name, `_TOOL` the tool, `_PORT` its port; a new one needs `_REPOSITORY` and\n\
         `_TOOL`, and its key has `-` where a `_` would be. What was put through the API goes\n\
         before it."
    );
    text
}

/// `deploy/portico.example.toml`: works once `connect_url` is yours.
pub fn example() -> String {
    let mut text = String::from(
        "# Settings of Portico: every key with its default. Made by `portico settings --example`;\n\
         # SETTINGS.md has the names for environment and flags. Use it with\n\
         #   portico serve --config portico.toml\n",
    );
    let mut section = "";
    for key in KEYS.iter() {
        if key.section() != section {
            section = key.section();
            let _ = writeln!(text, "\n[{section}]");
        }
        let _ = write!(text, "\n# {}", key.help);
        let (mark, value) = match key.default {
            Preset::Value(value) => ("#", value),
            Preset::Required(value) => {
                text.push_str(" Required.");
                ("", value)
            }
            Preset::Unset { meaning, example } => {
                let _ = write!(text, " Unset: {meaning}.");
                ("#", example)
            }
        };
        let value = Value::from_text(key.shape, value).map(|v| v.to_string()).unwrap_or_default();
        let _ = writeln!(text, "\n{mark}{} = {value}", key.last_name());
    }
    text
}
