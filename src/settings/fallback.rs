//! The names that today's installs set, read when neither Portico's own environment, flags nor the
//! file say anything, so that a container can be exchanged with its environment as it is.

use super::POLICY_TEXT;
use super::mistake::Wrong;
use super::table::Shape;
use super::value::Value;

pub struct Name {
    pub name: &'static str,
    pub meaning: Meaning,
}

pub enum Meaning {
    /// The key that it sets, and how its value reads there.
    Sets(&'static str, Read),
    /// Chooses a Redis as the store: it sets `store.url`, together with `Part::Url`.
    Redis,
    /// Says more about the Redis that `Redis` chose, and nothing about any other store: what
    /// belongs to one Redis is neither shown to another nor a reason to leave an embedded store.
    OfRedis(Part),
    /// Sets a key of any Redis; what is so without it.
    WithRedis(&'static str, Read, &'static str),
    /// Asks for something that this version does not do; why that is no reason to stop.
    NotYet(&'static str),
    /// The same of a switch, which asks for nothing when it is off.
    NotYetSwitch(&'static str),
}

/// What a name says about a Redis.
pub enum Part {
    Url,
    Sets(&'static str, Read),
    /// The same, where the connection has TLS at all.
    SetsOfTls(&'static str, Read),
}

pub type Read = fn(&str) -> Result<Value, Wrong>;

use Meaning::{NotYet, NotYetSwitch, OfRedis, Redis, Sets, WithRedis};

/// What chooses the Redis, and what its URL is also made of.
pub const REDIS_ADDRESS: &str = "CONNECT_REDIS_ADDRESS";
pub const REDIS_DB: &str = "CONNECT_REDIS_DB";
pub const REDIS_TLS: &str = "CONNECT_REDIS_TLS_ENABLE";

/// What the names of templates begin with; the template's key and what is said of it follow.
pub const TEMPLATES: &str = "TOWER_DATA_STUDIO_TEMPLATES_";

const SSH: &str = "this version has no SSH";

/// In order of preference where two set one key.
pub static NAMES: &[Name] = &[
    Name { name: "CONNECT_PROXY_URL", meaning: Sets("connect_url", text) },
    Name { name: "PLATFORM_URL", meaning: Sets("platform_url", text) },
    Name { name: "TOWER_SERVER_URL", meaning: Sets("platform_url", text) },
    Name {
        name: "TOWER_DATA_STUDIO_ALLOWED_WORKSPACES",
        meaning: Sets("allowed_workspaces", list),
    },
    Name { name: "TOWER_DATA_STUDIO_ENABLE_PATH_ROUTING", meaning: Sets("routing", path_routing) },
    Name { name: "CONNECT_HTTP_PORT", meaning: Sets("proxy.http", http_port) },
    Name { name: "CONNECT_MANAGEMENT_PORT", meaning: Sets("management.listen", management_port) },
    Name { name: "CONNECT_LOG_LEVEL", meaning: Sets("log.level", log_level) },
    Name { name: "CONNECT_TRUSTED_PROXY_CIDRS", meaning: Sets("proxy.trusted_networks", list) },
    Name {
        name: "CONNECT_OIDC_CLIENT_REGISTRATION_TOKEN",
        meaning: Sets("access.registration_token", secret),
    },
    Name { name: "CONNECT_CLIENT_NAME", meaning: Sets("access.client_name", text) },
    // Before the others of a Redis, which need to know whether there is one.
    Name { name: REDIS_ADDRESS, meaning: Redis },
    Name { name: REDIS_DB, meaning: OfRedis(Part::Url) },
    Name { name: REDIS_TLS, meaning: OfRedis(Part::Url) },
    Name { name: "CONNECT_REDIS_USER", meaning: OfRedis(Part::Sets("store.username", text)) },
    Name { name: "CONNECT_REDIS_PASSWORD", meaning: OfRedis(Part::Sets("store.password", secret)) },
    Name { name: "CONNECT_REDIS_PREFIX", meaning: OfRedis(Part::Sets("store.prefix", text)) },
    Name {
        name: "CONNECT_REDIS_TLS_SKIP_VERIFY",
        meaning: OfRedis(Part::SetsOfTls("store.tls_insecure", text)),
    },
    Name {
        name: "CONNECT_REDIS_TLS_CERT_FILE",
        meaning: OfRedis(Part::SetsOfTls("store.cert_file", text)),
    },
    Name {
        name: "CONNECT_REDIS_TLS_KEY_FILE",
        meaning: OfRedis(Part::SetsOfTls("store.key_file", text)),
    },
    Name {
        name: "LOCAL_CACHE_TTL",
        meaning: WithRedis("store.stale_max", text, "without it routes never grow stale"),
    },
    Name { name: "CONNECT_TUNNEL_URL", meaning: NotYet("sessions are reached at their upstream") },
    Name { name: "CONNECT_SSH_ENABLED", meaning: NotYetSwitch(SSH) },
    Name { name: "CONNECT_POLICY_FILE", meaning: Sets("quotas.policy", text) },
    Name { name: "CONNECT_POLICY_B64", meaning: Sets("quotas.policy", policy_text) },
];

impl Name {
    /// Whether an empty value says something; else it is as good as unset.
    pub fn means_something_when_empty(&self) -> bool {
        // The one of today's names where empty is documented: no workspace at all.
        self.name == "TOWER_DATA_STUDIO_ALLOWED_WORKSPACES"
    }
}

fn text(value: &str) -> Result<Value, Wrong> {
    Value::from_text(Shape::Text, value)
}

fn list(value: &str) -> Result<Value, Wrong> {
    Value::from_text(Shape::List, value)
}

fn policy_text(value: &str) -> Result<Value, Wrong> {
    text(&format!("{POLICY_TEXT}{}", value.trim()))
}

fn secret(value: &str) -> Result<Value, Wrong> {
    Value::from_text(Shape::Secret, value)
}

pub fn is_off(value: &str) -> bool {
    ["false", "0", "no", "off"].contains(&value.trim().to_ascii_lowercase().as_str())
}

/// Path routing is switched on where there is no wildcard DNS, so it comes alone.
fn path_routing(value: &str) -> Result<Value, Wrong> {
    match value.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => list("path"),
        off if is_off(off) => list("subdomain"),
        other => Err(Wrong::new(
            format!("`{other}` is neither true nor false"),
            "write true or false, or set PORTICO_ROUTING",
        )),
    }
}

fn http_port(value: &str) -> Result<Value, Wrong> {
    Ok(Value::List(vec![format!("0.0.0.0:{}", port(value)?)]))
}

/// On all interfaces, as today: probes and scrapers come from other machines.
fn management_port(value: &str) -> Result<Value, Wrong> {
    Ok(Value::Text(format!("0.0.0.0:{}", port(value)?)))
}

fn port(value: &str) -> Result<u16, Wrong> {
    value.trim().parse().map_err(|_| {
        Wrong::new(format!("`{}` is not a port", value.trim()), "write a number up to 65535")
    })
}

fn log_level(value: &str) -> Result<Value, Wrong> {
    let level = value.trim().to_ascii_lowercase();
    // Today's two levels that we do not tell from their neighbours.
    let level = match level.as_str() {
        "fatal" => "error",
        "warning" => "warn",
        other => other,
    };
    text(level)
}
