//! Portico's decisions, as pure functions and state machines: what a session is, which route a
//! host and path name, where an HTTP message ends, which headers cross the edge.
//!
//! Nothing here does I/O, reads a clock, the environment or a file, or spawns: `now` and bytes are
//! parameters, outputs are values. That is what lets the simulator and the fuzzer drive all of it.

#![forbid(unsafe_code)]

pub mod access;
pub mod activity;
pub mod domain;
pub mod http;
pub mod label;
pub mod limits;
pub mod network;
pub mod page;
pub mod path;
pub mod proxy_protocol;
pub mod quota;
pub mod record;
pub mod redact;
pub mod route;
pub mod session;
pub mod template;
pub mod upstream;
pub mod usage;
pub mod workspace;
