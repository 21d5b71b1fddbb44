//! What the names of today's installs say where nothing else does. The log is told of each that is
//! set: what it did, or why it did nothing.

use portico_control::store::RedisOptions;

use super::{Collected, Origin};
use crate::settings::Note;
use crate::settings::fallback::{self, Meaning, NAMES, Name, Part, REDIS_ADDRESS, TEMPLATES};
use crate::settings::mistake::Wrong;
use crate::settings::typed::switch;
use crate::settings::value::{Value, shown_url};

struct Environment<'a>(&'a [(String, String)]);

impl<'a> Environment<'a> {
    /// An empty one is as good as unset.
    fn get(&self, name: &str) -> Option<&'a str> {
        let (_, text) = self.0.iter().find(|(found, _)| found == name)?;
        Some(text.as_str()).filter(|text| !text.trim().is_empty())
    }
}

impl Collected {
    pub(super) fn todays(&mut self, environment: &[(String, String)]) {
        let environment = Environment(environment);
        for name in NAMES {
            let empty = || {
                let is_set = environment.0.iter().any(|(found, _)| found == name.name);
                (is_set && name.means_something_when_empty()).then_some("")
            };
            if let Some(text) = environment.get(name.name).or_else(empty) {
                self.todays_name(name, text, &environment);
            }
        }
        let templates = environment.0.iter().filter(|(name, _)| name.starts_with(TEMPLATES));
        self.templates = templates.cloned().collect();
        if !self.templates.is_empty() {
            let count = self.templates.len();
            self.say(format!("templates are changed by {count} names that begin with {TEMPLATES}"));
        }
    }

    fn todays_name(&mut self, name: &Name, text: &str, environment: &Environment<'_>) {
        let Name { name, meaning } = name;
        match meaning {
            Meaning::Sets(key, read) => self.fall_back(name, key, read(text), ""),
            Meaning::Redis => self.redis(name, text, environment),
            Meaning::OfRedis(part) => self.of_redis(name, part, text),
            Meaning::WithRedis(key, read, without) => {
                let store = self.entry("store.url").value.as_ref().map_or("", Value::text);
                match RedisOptions::is_meant_by(store) {
                    true => self.fall_back(name, key, read(text), without),
                    false => self.say(format!("{name} is not used: it is about a Redis")),
                }
            }
            Meaning::NotYetSwitch(_) if fallback::is_off(text) => {}
            Meaning::NotYet(why) | Meaning::NotYetSwitch(why) => {
                self.warn(format!("{name} is set, but nothing uses it yet: {why}"));
            }
        }
    }

    /// `more` is for the log, beside what was taken.
    fn fall_back(
        &mut self,
        name: &'static str,
        key: &str,
        value: Result<Value, Wrong>,
        more: &str,
    ) {
        let entry = self.entry(key);
        if entry.origin != Origin::Default {
            let instead = &entry.origin;
            return self.say(format!("{name} is not used: {key} comes from {instead}"));
        }
        let key = entry.key;
        self.set(key, Origin::Fallback(name), value);
        let more = if more.is_empty() { String::new() } else { format!("; {more}") };
        self.say(format!("{} is taken from {name}{more}", key.name));
    }

    /// Three names make one URL; each has its own mistakes.
    fn redis(&mut self, name: &'static str, address: &str, environment: &Environment<'_>) {
        let address = address.trim();
        if address.contains(['/', '@']) {
            let wrong = format!("`{}` is not host:port", shown_url(address));
            let fix = "write it without a scheme, as in redis:6379, or set PORTICO_STORE__URL";
            return self.fall_back(name, "store.url", Err(Wrong::new(wrong, fix)), "");
        }
        let mut part = |name: &'static str, checked: Result<(), Wrong>| {
            if let Err(wrong) = checked {
                self.mistake("store.url", Some(Origin::Fallback(name)), wrong);
            }
        };
        let tls = environment.get(fallback::REDIS_TLS).map_or(Ok(false), switch);
        let scheme = if matches!(tls, Ok(false)) { "redis" } else { "rediss" };
        part(fallback::REDIS_TLS, tls.map(drop));
        let db = environment.get(fallback::REDIS_DB).map_or("0", str::trim);
        let number = db.parse::<u32>().map_err(|_| {
            Wrong::new(format!("`{db}` is not a database"), "write its number, as in 0")
        });
        // A mistake is told once, and hides none of the address.
        let shown = number.as_ref().map_or("0", |_| db);
        let url = format!("{scheme}://{address}/{shown}");
        part(fallback::REDIS_DB, number.map(drop));
        self.fall_back(name, "store.url", Ok(Value::Text(url)), "");
    }

    fn of_redis(&mut self, name: &'static str, part: &Part, text: &str) {
        let entry = self.entry("store.url");
        let url = entry.value.as_ref().map_or("", Value::text);
        match (part, &entry.origin) {
            (part, Origin::Fallback(REDIS_ADDRESS)) => match part {
                Part::Url => self.say(format!("store.url has {name} in it")),
                // Both would be a mistake, and the file was chosen for this process.
                Part::Sets("store.password", _)
                    if self.entry("store.password_file").value.is_some() =>
                {
                    self.say(format!("{name} is not used: there is store.password_file"));
                }
                Part::SetsOfTls(..) if !url.starts_with("rediss") => {
                    let off = fallback::REDIS_TLS;
                    self.say(format!("{name} is not used: {off} is off"));
                }
                Part::Sets(key, read) | Part::SetsOfTls(key, read) => {
                    self.fall_back(name, key, read(text), "");
                }
            },
            _ if fallback::is_off(text) => {}
            (_, Origin::Default) => {
                let url = shown_url(url);
                let why = format!("without {REDIS_ADDRESS} sessions are kept in {url}");
                self.warn(format!("{name} is set, but not used: {why}"));
            }
            (_, instead) => {
                let note = format!("{name} is not used: store.url comes from {instead}");
                self.say(note);
            }
        }
    }

    fn say(&mut self, note: String) {
        self.notes.push(Note::Information(note));
    }

    fn warn(&mut self, note: String) {
        self.notes.push(Note::Warning(note));
    }
}
