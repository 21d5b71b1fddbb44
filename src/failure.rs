//! How a process ends that could not go on: the exit code says whose turn it is, the message says
//! what to do.

use std::process::ExitCode;

use portico_control::store::redis::ACL_RULES;
use portico_control::store::{RedisFailure, StoreError};
use portico_proxy::{Fault, StartError};

use crate::settings::{Mistake, Mistakes};

/// An error with who can do something about it.
#[derive(Debug)]
pub struct Failure {
    fault: Fault,
    error: anyhow::Error,
}

pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// 64: other settings would help.
    pub fn settings(error: impl Into<anyhow::Error>) -> Self {
        Self { fault: Fault::Settings, error: error.into() }
    }

    /// 69: this machine lacks something.
    pub fn machine(error: impl Into<anyhow::Error>) -> Self {
        Self { fault: Fault::Machine, error: error.into() }
    }

    /// 1: our fault.
    pub fn ours(error: impl Into<anyhow::Error>) -> Self {
        Self { fault: Fault::Us, error: error.into() }
    }

    /// Of two that happened side by side: mistakes are told together, else the first goes first.
    pub fn and(self, other: Self) -> Self {
        let machine = matches!(self.fault, Fault::Machine) || matches!(other.fault, Fault::Machine);
        match (self.error.downcast::<Mistakes>(), other.error.downcast::<Mistakes>()) {
            (Ok(Mistakes(mut all)), Ok(Mistakes(more))) => {
                all.extend(more);
                if machine { Self::machine(Mistakes(all)) } else { Mistakes(all).into() }
            }
            (Ok(mistakes), Err(_)) => mistakes.into(),
            (Err(error), _) => Self { fault: self.fault, error },
        }
    }

    /// Says what was being done when it failed.
    pub fn while_doing(self, what: impl Into<String>) -> Self {
        Self { fault: self.fault, error: self.error.context(what.into()) }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self.fault {
            Fault::Settings => SETTINGS,
            Fault::Machine => MACHINE,
            Fault::Us => 1,
        })
    }
}

/// `EX_USAGE` of sysexits.h; for a command line that cannot be read, too.
pub const SETTINGS: u8 = 64;

/// `EX_UNAVAILABLE`.
pub const MACHINE: u8 = 69;

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::settings(mistakes)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self { fault: error.fault(), error: error.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if !error.is_settings() {
            return Self::machine(error);
        }
        let (name, fix) = key_and_fix(&error);
        let mistake = Mistake {
            name: name.to_owned(),
            origin: None,
            wrong: format!("{:#}", anyhow::Error::from(error)),
            fix,
        };
        Mistakes(vec![mistake]).into()
    }
}

/// Of an error of the store that other settings would help: which ones, and how.
pub fn key_and_fix(error: &StoreError) -> (&'static str, String) {
    const TLS_FILES: &str = "store.ca_file, store.cert_file, store.key_file";
    let (name, fix) = match error {
        StoreError::Directory { .. } => (
            "store.url",
            "give this user the directory, or choose another, as in \
             --store-url embedded:./portico-data",
        ),
        StoreError::InUse { .. } => {
            ("store.url", "stop the other process, or choose another directory")
        }
        StoreError::Redis(failure) => match failure {
            RedisFailure::Prefix(_) => ("store.prefix", "write a plain word, as in portico"),
            RedisFailure::File { .. } => (TLS_FILES, "correct the path, the file or its rights"),
            RedisFailure::Tls(_) => (TLS_FILES, "correct the files: they hold PEM"),
            RedisFailure::Login { .. } => (
                "store.password",
                "correct it, or store.password_file, store.username, or the login in store.url",
            ),
            RedisFailure::Forbidden(_) => {
                let fix = format!(
                    "ACL SETUSER … ~{{portico}}:* {ACL_RULES}, with the store.prefix in the \
                     braces; or another store.username"
                );
                return ("store.username", fix);
            }
            RedisFailure::OtherMode { instead, .. } => {
                return ("store.url", format!("write it as {instead}"));
            }
            RedisFailure::Replica { .. } => {
                ("store.url", "give the primary's address, or redis+sentinel://host:port,…/primary")
            }
            RedisFailure::NoPrimary { .. } => {
                ("store.url", "correct the name behind the hosts; `SENTINEL masters` lists them")
            }
            _ => ("store.url", "correct it; `portico settings` shows how it is written"),
        },
        _ => ("store.url", "correct it; `portico settings` shows how it is written"),
    };
    (name, fix.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_redis_is_told_with_its_key() {
        let address = || "r:6379".to_owned();
        for (failure, name, fix) in [
            (RedisFailure::Prefix("a b".into()), "store.prefix", "plain word"),
            (RedisFailure::Replica { address: address() }, "store.url", "redis+sentinel://"),
            (
                RedisFailure::OtherMode {
                    address: address(),
                    found: "a node of a Cluster",
                    instead: "redis+cluster://host:port,…",
                },
                "store.url",
                "redis+cluster://",
            ),
            (
                RedisFailure::NoPrimary { asked: address(), name: "main".into() },
                "store.url",
                "SENTINEL masters",
            ),
            (
                RedisFailure::File {
                    file: "/ca".into(),
                    source: std::sync::Arc::new(std::io::Error::other("gone")),
                },
                "store.ca_file",
                "the file",
            ),
        ] {
            let failure = Failure::from(StoreError::Redis(failure));
            assert_eq!(failure.code(), ExitCode::from(SETTINGS));
            let text = failure.to_string();
            let (told, told_fix) = text.split_once("\n    fix: ").unwrap();
            assert!(told.contains(&format!("  {name}")) && told_fix.contains(fix), "{text}");
        }
        let old = RedisFailure::TooOld { address: address(), found: "6.2".into() };
        assert_eq!(Failure::from(StoreError::Redis(old)).code(), ExitCode::from(69));
    }

    #[test]
    fn the_exit_code_says_whose_turn_it_is() {
        let error = || anyhow::anyhow!("a reason");
        for (failure, code) in [
            (Failure::settings(error()), 64),
            (Failure::machine(error()), 69),
            (Failure::ours(error()), 1),
        ] {
            assert_eq!(failure.code(), ExitCode::from(code));
            assert_eq!(failure.while_doing("this").code(), ExitCode::from(code));
        }
    }

    #[test]
    fn mistakes_that_happened_side_by_side_are_told_together() {
        let mistake = |name: &str| {
            let (name, text) = (name.to_owned(), "text".to_owned());
            let mistake = Mistake { name, origin: None, wrong: text.clone(), fix: text };
            Failure::from(Mistakes(vec![mistake]))
        };
        let told = mistake("one").and(mistake("two")).to_string();
        assert!(told.contains("one:") && told.contains("two:"), "{told}");
        let other = || Failure::machine(anyhow::anyhow!("no memory"));
        assert_eq!(mistake("one").and(other()).code(), ExitCode::from(64));
        assert_eq!(other().and(mistake("one")).code(), ExitCode::from(69));
    }
}
