//! Why the store in Redis could not do something, and what to do about it. No text here holds a
//! password: addresses are shown as host and port.

use std::path::PathBuf;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    #[error("`{url}` is not the address of a Redis: {reason}")]
    Address { url: String, reason: String },
    #[error(
        "`{0}` cannot be the prefix of Redis keys: write 1 to 128 visible ASCII characters, \
         without quotes, commas, backslashes and braces"
    )]
    Prefix(String),
    #[error("cannot read {}, a file of the TLS settings of Redis", file.display())]
    File { file: PathBuf, source: Arc<std::io::Error> },
    #[error("the TLS settings of Redis cannot be used")]
    Tls(#[source] RedisError),
    #[error("Redis at {address} cannot be reached")]
    Unreachable { address: String, source: RedisError },
    #[error("Redis at {address} refuses the login: check the user name and the password")]
    Login { address: String, source: RedisError },
    #[error(
        "Redis does not let this user do what Portico needs: give it the rules in the \
         documentation of the store"
    )]
    Forbidden(#[source] RedisError),
    #[error("Redis at {address} is version {found}: Portico needs 7.0 or newer")]
    TooOld { address: String, found: String },
    #[error("what answers at {address} is {found}: write the URL as {instead}")]
    OtherMode { address: String, found: &'static str, instead: &'static str },
    #[error(
        "Redis has maxmemory-policy {0} and would evict sessions: set maxmemory-policy noeviction"
    )]
    Evicts(String),
    #[error("{address} is a replica: give the address of the primary, or of the Sentinels")]
    Replica { address: String },
    #[error("{address} is a replica: a failover is under way")]
    Failover { address: String },
    #[error("no Sentinel of {asked} knows a primary named `{name}`")]
    NoPrimary { asked: String, name: String },
    #[error("no node of {asked} knows who has the slot of Portico's keys")]
    NoSlot { asked: String },
    #[error("Redis did not answer in time: look before you try again")]
    Silent,
    #[error("the connection to Redis broke before it answered: look before you try again")]
    Unanswered(#[source] RedisError),
    #[error("no replica of Redis confirmed the write in time: look before you try again")]
    Unconfirmed,
    /// Becomes the error of that name of all stores.
    #[error("the store in Redis is {found} and was {known}")]
    Replaced { known: String, found: String },
    #[error(
        "the store in Redis holds data and has lost its identity: restore it from a backup, or \
         delete its keys to begin anew"
    )]
    Nameless,
    #[error(
        "the store in Redis has form `{0}`, which this Portico does not know: a newer one wrote it"
    )]
    Form(String),
    #[error("Redis refused")]
    Refused(#[source] RedisError),
    #[error("this machine gives no random numbers")]
    Random,
    #[error("Redis answered something that {0} does not answer")]
    Strange(&'static str),
}

impl Failure {
    /// Whether other settings would help, rather than another Redis.
    pub fn is_settings(&self) -> bool {
        match self {
            Self::Address { .. }
            | Self::Prefix(_)
            | Self::File { .. }
            | Self::Tls(_)
            | Self::Login { .. }
            | Self::Forbidden(_)
            | Self::OtherMode { .. }
            | Self::Replica { .. }
            | Self::NoPrimary { .. } => true,
            Self::Unreachable { .. }
            | Self::TooOld { .. }
            | Self::Evicts(_)
            | Self::NoSlot { .. }
            | Self::Silent
            | Self::Unanswered(_)
            | Self::Unconfirmed
            | Self::Replaced { .. }
            | Self::Failover { .. }
            | Self::Nameless
            | Self::Random
            | Self::Form(_)
            | Self::Refused(_)
            | Self::Strange(_) => false,
        }
    }

    /// Whether it may be over later on, with nothing done about it here.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Failover { .. }
            | Self::NoSlot { .. }
            | Self::Silent
            | Self::Unanswered(_) => true,
            Self::Refused(error) => is_elsewhere(error),
            _ => false,
        }
    }

    /// Of a command that was sent.
    pub(super) fn of(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io => Self::Unanswered(error),
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Forbidden(error),
            _ => Self::Refused(error),
        }
    }

    /// Of a connection that was not made.
    pub(super) fn connecting(address: &str, source: RedisError) -> Self {
        let address = address.to_owned();
        let is_login = matches!(source.code(), Some("NOAUTH" | "WRONGPASS"));
        match source.kind() {
            ErrorKind::AuthenticationFailed => Self::Login { address, source },
            ErrorKind::InvalidClientConfig => Self::Tls(source),
            _ if is_login => Self::Login { address, source },
            _ => Self::Unreachable { address, source },
        }
    }
}

/// Whether the server did nothing because it is not, or no longer, the one to ask, or has forgotten
/// the scripts: on a new connection the same may work.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    let moved = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::NoScript
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::BusyLoading
        )
    );
    moved || error.code() == Some("UNBLOCKED")
}
