//! The meaning of single values: addresses, networks, durations, files. Each says what is wrong and
//! how it is written right; none knows which key it reads.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use portico_control::token::Token;
use portico_core::limits;
use portico_core::session::Name;
use portico_core::workspace::AllowList;
use tracing_subscriber::EnvFilter;

use crate::settings::mistake::Wrong;
use crate::settings::value::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyProtocol {
    pub http: bool,
    pub https: bool,
}

pub fn not_one_of(value: &Value, words: &str) -> Wrong {
    Wrong::new(format!("`{}` is not one of {words}", value.text()), format!("write one of {words}"))
}

/// `ip:port`, `localhost:port`, or only a port, which then is at `host`.
fn socket_address(text: &str, host: &str) -> Result<SocketAddr, Wrong> {
    let bare = text.strip_prefix(':').unwrap_or(text);
    let text = match bare.parse::<u16>() {
        Ok(port) => format!("{host}:{port}"),
        Err(_) => text.replacen("localhost:", "127.0.0.1:", 1),
    };
    text.parse().map_err(|_| {
        Wrong::new(
            format!("`{text}` is not an address"),
            "write 127.0.0.1:8080, 0.0.0.0:8080 for all interfaces, [::]:8080 for IPv6 too",
        )
    })
}

pub fn address(value: &Value, host: &str) -> Result<SocketAddr, Wrong> {
    socket_address(value.text(), host)
}

pub fn address_or_off(value: &Value, host: &str) -> Result<Option<SocketAddr>, Wrong> {
    match value.text() {
        "" | "off" => Ok(None),
        text => socket_address(text, host).map(Some),
    }
}

pub fn addresses(value: &Value, host: &str) -> Result<Vec<SocketAddr>, Wrong> {
    let addresses: Vec<_> =
        value.list().iter().map(|text| socket_address(text, host)).collect::<Result<_, _>>()?;
    let twice = addresses
        .iter()
        .enumerate()
        .find(|(at, address)| address.port() != 0 && addresses[..*at].contains(address));
    match twice {
        Some((_, address)) => Err(Wrong::new(format!("{address} is there twice"), "write it once")),
        None => Ok(addresses),
    }
}

/// An empty list must not come to mean everything.
pub fn upstream_networks(value: &Value) -> Result<Vec<IpNet>, Wrong> {
    match networks(value)? {
        none if none.is_empty() => Err(Wrong::new(
            "is empty, which would allow nothing",
            "name the networks, or remove the setting to allow all but the dangerous ones",
        )),
        some => Ok(some),
    }
}

/// A single address is a network of one.
pub fn networks(value: &Value) -> Result<Vec<IpNet>, Wrong> {
    let network = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
            Wrong::new(format!("`{text}` is not a network"), "write it as 10.0.0.0/8 or fd00::/8")
        })
    };
    value.list().iter().map(network).collect()
}

pub fn workers(value: &Value) -> Result<usize, Wrong> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    match value.text() {
        "auto" | "0" => Ok(cores().min(limits::WORKERS_MAX)),
        text => match text.parse() {
            Ok(workers) if (1..=limits::WORKERS_MAX).contains(&workers) => Ok(workers),
            _ => Err(Wrong::new(
                format!("`{text}` is not a number from 1 to {}", limits::WORKERS_MAX),
                "write a number, or auto for one worker each core",
            )),
        },
    }
}

pub fn proxy_protocol(value: &Value) -> Result<ProxyProtocol, Wrong> {
    let mut on = ProxyProtocol { http: false, https: false };
    for word in value.list() {
        match word.as_str() {
            "http" => on.http = true,
            "https" => on.https = true,
            other => {
                let wrong = format!("`{other}` is not one of http, https");
                return Err(Wrong::new(wrong, "name the listeners, as in [\"http\"]"));
            }
        }
    }
    Ok(on)
}

pub fn duration(value: &Value) -> Result<Duration, Wrong> {
    humantime::parse_duration(value.text()).map_err(|_| {
        let wrong = format!("`{}` is not a duration", value.text());
        Wrong::new(wrong, "write a number with its unit, as in 30s, 5m or 1h")
    })
}

pub fn drain_timeout(value: &Value) -> Result<Duration, Wrong> {
    let duration = duration(value)?;
    if duration > limits::DRAIN_TIMEOUT_MAX {
        let max = humantime::format_duration(limits::DRAIN_TIMEOUT_MAX);
        let wrong = format!("`{}` is more than {max}", value.text());
        return Err(Wrong::new(wrong, format!("write at most {max}")));
    }
    Ok(duration)
}

/// Neither nothing nor more than a sensible bound.
pub fn lifetime(value: &Value, from: Duration, to: Duration) -> Result<Duration, Wrong> {
    let duration = duration(value)?;
    match (from..=to).contains(&duration) {
        true => Ok(duration),
        false => {
            let (from, to) = (humantime::format_duration(from), humantime::format_duration(to));
            let wrong = format!("`{}` is not between {from} and {to}", value.text());
            Err(Wrong::new(wrong, format!("write a duration from {from} to {to}")))
        }
    }
}

/// The words of files, environments and today's installs.
pub fn switch(text: &str) -> Result<bool, Wrong> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Wrong::new(
            format!("`{}` is neither true nor false", text.trim()),
            "write true or false",
        )),
    }
}

pub fn file(value: &Value) -> Result<PathBuf, Wrong> {
    match value.text() {
        "" => Err(Wrong::new("is empty", "write a path, or remove the setting")),
        text => Ok(PathBuf::from(text)),
    }
}

pub fn file_or_off(value: &Value) -> Result<Option<PathBuf>, Wrong> {
    match value.text() {
        "" | "off" => Ok(None),
        text => Ok(Some(PathBuf::from(text))),
    }
}

/// An empty list is nobody.
pub fn workspaces(value: &Value) -> Result<AllowList, Wrong> {
    let words = value.list();
    if words.len() > limits::ALLOWED_WORKSPACES_MAX {
        let wrong = format!("has more than {} workspaces", limits::ALLOWED_WORKSPACES_MAX);
        return Err(Wrong::new(wrong, "write fewer, or remove it to allow all"));
    }
    AllowList::of_words(words.iter().map(String::as_str)).map_err(|error| {
        let wrong = words.iter().find(|word| word.parse::<Name>().is_err());
        let wrong = wrong.map_or("", String::as_str);
        let fix = "write the workspaces' names, as in [\"12345\", \"67890\"]";
        Wrong::new(format!("`{wrong}` {error}"), fix)
    })
}

/// What is wrong with it must not be said with the text.
pub fn token(value: &Value) -> Result<Token, Wrong> {
    Token::parse(value.text()).map_err(|error| {
        let fix = "use a long random text, such as that of `openssl rand -hex 32`";
        Wrong::new(error.to_string(), fix)
    })
}

/// One level, or `EnvFilter`'s directives, whose own parser takes any word for a module's name.
pub fn log_filter(value: &Value) -> Result<String, Wrong> {
    let text = value.text();
    let words = text.split(',').map(str::trim);
    let level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].contains(&word) || word.contains('=')
    };
    if words.clone().all(level) && EnvFilter::builder().parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err(not_one_of(value, "error, warn, info, debug, trace"))
}
