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

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use portico_control::store::StoreSettings;
use portico_control::token::Token;
use portico_core::access::{Gate, Policy};
use portico_core::domain::Domains;
use portico_core::quota::{Note as PolicyNote, Policy as TrafficPolicy};
use portico_core::session::Routing;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
use portico_proxy::{AccessLog, AccountingChoice, CertificateFiles, IoChoice, ListenerSettings};

pub use collect::collect;
pub use mistake::{Mistake, Mistakes};
pub use sources::{Sources, arguments};
pub use typed::{Looked, check, look, management};

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
    pub access: AccessSettings,
    pub control: ControlSettings,
    /// None: no management listener.
    pub management: Option<SocketAddr>,
    pub store: Store,
    pub accounting: AccountingSettings,
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

/// Who may open which session, and where that is found out.
#[derive(Debug)]
pub struct AccessSettings {
    pub gate: Gate,
    pub default_policy: Policy,
    pub login_lifetime: Duration,
    pub key_lifetime: Duration,
    /// None: sessions open by the platform's tickets only.
    pub sign_in: Option<SignIn>,
    pub webhook: Option<Webhook>,
    /// Besides those that this machine trusts.
    pub ca_file: Option<PathBuf>,
}

/// An OpenID provider, and as whom Portico goes there.
#[derive(Debug)]
pub struct SignIn {
    pub issuer: Issuer,
    pub client: ClientSource,
    pub client_name: String,
    pub scopes: Vec<String>,
    pub user_claim: String,
    pub workspaces_claim: String,
}

#[derive(Debug)]
pub enum Issuer {
    Given(String),
    /// To be looked for there.
    OfPlatform(String),
}

#[derive(Debug)]
pub enum ClientSource {
    Fixed {
        id: String,
        secret: Secret,
    },
    /// Portico registers itself, with this token.
    Registers(Secret),
}

#[derive(Debug)]
pub struct Webhook {
    pub url: String,
    pub token: Option<Secret>,
    pub timeout: Duration,
}

/// A text that must not show.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
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
pub struct AccountingSettings {
    pub source: AccountingChoice,
    pub interval: Duration,
    pub session_metrics: bool,
    pub stop_idle: bool,
    pub policy: Option<PolicyFile>,
}

/// A traffic policy, as it was when it was read.
#[derive(Debug)]
pub struct PolicyFile {
    /// None where the setting is the policy itself.
    pub path: Option<PathBuf>,
    /// How that looked before it was read: a later change is seen.
    pub seen: Option<Seen>,
    pub policy: TrafficPolicy,
    /// What its author may not know of it.
    pub notes: Vec<PolicyNote>,
}

/// What stands before a policy that is in the setting itself, in base64 as in today's installs.
pub const POLICY_TEXT: &str = "base64:";

/// When a file was changed, and how long it is.
pub type Seen = (SystemTime, u64);

type Read = Result<(TrafficPolicy, Vec<PolicyNote>), String>;

impl PolicyFile {
    /// All that is wrong with it in one text.
    pub fn read(path: &Path) -> Read {
        let text = fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        Self::parse(&text).map_err(|wrong| format!("{} {wrong}", path.display()))
    }

    /// None while it is not there, as a file is for a moment that is being exchanged.
    pub fn look(path: &Path) -> Option<Seen> {
        let file = fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    }

    pub fn decode(text: &str) -> Read {
        let text = data_encoding::BASE64.decode(text.as_bytes());
        Self::parse(&text.map_err(|_| "is not base64".to_owned())?)
    }

    fn parse(text: &[u8]) -> Read {
        TrafficPolicy::parse(text).map_err(|mistakes| {
            let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
            format!("is no policy: {}", mistakes.join("; "))
        })
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
