//! How a process ends that could not go on: the exit code says whose turn it is, the message says
//! what to do.

use std::process::ExitCode;

use portico_control::store::StoreError;
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
        if !error.is_settings() {
            return Self::machine(error);
        }
        let fix = match &error {
            StoreError::Directory { .. } => {
                "give this user the directory, or choose another, as in \
                 --store-url embedded:./portico-data"
            }
            StoreError::InUse { .. } => "stop the other process, or choose another directory",
            _ => "correct it; `portico settings` shows how it is written",
        };
        let mistake = Mistake {
            name: "store.url".to_owned(),
            origin: None,
            wrong: format!("{:#}", anyhow::Error::from(error)),
            fix: fix.to_owned(),
        };
        Mistakes(vec![mistake]).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
