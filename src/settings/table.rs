//! The table of keys. Reading the file, the environment and the flags, `--print-config`, the
//! example file and `deploy/SETTINGS.md` are all made from it: a setting that is not here does
//! not exist.

mod access;
mod accounting;
mod store;

use std::sync::LazyLock;

/// One setting.
#[derive(Debug, Clone)]
pub struct Key {
    /// As in the file: `proxy.http`.
    pub name: &'static str,
    pub shape: Shape,
    /// What a value looks like, for people.
    pub form: &'static str,
    pub default: Preset,
    /// A second, shorter flag.
    pub short_flag: Option<&'static str>,
    /// One sentence.
    pub help: &'static str,
}

/// How a value is written, as far as the sources have to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// A URL or the domain of one, of which user and password are shown as `***`.
    Url,
    /// A text that is shown as `***` and has no flag, because command lines are public.
    Secret,
    /// An array in the file; divided by commas or blanks elsewhere.
    List,
    /// `[{cert, key}, …]` in the file; `cert:key,cert:key` elsewhere.
    Certificates,
}

/// What is in force when no source has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Value(&'static str),
    /// The process cannot start without it; the example file shows this value.
    Required(&'static str),
    /// Nothing; `meaning` says what that does, `example` is for the example file.
    Unset {
        meaning: &'static str,
        example: &'static str,
    },
}

use Preset::{Required, Unset, Value};
use Shape::{Certificates, List, Secret, Text, Url};

const fn key(
    name: &'static str,
    shape: Shape,
    form: &'static str,
    default: Preset,
    help: &'static str,
) -> Key {
    Key { name, shape, form, default, short_flag: None, help }
}

/// All of them, in the order in which they are told.
pub static KEYS: LazyLock<Vec<Key>> =
    LazyLock::new(|| [TRAFFIC, access::KEYS, CONTROL, store::KEYS, accounting::KEYS, LOG].concat());

/// What clients reach, and how.
static TRAFFIC: &[Key] = &[
    key(
        "connect_url",
        Url,
        "URL",
        Required("https://connect.example.com"),
        "The URL of the connect host, as browsers see it.",
    ),
    key(
        "platform_url",
        Url,
        "URL",
        Unset { meaning: "not checked", example: "https://platform.example.com" },
        "The Platform's URL; it must share its registrable domain with connect_url.",
    ),
    key(
        "session_domain",
        Url,
        "domain",
        Unset { meaning: "the host of connect_url", example: "connect.example.com" },
        "The domain below which every session has its host.",
    ),
    key(
        "routing",
        List,
        "list of subdomain, path",
        Value("subdomain,path"),
        "On which URLs a session answers when its creator does not say.",
    ),
    key(
        "allowed_workspaces",
        List,
        "list of workspaces",
        Unset { meaning: "all", example: "" },
        "The workspaces with routes; empty is none. A list put through the API goes before it.",
    ),
    key(
        "upstream_networks",
        List,
        "list of networks",
        Unset {
            meaning: "all but link-local, metadata and own addresses",
            example: "10.0.0.0/8, fd00::/8",
        },
        "Where sessions may be; Portico connects nowhere else.",
    ),
    key(
        "addresses_file",
        Text,
        "file",
        Unset { meaning: "none", example: "/run/portico/addresses.json" },
        "Once everything listens, the addresses are written here as JSON (for port 0).",
    ),
    key(
        "proxy.http",
        List,
        "list of addresses, or off",
        Value("0.0.0.0:8080"),
        "Where plain HTTP from clients, or from a load balancer that ends TLS, is accepted.",
    ),
    key(
        "proxy.https",
        List,
        "list of addresses, or off",
        Value("off"),
        "Where TLS from clients is accepted; needs tls.certificates.",
    ),
    Key {
        short_flag: Some("io"),
        ..key(
            "proxy.io",
            Text,
            "auto, uring or epoll",
            Value("auto"),
            "How the workers do I/O; auto takes io_uring where the machine allows it.",
        )
    },
    key(
        "proxy.workers",
        Text,
        "number, or auto",
        Value("auto"),
        "Data-plane threads; auto is one for each core.",
    ),
    key(
        "proxy.trusted_networks",
        List,
        "list of networks",
        Value(""),
        "Load balancers whose forwarding headers are believed; if set, PROXY headers of no others.",
    ),
    key(
        "proxy.proxy_protocol",
        List,
        "list of http, https",
        Value(""),
        "Listeners that want a PROXY header first (if set, from proxy.trusted_networks only).",
    ),
    key(
        "proxy.drain_timeout",
        Text,
        "duration",
        Value("30s"),
        "How long open WebSockets may go on after SIGTERM.",
    ),
    key(
        "proxy.access_log",
        Text,
        "off, json or text",
        Value("off"),
        "One line for each request on standard output, tokens in URLs removed.",
    ),
    key(
        "tls.certificates",
        Certificates,
        "list of {cert, key}",
        Unset { meaning: "none", example: "/etc/portico/tls.crt:/etc/portico/tls.key" },
        "PEM files, chosen by server name; the first is used when none fits.",
    ),
];

/// The listeners of the control plane.
static CONTROL: &[Key] = &[
    key("control.listen", Text, "address", Value("127.0.0.1:7080"), "Where the /v1 API listens."),
    key(
        "control.token",
        Secret,
        "text",
        Unset { meaning: "see control.token_file", example: "" },
        "The API's bearer token; prefer the file, an environment can be read by other programs.",
    ),
    key(
        "control.token_file",
        Text,
        "file",
        Unset {
            meaning: "made at the first start: `token` in the store's directory, or, with a Redis, \
                      printed once",
            example: "/run/secrets/portico-token",
        },
        "A file that holds the API's bearer token.",
    ),
    key(
        "control.tls_cert",
        Text,
        "file",
        Unset { meaning: "plain HTTP", example: "/etc/portico/control.crt" },
        "The API listener's certificate chain (PEM); needs control.tls_key.",
    ),
    key(
        "control.tls_key",
        Text,
        "file",
        Unset { meaning: "plain HTTP", example: "/etc/portico/control.key" },
        "The private key (PEM) of control.tls_cert.",
    ),
    key(
        "control.client_ca",
        Text,
        "file",
        Unset { meaning: "clients need no certificate", example: "/etc/portico/clients.crt" },
        "Who signs the certificates (PEM) that the API's clients must have, besides a token.",
    ),
    key(
        "management.listen",
        Text,
        "address, or off",
        Value("127.0.0.1:9090"),
        "Where /metrics, /healthz, /readyz, /explain and POST /drain listen.",
    ),
];

static LOG: &[Key] = &[
    key(
        "log.level",
        Text,
        "error, warn, info, debug or trace",
        Value("info"),
        "What is logged on standard error; `info,portico_proxy=debug` sets one part apart.",
    ),
    key("log.format", Text, "text or json", Value("text"), "How a log line is written."),
];

impl Key {
    /// `PORTICO_PROXY__HTTP`
    pub fn environment(&self) -> String {
        format!("PORTICO_{}", self.name.to_ascii_uppercase().replace('.', "__"))
    }

    /// `proxy-http`, or none for a secret.
    pub fn flag(&self) -> Option<String> {
        (self.shape != Secret).then(|| self.name.replace(['.', '_'], "-"))
    }

    /// `proxy` of `proxy.http`; empty for a key of the top level.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// `http` of `proxy.http`.
    pub fn last_name(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, last)| last)
    }
}

/// None for what is not a key.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that somebody may have meant.
pub fn nearest(name: &str) -> Option<&'static Key> {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or(&name);
    let near = |a: &str, b: &str| {
        let distance = strsim::damerau_levenshtein(a, b);
        (distance <= a.len().max(b.len()) / 3).then_some(distance)
    };
    let distance = |key: &Key| {
        // The right word in the wrong section counts as one slip more.
        let elsewhere = near(key.last_name(), last).map(|distance| distance + 1);
        near(key.name, &name).into_iter().chain(elsewhere).min()
    };
    let candidates = KEYS.iter().filter_map(|key| Some((distance(key)?, key)));
    candidates.min_by_key(|(distance, _)| *distance).map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_key() {
        let key = find("proxy.drain_timeout").unwrap();
        assert_eq!(key.environment(), "PORTICO_PROXY__DRAIN_TIMEOUT");
        assert_eq!(key.flag().unwrap(), "proxy-drain-timeout");
        assert_eq!((key.section(), key.last_name()), ("proxy", "drain_timeout"));
        assert_eq!(find("control.token").unwrap().flag(), None);
    }

    #[test]
    fn every_key_and_flag_is_there_once_and_its_help_is_a_sentence() {
        let mut seen = std::collections::HashSet::new();
        for key in KEYS.iter() {
            assert!(key.help.ends_with('.') && key.help.len() < 100, "{}", key.name);
            let names = [Some(key.name.to_owned()), key.flag(), key.short_flag.map(str::to_owned)];
            for name in names.into_iter().flatten().collect::<std::collections::HashSet<_>>() {
                assert!(seen.insert(name), "{}", key.name);
            }
        }
    }

    #[test]
    fn a_slip_finds_what_was_meant() {
        for (slip, meant) in [
            ("conect_url", Some("connect_url")),
            ("proxy.htp", Some("proxy.http")),
            ("io", Some("proxy.io")),
            ("control.tokenfile", Some("control.token_file")),
            ("proxy.drain_timout", Some("proxy.drain_timeout")),
            ("something.else", None),
        ] {
            assert_eq!(nearest(slip).map(|key| key.name), meant, "{slip}");
        }
    }
}
