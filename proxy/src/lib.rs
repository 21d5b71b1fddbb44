//! The data plane: listeners, workers, TLS, connections, the upstream pool, relays and metrics.
//!
//! A worker is one pinned thread with its own ring (or epoll), its own listening sockets and its
//! own pool. It reads routes from an immutable table through one atomic pointer; it never talks to
//! the store or the API, and does not know that they exist.

mod settings;
mod listener;
mod start;
pub mod prerequisites;
mod worker;
mod watch;
mod clock;
mod connection;
mod pool;
mod relay;
mod stream;
mod pages;
mod last_errors;
mod edge;
mod presence;
pub mod management;
pub mod explain;
mod access_log;
mod accounting;
mod metrics;
mod tls;
mod io;

pub use access_log::AccessLog;
pub use accounting::{Accounting, AccountingChoice, Meter};
pub use edge::{EdgeApp, EdgeRequest, EdgeResponse, Ended};
pub use explain::Explainer;
pub use listener::Listeners;
pub use presence::{Connected, Presence};
pub use settings::{IoChoice, ListenerSettings, Settings, SharedTable};
pub use start::{Fault, Proxy, StartError};
pub use tls::{CertificateFiles, CertificateReport, TlsError};
