//! The names that Portico answers to: the connect host, the session domain, and how a `Host` maps
//! to one of them. Children (`abcd.connect.example.com`) and siblings
//! (`connect.studios.example.com` with `abcd.studios.example.com`) of the connect host are both
//! session hosts.

use crate::label::Label;
use crate::limits;
use crate::redact::redact_url;
use crate::session::Routing;

/// The path prefix of path routing, fixed by what today's installs use.
pub const PATH_PREFIX: &str = "/_studio/";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains {
    pub connect: Origin,
    pub session_domain: String,
    /// The Platform's own, which no session may take.
    pub platform_host: Option<String>,
}

/// Scheme, host and port of a URL without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub scheme: Scheme,
    pub host: String,
    /// Absent when it is the scheme's own.
    pub port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// What a `Host` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    Connect,
    Session(LabelText),
    Unknown,
}

/// A label as it came in a URL, in lower case, not yet known to be a session's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LabelText {
    bytes: [u8; limits::LABEL_BYTES_MAX],
    len: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    #[error("`{0}` is not a URL like https://connect.example.com (no path, user or query)")]
    NotAnOrigin(String),
    #[error("`{0}` is an IPv6 address: browsers and certificates need a name here")]
    Ipv6(String),
    #[error("`{0}` is not a domain name")]
    NotADomain(String),
    #[error(
        "{ours} and the Platform's {platform} must share one registrable domain \
         ({ours_root} is not {platform_root}): browsers keep cookies and frames apart otherwise"
    )]
    DifferentRoot { ours: String, ours_root: String, platform: String, platform_root: String },
    #[error(
        "the session domain {session} and the connect host {connect} must share one registrable \
         domain"
    )]
    SessionRoot { session: String, connect: String },
}

/// A session domain as an operator writes it, the wildcard of DNS allowed.
pub fn parse_session_domain(text: &str) -> Result<String, DomainError> {
    let domain = text.trim_start_matches("*.").to_ascii_lowercase();
    if is_host(&domain) { Ok(domain) } else { Err(DomainError::NotADomain(redact_url(&domain))) }
}

/// What contradicts what among those of the three that are known, so that all of it is told.
pub fn contradictions(
    connect: Option<&Origin>,
    platform: Option<&Origin>,
    session_domain: Option<&str>,
) -> Vec<DomainError> {
    let connect = connect.map(|connect| connect.host.as_str());
    let session = session_domain.zip(connect).and_then(|(session, connect)| {
        (registrable(session) != registrable(connect)).then(|| DomainError::SessionRoot {
            session: session.to_owned(),
            connect: connect.to_owned(),
        })
    });
    let platform = connect.or(session_domain).zip(platform).and_then(|(ours, platform)| {
        let (ours_root, platform_root) = (registrable(ours), registrable(&platform.host));
        (ours_root != platform_root).then(|| DomainError::DifferentRoot {
            ours: ours.to_owned(),
            ours_root: ours_root.to_owned(),
            platform: platform.host.clone(),
            platform_root: platform_root.to_owned(),
        })
    });
    session.into_iter().chain(platform).collect()
}

impl Domains {
    /// `session_domain` defaults to the host of `connect_url`.
    pub fn new(
        connect_url: &str,
        platform_url: Option<&str>,
        session_domain: Option<&str>,
    ) -> Result<Self, DomainError> {
        let connect = Origin::parse(connect_url)?;
        let platform = platform_url.map(Origin::parse).transpose()?;
        let session_domain = session_domain.map(parse_session_domain).transpose()?;
        Self::of(connect, platform, session_domain)
    }

    /// The first contradiction, when there is one.
    pub fn of(
        connect: Origin,
        platform: Option<Origin>,
        session_domain: Option<String>,
    ) -> Result<Self, DomainError> {
        let wrong = contradictions(Some(&connect), platform.as_ref(), session_domain.as_deref());
        match wrong.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(Self {
                session_domain: session_domain.unwrap_or_else(|| connect.host.clone()),
                platform_host: platform.map(|platform| platform.host),
                connect,
            }),
        }
    }

    /// Whether sessions can have hosts of their own: an address has no subdomains.
    pub fn has_subdomains(&self) -> bool {
        !is_address(&self.session_domain)
    }

    /// `host` is the host part of `Host` or `:authority`, without port.
    pub fn site(&self, host: &str) -> Site {
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.eq_ignore_ascii_case(&self.connect.host) {
            return Site::Connect;
        }
        let Some(split) = host.len().checked_sub(self.session_domain.len() + 1) else {
            return Site::Unknown;
        };
        let (label, rest) = host.as_bytes().split_at(split);
        let below =
            rest[0] == b'.' && rest[1..].eq_ignore_ascii_case(self.session_domain.as_bytes());
        match LabelText::new(label) {
            Some(label) if below => Site::Session(label),
            _ => Site::Unknown,
        }
    }

    /// A label that would name the connect host itself, or the Platform's.
    pub fn is_reserved(&self, label: &Label) -> bool {
        let host = format!("{label}.{}", self.session_domain);
        self.connect.host == host || self.platform_host.as_ref() == Some(&host)
    }

    pub fn subdomain_url(&self, label: &Label) -> String {
        let Origin { scheme, port, .. } = &self.connect;
        let port = port.map(|p| format!(":{p}")).unwrap_or_default();
        format!("{}://{label}.{}{port}/", scheme.as_str(), self.session_domain)
    }

    pub fn path_url(&self, label: &Label) -> String {
        format!("{}{PATH_PREFIX}{label}/", self.connect)
    }

    /// `(subdomain, path)`, each where the session answers on it.
    pub fn urls(&self, label: &Label, routing: Routing) -> (Option<String>, Option<String>) {
        (
            routing.has_subdomain().then(|| self.subdomain_url(label)),
            routing.has_path().then(|| self.path_url(label)),
        )
    }
}

impl Origin {
    pub fn parse(url: &str) -> Result<Self, DomainError> {
        let wrong = || DomainError::NotAnOrigin(redact_url(url));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(wrong()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => {
                (host.to_owned(), Some(port.parse::<u16>().map_err(|_| wrong())?))
            }
            _ => (authority, None),
        };
        if host.starts_with('[') {
            return Err(DomainError::Ipv6(redact_url(&host)));
        }
        if !is_host(&host) || port == Some(0) {
            return Err(wrong());
        }
        Ok(Self { scheme, host, port: port.filter(|p| *p != scheme.default_port()) })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl LabelText {
    /// None for what can be no label: empty, too long, or with another character than a label's.
    pub fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; limits::LABEL_BYTES_MAX];
        if text.is_empty() || text.len() > bytes.len() {
            return None;
        }
        for (to, from) in bytes.iter_mut().zip(text) {
            if !from.is_ascii_alphanumeric() && *from != b'-' {
                return None;
            }
            *to = from.to_ascii_lowercase();
        }
        Some(Self { bytes, len: text.len() as u8 })
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl std::fmt::Debug for LabelText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The registrable domain by the public-suffix list; `localhost` (RFC 6761 §6.3) and its children
/// are one, and an address is its own.
fn registrable(host: &str) -> &str {
    if host == "localhost" || host.ends_with(".localhost") {
        return "localhost";
    }
    if is_address(host) {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

/// The host and the domains above it for which it may set cookies, down to the registrable one.
pub fn parents(host: &str) -> impl Iterator<Item = &str> {
    let top = registrable(host);
    let mut next = (!is_address(host) && top != "localhost").then_some(host);
    std::iter::from_fn(move || {
        let domain = next?;
        let above = domain.split_once('.').map(|(_, above)| above);
        next = above.filter(|_| domain.len() > top.len());
        Some(domain)
    })
    .take(8)
}

/// Browsers read every host whose last label is a number as an IPv4 address (WHATWG URL, "ends in a
/// number checker").
fn is_address(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())
}

fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests;
