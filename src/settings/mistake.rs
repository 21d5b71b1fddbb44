//! What is wrong with the settings, in a form that the reader can act on: which key, where the
//! value came from, what is wrong, what to do.

use std::fmt;

use super::collect::Origin;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// A key, or the name of what was found instead of one.
    pub name: String,
    pub origin: Option<Origin>,
    pub wrong: String,
    pub fix: String,
}

/// All mistakes of one start; never empty when used as an error.
#[derive(Debug, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

/// What a parser of one value has to say; the key and its origin are added by who called it.
#[derive(Debug)]
pub struct Wrong {
    pub wrong: String,
    pub fix: String,
}

impl Wrong {
    pub fn new(wrong: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), fix: fix.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(origin) = &self.origin {
            write!(f, " (from {origin})")?;
        }
        write!(f, ": {}\n    fix: {}", self.wrong, self.fix)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("one mistake in the settings")?,
            count => write!(f, "{count} mistakes in the settings")?,
        }
        for mistake in &self.0 {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}
