//! The names that Portico answers to: the connect host, the session domain, and how a `Host` maps
//! to one of them. Children (`abcd.connect.example.com`) and siblings
//! (`connect.studios.example.com` with `abcd.studios.example.com`) of the connect host are both
//! session hosts.

use crate::label::Label;
use crate::limits;
use crate::session::Routing;

/// The path prefix of path routing, fixed by what today's installs use.
pub const PATH_PREFIX: &str = "/_studio/";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains {
    pub connect: Origin,
    pub session_domain: String,
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

impl Domains {
    /// `session_domain` defaults to the host of `connect_url`.
    pub fn new(
        connect_url: &str,
        platform_url: Option<&str>,
        session_domain: Option<&str>,
    ) -> Result<Self, DomainError> {
        let connect = Origin::parse(connect_url)?;
        let session_domain = match session_domain {
            None => connect.host.clone(),
            Some(domain) => {
                let domain = domain.trim_start_matches("*.").to_ascii_lowercase();
                if !is_host(&domain) {
                    return Err(DomainError::NotADomain(domain));
                }
                domain
            }
        };
        if registrable(&session_domain) != registrable(&connect.host) {
            return Err(DomainError::SessionRoot {
                session: session_domain,
                connect: connect.host,
            });
        }
        if let Some(platform) = platform_url {
            let platform = Origin::parse(platform)?;
            let (ours, theirs) = (registrable(&session_domain), registrable(&platform.host));
            if ours != theirs {
                return Err(DomainError::DifferentRoot {
                    ours_root: ours.to_owned(),
                    platform_root: theirs.to_owned(),
                    ours: session_domain.clone(),
                    platform: platform.host,
                });
            }
        }
        Ok(Self { connect, session_domain })
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

    /// A label that would name the connect host itself.
    pub fn is_reserved(&self, label: &Label) -> bool {
        let host = format!("{label}.{}", self.session_domain);
        self.connect.host == host
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
        let wrong = || DomainError::NotAnOrigin(url.to_owned());
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
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host;
    }
    psl::domain_str(host).unwrap_or(host)
}

fn is_host(host: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Site {
        Site::Session(LabelText::new(text.as_bytes()).unwrap())
    }

    #[test]
    fn children_of_the_connect_host() {
        let d =
            Domains::new("https://connect.example.com", Some("https://example.com"), None).unwrap();
        assert_eq!(d.site("connect.example.com"), Site::Connect);
        assert_eq!(d.site("Connect.Example.Com."), Site::Connect);
        assert_eq!(d.site("A1b2.connect.example.com"), label("a1b2"));
        for other in [
            "example.com",
            "x.example.com",
            "a.b.connect.example.com",
            "",
            ".",
            ".connect.example.com",
            "aconnect.example.com",
        ] {
            assert_eq!(d.site(other), Site::Unknown, "{other}");
        }
    }

    #[test]
    fn siblings_of_the_connect_host() {
        let d = Domains::new(
            "https://connect.studios.example.com",
            Some("https://platform.example.com"),
            Some("*.studios.example.com"),
        )
        .unwrap();
        assert_eq!(d.site("connect.studios.example.com"), Site::Connect);
        assert_eq!(d.site("abcd.studios.example.com"), label("abcd"));
        assert!(d.is_reserved(&Label::parse("connect").unwrap()));
        let (subdomain, path) = d.urls(&Label::parse("abcd").unwrap(), Routing::Both);
        assert_eq!(subdomain.unwrap(), "https://abcd.studios.example.com/");
        assert_eq!(path.unwrap(), "https://connect.studios.example.com/_studio/abcd/");
    }

    #[test]
    fn another_registrable_domain_is_refused_by_name() {
        let e = Domains::new("https://connect.example.org", Some("https://example.com"), None);
        let text = e.unwrap_err().to_string();
        assert!(text.contains("connect.example.org") && text.contains("example.com"), "{text}");
        // co.uk is a public suffix: two of its children are strangers.
        assert!(Domains::new("https://c.one.co.uk", Some("https://two.co.uk"), None).is_err());
        assert!(Domains::new("https://c.one.co.uk", Some("https://p.one.co.uk"), None).is_ok());
        assert!(
            Domains::new("http://connect.localhost:8080", Some("http://localhost"), None).is_ok()
        );
        assert!(Domains::new("https://c.example.com", None, Some("example.org")).is_err());
    }

    #[test]
    fn origins() {
        assert_eq!(
            Origin::parse("HTTPS://A.example.com:443/").unwrap().to_string(),
            "https://a.example.com"
        );
        assert_eq!(
            Origin::parse("http://localhost:8080").unwrap().to_string(),
            "http://localhost:8080"
        );
        for bad in [
            "connect.example.com",
            "ftp://x",
            "https://a/b",
            "https://u@a",
            "https://a:0",
            "https://",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
