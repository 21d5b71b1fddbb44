//! What the data plane is told at its start. Parsed and checked before it gets here.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use portico_core::access::Gate;
use portico_core::domain::Domains;
use portico_core::network::UpstreamNetworks;
use portico_core::quota::Ledger;
use portico_core::route::RouteTable;

use crate::access_log::AccessLog;
use crate::tls::CertificateFiles;

/// The table that whoever feeds it swaps under the workers.
pub type SharedTable = Arc<ArcSwap<RouteTable>>;

#[derive(Debug, Clone)]
pub struct Settings {
    pub listeners: Vec<ListenerSettings>,
    pub io: IoChoice,
    /// At least 1.
    pub workers: usize,
    /// Networks whose forwarding headers are believed.
    pub trusted_networks: Vec<IpNet>,
    pub drain_timeout: Duration,
    pub domains: Domains,
    /// `own_listeners` is filled by the caller once everything is bound.
    pub upstream_networks: UpstreamNetworks,
    pub certificates: Vec<CertificateFiles>,
    pub access_log: AccessLog,
    pub gate: Gate,
    /// Whoever reads the policy replaces it in there; none where there is none.
    pub quotas: Option<Arc<Ledger>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    pub address: SocketAddr,
    pub tls: bool,
    /// Each connection must begin with a PROXY header (version 1 or 2).
    pub proxy_protocol: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IoChoice {
    /// io_uring where it may be used, else epoll.
    #[default]
    Auto,
    Uring,
    Epoll,
}

impl IoChoice {
    pub const WORDS: &str = "auto, uring, epoll";

    pub fn as_str(self) -> &'static str {
        match self {
            IoChoice::Auto => "auto",
            IoChoice::Uring => "uring",
            IoChoice::Epoll => "epoll",
        }
    }
}

impl FromStr for IoChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(IoChoice::Auto),
            "uring" => Ok(IoChoice::Uring),
            "epoll" => Ok(IoChoice::Epoll),
            _ => Err(format!("is not one of {}", Self::WORDS)),
        }
    }
}
