//! The load tool: closed loops over many connections from one thread, cheaper than what it
//! measures. It knows addresses and a Host header, never which proxy it talks to.
#![allow(unsafe_code)]

pub mod connection;
pub mod echo;
pub mod engine;
pub mod get;
pub mod head;
pub mod idle;
pub mod kernel;
pub mod latency;
pub mod stalled;

use std::net::SocketAddr;
use std::time::Duration;

/// Where the load goes: the proxy's traffic listener, and the Host header of the session.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    pub host: String,
}

/// One closed-loop run.
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
