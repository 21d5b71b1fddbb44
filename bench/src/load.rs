//! The load tool: many connections from one thread, cheaper than what it measures, in closed loops
//! or at a fixed rate. It knows addresses, a Host header and a cookie, never which proxy it talks
//! to.
#![allow(unsafe_code)]

pub mod stream;
pub mod tls;
pub mod connection;
pub mod engine;
pub mod paced;
pub mod answer;
pub mod fetch;
pub mod upload;
pub mod echo;
pub mod idle;
pub mod stalled;
pub mod head;
pub mod latency;
pub mod kernel;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

/// Where the load goes: the proxy's traffic listener, and what every request carries.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// The Host header of the session.
    pub host: String,
    /// The value of a Cookie header; none is sent when it is empty.
    pub cookie: String,
    /// Spoken on every connection, where the listener has TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub target: Target,
    pub connections: usize,
    pub warm_up: Duration,
    pub measure: Duration,
}

/// The edges of the measuring window, so that the caller reads its own meters at the same moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Begin,
    End,
}
