//! What an operator wants counted, and what happens beyond it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use crate::session::Name;

/// Parsed by `Policy::parse`. Without buckets nothing is counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub buckets: Vec<Bucket>,
}

/// One way to tell traffic apart, and what each of what it tells apart may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub name: Name,
    pub quotas: Vec<Quota>,
    /// The first that yields a value decides; a request for which none does is not counted here.
    pub extractors: Vec<Extractor>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub bytes: NonZeroU64,
    pub span: Span,
    pub on_exceed: Action,
}

/// A window's kind and length: quotas that have it alike share what is counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    pub kind: Kind,
    pub length: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Begins with the first byte, and with the first one after its end. Twice the quota may go
    /// through around that end.
    Fixed,
    /// Ends now, always; moves in steps of 1/60.
    Sliding,
}

/// What happens to traffic beyond a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes on, and is told.
    Warn,
    /// It goes on at this pace, which all that is counted in one account have together.
    Throttle { bytes_per_second: NonZeroU64 },
    /// Requests are refused (429) and relays ended.
    Deny,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extractor {
    pub protocol: Protocol,
    pub source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http,
    /// Of today's system; no such traffic passes here.
    Ssh,
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A field of the request, as the client sent it, but for `X-Connect-Sub`, which is `User`.
    Header {
        name: Box<str>,
    },
    /// Of the key that an SSH client used: nothing here.
    Permissions {
        field: Box<str>,
    },
    /// A claim of a token that is not verified: see `quota`.
    Jwt {
        token: TokenPlace,
        claim: Box<str>,
        unverified: Unverified,
    },
    ClientIp,
    Workspace,
    Session,
    User,
}

/// Where a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    Field(Box<str>),
    Cookie(Box<str>),
    /// In the field of this name, or else in the cookie.
    Either(Box<str>),
}

/// Whose tokens are read though nobody has checked their signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// Those that come through a trusted network, whose proxy is taken to have checked them.
    OfTrusted,
    OfAnybody,
}

impl Policy {
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

impl Bucket {
    /// Whether what was counted by one is counted by the other.
    pub fn counts_like(&self, other: &Self) -> bool {
        self.name == other.name && self.extractors == other.extractors
    }
}

impl Span {
    pub fn milliseconds(self) -> u64 {
        self.length.as_millis() as u64
    }

    /// Length of a sub-window of a sliding window.
    pub fn slot_milliseconds(self) -> u64 {
        self.milliseconds().div_ceil(limits::QUOTA_SLOTS).max(1)
    }
}

impl Kind {
    pub const WORDS: &str = "fixed, sliding";

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sliding => "sliding",
        }
    }
}

impl Action {
    pub const WORDS: &str = "deny, throttle, warn";

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Throttle { .. } => "throttle",
            Self::Deny => "deny",
        }
    }
}

impl Protocol {
    pub const WORDS: &str = "http, ssh, any";

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Any => "any",
        }
    }
}

impl Extractor {
    /// Whether it can ever yield something of traffic that passes here.
    pub fn applies(&self) -> bool {
        match (&self.source, self.protocol) {
            (_, Protocol::Ssh) | (Source::Permissions { .. }, _) => false,
            (_, Protocol::Http | Protocol::Any) => true,
        }
    }
}

impl Source {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Header { .. } => "header",
            Self::Permissions { .. } => "permissions",
            Self::Jwt { .. } => "jwt",
            Self::ClientIp => "client_ip",
            Self::Workspace => "workspace",
            Self::Session => "session",
            Self::User => "user",
        }
    }

    /// Whether its values may be somebody's secret, or text that a stranger chose.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Header { .. } | Self::Permissions { .. } | Self::Jwt { .. } => true,
            Self::ClientIp | Self::Workspace | Self::Session | Self::User => false,
        }
    }
}

/// Shared by all accounts of a bucket.
pub type Quotas = Arc<[Quota]>;
