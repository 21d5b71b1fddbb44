//! The settings of a process: one table of keys (`table`), several sources (`sources`), today's
//! names as fall-backs (`fallback`), and the checked result that the rest of the binary works
//! with. All mistakes are found before anything starts, and told together. It must not know what
//! a role does with a setting.

pub mod table;

mod value;

mod sources;

mod fallback;

mod collect;

mod typed;

mod mistake;

pub mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use portico_control::token::Token;
use portico_core::domain::Domains;
use portico_core::session::Routing;
use portico_proxy::{AccessLog, CertificateFiles, IoChoice, ListenerSettings};

pub use collect::collect;
pub use mistake::{Mistake, Mistakes};
pub use sources::{Sources, arguments};
pub use typed::check;

/// Everything that a role may need, parsed and checked.
#[derive(Debug)]
pub struct Settings {
    pub domains: Domains,
    pub routing: Routing,
    pub upstream_networks: Vec<IpNet>,
    pub proxy: ProxySettings,
    pub certificates: Vec<CertificateFiles>,
    pub control: ControlSettings,
    /// None: no management listener.
    pub management: Option<SocketAddr>,
    pub store: StoreUrl,
    pub log: LogSettings,
    pub addresses_file: Option<PathBuf>,
}

#[derive(Debug)]
pub struct ProxySettings {
    pub listeners: Vec<ListenerSettings>,
    pub io: IoChoice,
    pub workers: usize,
    pub trusted_networks: Vec<IpNet>,
    pub drain_timeout: Duration,
    pub access_log: AccessLog,
}

#[derive(Debug)]
pub struct ControlSettings {
    pub listen: SocketAddr,
    pub token: TokenSource,
}

/// Where the API's bearer token comes from.
#[derive(Debug)]
pub enum TokenSource {
    /// By the settings or by a file that they name.
    Given(Token),
    /// Made at the first start and kept in the store's directory.
    Kept,
}

/// `embedded:DIR`, the only store of this version.
#[derive(Debug, Clone)]
pub struct StoreUrl {
    pub directory: PathBuf,
}

impl std::fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "embedded:{}", self.directory.display())
    }
}

#[derive(Debug)]
pub struct LogSettings {
    /// In the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Something to say about the settings once the log is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Note {
    Information(String),
    Warning(String),
}

#[cfg(test)]
mod tests;
