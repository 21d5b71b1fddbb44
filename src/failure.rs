//! How a process ends that could not go on: the exit code says whose turn it is, the message says
//! what to do.

use std::process::ExitCode;

use portico_control::store::StoreError;
use portico_proxy::{Fault, StartError};

use crate::settings::Mistakes;

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

    /// Says what was being done when it failed.
    pub fn while_doing(self, what: impl Into<String>) -> Self {
        Self { fault: self.fault, error: self.error.context(what.into()) }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self.fault {
            Fault::Settings => SETTINGS,
            Fault::Machine => 69,
            Fault::Us => 1,
        })
    }
}

/// `EX_USAGE` of sysexits.h; for a command line that cannot be read, too.
pub const SETTINGS: u8 = 64;

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
        if error.is_settings() { Self::settings(error) } else { Self::machine(error) }
    }
}
