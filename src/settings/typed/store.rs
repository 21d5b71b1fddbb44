//! Where sessions are kept: one URL, and what only a Redis needs. What makes no sense with the
//! store that the URL names is a mistake, and not silence: somebody believes in it.

use portico_control::store::{RedisFailure, RedisOptions, StoreSettings};

use super::{files, parse};
use crate::settings::collect::Collected;
use crate::settings::mistake::Wrong;
use crate::settings::table::Preset;
use crate::settings::value::{Value, shown_url};
use crate::settings::{Note, Store};

/// Of a Redis only.
const OF_REDIS: [&str; 10] = [
    "store.username",
    "store.password",
    "store.password_file",
    "store.prefix",
    "store.ca_file",
    "store.cert_file",
    "store.key_file",
    "store.tls_insecure",
    "store.cache",
    "store.stale_max",
];

/// Of a Redis with TLS only.
const OF_TLS: [&str; 4] =
    ["store.ca_file", "store.cert_file", "store.key_file", "store.tls_insecure"];

/// None only when there are mistakes.
pub fn store(c: &mut Collected) -> Option<Store> {
    let url = c.read("store.url", url).flatten();
    let options = redis(c);
    let cache = c.read("store.cache", parse::file_or_off);
    let stale_max = c.read("store.stale_max", stale_max);
    match url? {
        StoreSettings::Embedded(directory) => {
            refuse(c, &OF_REDIS, "is for a Redis, and store.url is none", "give store.url a Redis");
            let settings = StoreSettings::Embedded(directory);
            Some(Store { settings, cache: None, stale_max: None })
        }
        StoreSettings::Redis(RedisOptions { url, .. }) => {
            if !RedisOptions::new(&url).uses_tls() {
                let wrong = "is of no use while store.url is without TLS";
                refuse(c, &OF_TLS, wrong, "write rediss in store.url");
            }
            let options = RedisOptions { url, ..options? };
            if options.username.is_some() && !options.has_password() {
                let fix = "set store.password_file; Redis takes any password for a user that \
                           needs none";
                let origin = c.origin("store.username");
                c.mistake("store.username", origin, Wrong::new("has no password", fix));
            }
            warn(c, &options);
            let settings = StoreSettings::Redis(options);
            Some(Store { settings, cache: cache??, stale_max: stale_max?? })
        }
    }
}

/// With everything but its URL.
fn redis(c: &mut Collected) -> Option<RedisOptions> {
    let username = c.read("store.username", |value| not_empty(value.text()));
    let password = password(c);
    let prefix = c.read("store.prefix", prefix);
    let ca_file = c.read("store.ca_file", files::authorities);
    let client = files::pair(c, ["store.cert_file", "store.key_file"]);
    let tls_insecure = c.read("store.tls_insecure", |value| parse::switch(value.text()));
    let (cert_file, key_file) = client?.map(|files| (files.cert, files.key)).unzip();
    Some(RedisOptions {
        url: String::new(),
        username: username?,
        password: password?,
        prefix: prefix??,
        ca_file: ca_file?,
        cert_file,
        key_file,
        tls_insecure: tls_insecure??,
        // The role knows what it can do without its store.
        patient: false,
    })
}

fn url(value: &Value) -> Result<StoreSettings, Wrong> {
    let fix = "write embedded:/var/lib/portico or another directory, redis://redis:6379/0, \
               rediss+sentinel://host,host/primary, or redis+cluster://host,host";
    let shown = shown_url(value.text());
    match StoreSettings::of_url(value.text()) {
        Ok(StoreSettings::Redis(options)) => match options.check() {
            Ok(()) => Ok(StoreSettings::Redis(options)),
            // Without its text of the URL, which does not hide every mistaken password.
            Err(RedisFailure::Address { reason, .. }) => {
                Err(Wrong::new(format!("`{shown}` is not the URL of a Redis: {reason}"), fix))
            }
            Err(error) => Err(Wrong::new(error.to_string(), fix)),
        },
        Ok(embedded) => Ok(embedded),
        Err(_) => Err(Wrong::new(format!("`{shown}` is not the URL of a store"), fix)),
    }
}

fn prefix(value: &Value) -> Result<String, Wrong> {
    let prefix = value.text().to_owned();
    let options = RedisOptions { prefix: prefix.clone(), ..RedisOptions::new("redis://any") };
    match options.check() {
        Ok(()) => Ok(prefix),
        Err(error) => Err(Wrong::new(error.to_string(), "write a plain word, as in portico")),
    }
}

fn password(c: &mut Collected) -> Option<Option<String>> {
    let password = c.read("store.password", |value| not_empty(value.text()));
    let file = c.read("store.password_file", files::password);
    match (password?, file?) {
        (Some(_), Some(_)) => {
            let origin = c.origin("store.password");
            let wrong = Wrong::new("is set beside store.password_file", "keep one of the two");
            c.mistake("store.password", origin, wrong);
            None
        }
        (one, other) => Some(one.or(other)),
    }
}

fn not_empty(text: &str) -> Result<String, Wrong> {
    match text {
        "" => Err(Wrong::new("is empty", "give it a value, or remove the setting")),
        text => Ok(text.to_owned()),
    }
}

fn stale_max(value: &Value) -> Result<Option<std::time::Duration>, Wrong> {
    match value.text() {
        "" | "off" => Ok(None),
        _ => match parse::duration(value)? {
            none if none.is_zero() => Err(Wrong::new(
                "is no time at all: routes would be gone with the first pause of the Redis",
                "write a longer time, or off",
            )),
            some => Ok(Some(some)),
        },
    }
}

/// A key with its default asks for nothing, also where somebody wrote it down.
fn refuse(c: &mut Collected, names: &[&'static str], wrong: &str, otherwise: &str) {
    // The URL may be in a file that could not be read.
    if !c.is_whole {
        return;
    }
    for name in names {
        let entry = c.entry(name);
        let Some(value) = &entry.value else { continue };
        let text = value.text();
        let asks = match entry.key.default {
            Preset::Value(default) => text != default && parse::switch(text).ok() != Some(false),
            Preset::Unset { .. } | Preset::Required(_) => true,
        };
        if asks {
            let origin = c.origin(name);
            let fix = format!("remove it, or {otherwise}");
            c.mistake(name, origin, Wrong::new(wrong, fix));
        }
    }
}

fn warn(c: &mut Collected, options: &RedisOptions) {
    if options.tls_insecure {
        c.notes.push(Note::Warning(
            "store.tls_insecure is on: whoever is between this machine and the Redis can read and \
             change everything; give store.ca_file instead"
                .to_owned(),
        ));
    }
}
