//! What an operator says about access, for all sessions together.

use std::time::Duration;

use crate::domain::Origin;
use crate::limits;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nobody opens a session without a grant.
    #[default]
    Closed,
    /// The gate is elsewhere: whoever gets here may open everything.
    Open,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub mode: Mode,
    /// There is somewhere to sign in.
    pub sign_in: bool,
    pub grant_lifetime: Duration,
    /// Whether the policy `public` means what it says.
    pub public_sessions: bool,
    /// Whether others than the owner may open a session by path, where all sessions are one origin
    /// to a browser and each can act as whoever looks at it.
    pub path_sharing: bool,
    /// Besides `X-Connect-Sub`: names of fields in which the tool is told who asks.
    pub identity_fields: Vec<String>,
    pub origins: AllowedOrigins,
}

/// Whose pages may call sessions, and frame them: the platform's, above all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigins {
    list: Vec<Origin>,
    frame_ancestors: String,
}

impl AllowedOrigins {
    pub fn new(list: Vec<Origin>) -> Self {
        let add = |text, origin| format!("{text} {origin}");
        let frame_ancestors = list.iter().fold("'self'".to_owned(), add);
        Self { list, frame_ancestors }
    }

    pub fn contains(&self, origin: &Origin) -> bool {
        self.list.contains(origin)
    }

    /// With the session itself, as `frame-ancestors` has them.
    pub fn frame_ancestors(&self) -> &str {
        &self.frame_ancestors
    }
}

impl Default for AllowedOrigins {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Gate {
    pub fn open() -> Self {
        Self { mode: Mode::Open, ..Self::default() }
    }

    pub fn is_closed(&self) -> bool {
        match self.mode {
            Mode::Closed => true,
            Mode::Open => false,
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            mode: Mode::Closed,
            sign_in: false,
            grant_lifetime: limits::GRANT_LIFETIME_DEFAULT,
            public_sessions: false,
            path_sharing: false,
            identity_fields: Vec::new(),
            origins: AllowedOrigins::default(),
        }
    }
}
