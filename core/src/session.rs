//! A session: one running tool, its workspace and owner, and where it is. Parsed once at the edge
//! of the system (API or store) into this type, valid for ever after.

mod idle;
mod labels;
mod lifespan;
mod state;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Access;
use crate::label::{Label, SessionId};
use crate::limits;
use crate::upstream::Upstream;

pub use idle::{Idle, IdleError, OnIdle, Verdict};
pub use labels::{Labels, LabelsError};
pub use lifespan::{Lifespan, LifespanError};
pub use state::State;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub label: Label,
    pub workspace: Name,
    pub owner: Name,
    pub tool: Name,
    /// The image that it runs in, as the platform wrote it.
    pub image: Option<Box<str>>,
    /// What the platform wants to find it by; nothing here reads them.
    pub labels: Labels,
    pub upstream: Upstream,
    pub state: State,
    /// Why it is in this state, in words for the user's page ("spot instance reclaimed").
    pub reason: Option<String>,
    pub routing: Routing,
    pub host_header: HostHeader,
    pub prefix: Prefix,
    /// None: until somebody ends it.
    pub lifespan: Option<Lifespan>,
    /// None: however long nobody uses it.
    pub idle: Option<Idle>,
    pub access: Access,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
}

impl Session {
    /// A running session with everything else as it is when nobody says.
    pub fn new(
        id: SessionId,
        workspace: Name,
        owner: Name,
        tool: Name,
        upstream: Upstream,
        now: Timestamp,
    ) -> Self {
        Self {
            label: Label::of(&id),
            id,
            workspace,
            owner,
            tool,
            image: None,
            labels: Labels::default(),
            upstream,
            state: State::Running,
            reason: None,
            routing: Routing::Both,
            host_header: HostHeader::Preserve,
            prefix: Prefix::Keep,
            lifespan: None,
            idle: None,
            access: Access::default(),
            created_at: now,
            changed_at: now,
        }
    }
}

/// Milliseconds since the Unix epoch. `core` never asks for the time; it is given one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_millis() as u64))
    }

    /// None of it for what is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The name of a workspace, an owner or a tool: 1–128 visible ASCII characters without quotes,
/// commas or backslash, so that it can stand in a header, a log line and a metric label.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// On which URLs the session answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    Subdomain,
    Path,
    Both,
}

/// What the tool sees as `Host`: what the browser sent, or the upstream's own address (for tools
/// that refuse foreign host names).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostHeader {
    Preserve,
    Upstream,
}

/// Under path routing: the tool sees `/_studio/<label>/…`, or `/…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    Keep,
    Strip,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("must have 1 to {max} characters", max = limits::NAME_BYTES_MAX)]
    Length,
    #[error("has a character that is not visible ASCII, or one of \" , \\")]
    Character,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not one of {expected}")]
pub struct UnknownWord {
    pub expected: &'static str,
}

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > limits::NAME_BYTES_MAX {
            return Err(NameError::Length);
        }
        let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b'\\');
        if !text.bytes().all(allowed) {
            return Err(NameError::Character);
        }
        Ok(Self(text.into()))
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Routing {
    pub const WORDS: &str = "\"subdomain\", \"path\", or both in a list";

    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownWord> {
        let unknown = UnknownWord { expected: Self::WORDS };
        let (mut subdomain, mut path) = (false, false);
        for word in words {
            match word {
                "subdomain" => subdomain = true,
                "path" => path = true,
                _ => return Err(unknown),
            }
        }
        match (subdomain, path) {
            (true, true) => Ok(Routing::Both),
            (true, false) => Ok(Routing::Subdomain),
            (false, true) => Ok(Routing::Path),
            (false, false) => Err(unknown),
        }
    }

    pub fn words(self) -> &'static [&'static str] {
        match self {
            Routing::Subdomain => &["subdomain"],
            Routing::Path => &["path"],
            Routing::Both => &["subdomain", "path"],
        }
    }

    pub fn has_subdomain(self) -> bool {
        match self {
            Routing::Subdomain | Routing::Both => true,
            Routing::Path => false,
        }
    }

    pub fn has_path(self) -> bool {
        match self {
            Routing::Path | Routing::Both => true,
            Routing::Subdomain => false,
        }
    }
}

impl HostHeader {
    pub const WORDS: &str = "preserve, upstream";

    pub fn as_str(self) -> &'static str {
        match self {
            HostHeader::Preserve => "preserve",
            HostHeader::Upstream => "upstream",
        }
    }
}

impl FromStr for HostHeader {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "preserve" => Ok(HostHeader::Preserve),
            "upstream" => Ok(HostHeader::Upstream),
            _ => Err(UnknownWord { expected: Self::WORDS }),
        }
    }
}
