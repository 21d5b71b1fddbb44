//! The upstream of a session: where its tool listens, as the platform wrote it. Whether Portico may
//! connect there is decided in `network`, for every resolved address, each time.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// `http://host:port`, parsed: no path, user or query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Upstream {
    pub host: Host,
    pub port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Host {
    Address(IpAddr),
    /// A DNS name, lower case, resolved when connecting.
    Name(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    #[error("must start with http:// (TLS towards a session is not supported)")]
    Scheme,
    #[error("must be http://host:port with nothing behind the port")]
    Path,
    #[error("has no valid host")]
    Host,
    #[error("has no valid port")]
    Port,
}

impl Upstream {
    /// The address, when no name has to be resolved.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(_) => None,
        }
    }

    /// `host:port` as a `Host` header carries it (port 80 is left out, RFC 9110 §4.2.1). Written
    /// when it is needed: few requests do, and a million sessions would keep it for nothing.
    pub fn authority(&self) -> String {
        let mut text = Vec::new();
        self.write_authority(&mut text);
        String::from_utf8(text).expect("addresses, names and numbers are text")
    }

    pub fn write_authority(&self, out: &mut Vec<u8>) {
        let written = match &self.host {
            Host::Address(IpAddr::V6(ip)) => write!(out, "[{ip}]"),
            Host::Address(IpAddr::V4(ip)) => write!(out, "{ip}"),
            Host::Name(name) => write!(out, "{name}"),
        };
        let written = match self.port {
            80 => written,
            port => written.and_then(|()| write!(out, ":{port}")),
        };
        written.expect("memory takes all that is written to it");
    }
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let rest = text.strip_prefix("http://").ok_or(UpstreamError::Scheme)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(UpstreamError::Path);
        }
        if let Ok(address) = authority.parse::<SocketAddr>() {
            return with_port(Host::Address(address.ip()), address.port());
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => {
                (host, port_number(port).ok_or(UpstreamError::Port)?)
            }
            _ => (authority, 80),
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse() {
            return with_port(Host::Address(ip), port);
        }
        // Lower case before it is judged: what is stored must be what was judged.
        let name = host.to_ascii_lowercase();
        if !is_dns_name(&name) {
            return Err(UpstreamError::Host);
        }
        with_port(Host::Name(name.into()), port)
    }
}

/// Digits alone: the library's parser takes a sign, too.
fn port_number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn with_port(host: Host, port: u16) -> Result<Upstream, UpstreamError> {
    if port == 0 { Err(UpstreamError::Port) } else { Ok(Upstream { host, port }) }
}

/// Lower-case letters, digits, `-` and `_` in labels of at most 63, 253 in all. A name whose last
/// label is a number is refused: resolvers read such names as addresses in forms (`0x7f.1`) that
/// hide a target.
fn is_dns_name(name: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(label) && !numeric
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(ip)) => write!(f, "http://[{ip}]:{}", self.port),
            Host::Address(IpAddr::V4(ip)) => write!(f, "http://{ip}:{}", self.port),
            Host::Name(name) => write!(f, "http://{name}:{}", self.port),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_are_upstreams() {
        for (text, shown) in [
            ("http://10.0.0.7:8888", "http://10.0.0.7:8888"),
            ("http://10.0.0.7", "http://10.0.0.7:80"),
            ("http://[::1]:8888/", "http://[::1]:8888"),
            ("http://[fd00::1]", "http://[fd00::1]:80"),
            ("http://Jupyter-0.svc:8888", "http://jupyter-0.svc:8888"),
        ] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn forms_that_are_not() {
        for (text, why) in [
            ("https://10.0.0.7", UpstreamError::Scheme),
            ("10.0.0.7:80", UpstreamError::Scheme),
            ("http://10.0.0.7/x", UpstreamError::Path),
            ("http://u@10.0.0.7", UpstreamError::Path),
            ("http://", UpstreamError::Host),
            ("http://a b", UpstreamError::Host),
            ("http://0x7f.1:80", UpstreamError::Host),
            ("http://0x7f000001:80", UpstreamError::Host),
            ("http://0X7f000001:80", UpstreamError::Host),
            ("http://a.0X7F", UpstreamError::Host),
            ("http://2130706433", UpstreamError::Host),
            ("http://a:0", UpstreamError::Port),
            ("http://a:+80", UpstreamError::Port),
            ("http://10.0.0.1:+80", UpstreamError::Port),
            ("http://a:99999", UpstreamError::Port),
        ] {
            assert_eq!(text.parse::<Upstream>(), Err(why), "{text}");
        }
    }

    /// Stores hold the shown form and read it back: one that is shown must be one that is read.
    #[track_caller]
    fn read_back(text: &str) -> bool {
        let Ok(upstream) = text.parse::<Upstream>() else { return false };
        let shown = upstream.to_string();
        assert_eq!(shown.parse::<Upstream>(), Ok(upstream), "{text:?} is shown as {shown:?}");
        true
    }

    #[test]
    fn what_is_shown_is_read_back_as_the_same() {
        for text in [
            "http://10.0.0.7",
            "http://[10.0.0.7]:80",
            "http://[::ffff:10.0.0.7]:80",
            "http://[fe80::1%3]:80",
            "http://::1",
            "http://fe80::1:80",
            "http://Jupyter-0.SVC:8888/",
            "http://0x7g.example",
            "http://_a-.0.x0",
            "http://a:+80",
        ] {
            read_back(text);
        }
    }

    #[test]
    fn what_is_shown_of_random_names_is_read_back_as_the_same() {
        const ALPHABET: &[u8] = b"aAxXzZ0019-_..:[]%/+ ";
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            // xorshift64: the same names in each run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut accepted = 0;
        for _ in 0..100_000 {
            let length = 1 + next(9);
            let name: String =
                (0..length).map(|_| char::from(ALPHABET[next(ALPHABET.len())])).collect();
            accepted += usize::from(read_back(&format!("http://{name}")));
            accepted += usize::from(read_back(&format!("http://{name}:80")));
        }
        assert!(accepted > 10_000, "{accepted} of the names are upstreams at all");
    }
}
