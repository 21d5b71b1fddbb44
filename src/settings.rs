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
use portico_control::store::StoreSettings;
use portico_control::token::Token;
use portico_core::domain::Domains;
use portico_core::session::Routing;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
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
    pub allowed_workspaces: AllowList,
    pub catalogue: Catalogue,
    pub upstream_networks: Vec<IpNet>,
    pub proxy: ProxySettings,
    pub certificates: Vec<CertificateFiles>,
    pub control: ControlSettings,
    /// None: no management listener.
    pub management: Option<SocketAddr>,
    pub store: Store,
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
    pub tls: Option<ControlTls>,
}

/// The API listener's certificate, and who may sign those of its clients (none: no client needs
/// one).
#[derive(Debug, Clone)]
pub struct ControlTls {
    pub certificate: CertificateFiles,
    pub client_ca: Option<PathBuf>,
}

/// Where the API's bearer token comes from.
#[derive(Debug)]
pub enum TokenSource {
    /// By the settings or by a file that they name.
    Given(Token),
    /// Made at the first start and kept in the store's directory.
    Kept,
}

/// Where sessions are kept, and what is done while that is away.
#[derive(Debug, Clone)]
pub struct Store {
    pub settings: StoreSettings,
    /// The last that was known of a store on another machine; None: it is not kept.
    pub cache: Option<PathBuf>,
    /// Routes older than this are not served; None: however old.
    pub stale_max: Option<Duration>,
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
