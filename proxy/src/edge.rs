//! The door to the edge app, which signs users in and out. It runs on other threads: a worker hands
//! a whole request over and waits for the answer without knowing how it comes about.

use std::net::SocketAddr;
use std::sync::Arc;

use portico_core::access::{Cause, Grant};
use portico_core::domain::Scheme;
use portico_core::http::decide::Door;
use portico_core::route::Route;
use portico_core::session::Timestamp;
use tokio::sync::oneshot;

pub trait EdgeApp: Send + Sync {
    /// Takes a request. The answer comes later, or never, when the receiver sees the sender go.
    fn answer(&self, request: EdgeRequest) -> oneshot::Receiver<EdgeResponse>;

    /// A grant is used that ends with the platform's word for it, of which half is over. Answers
    /// until when the platform has said since that it is good, if it has.
    fn recheck(&self, grant: &Grant, route: &Arc<Route>) -> Option<Timestamp>;

    /// A live connection was ended because its user may use the session no more.
    fn ended(&self, ended: Ended);
}

#[derive(Debug)]
pub struct EdgeRequest {
    pub door: Door,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub authority: String,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub client: SocketAddr,
    pub scheme: Scheme,
}

#[derive(Debug)]
pub struct EdgeResponse {
    pub status: u16,
    /// Without those of the connection and the length.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// For the audit log.
#[derive(Debug, Clone)]
pub struct Ended {
    pub route: Arc<Route>,
    pub user: Option<portico_core::session::Name>,
    pub cause: Cause,
}
