//! Who sent a request, as far as the edge knows: what the forwarding headers are written from.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::domain::Scheme;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The other end of the connection, or who the PROXY header says that it speaks for.
    pub address: SocketAddr,
    /// How the connection came in.
    pub scheme: Scheme,
    pub trust: Trust,
}

/// Whether forwarding headers in the request are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Overwritten: anybody may have written them.
    Stranger,
    /// The address is in `trusted_networks`: appended to.
    Proxy,
}

impl Client {
    pub fn new(address: SocketAddr, scheme: Scheme, trusted_networks: &[IpNet]) -> Self {
        let ip = address.ip().to_canonical();
        let trusted = trusted_networks.iter().any(|network| network.contains(&ip));
        Self {
            address: SocketAddr::new(ip, address.port()),
            scheme,
            trust: if trusted { Trust::Proxy } else { Trust::Stranger },
        }
    }

    /// The node of a `Forwarded` element: RFC 7239 §6 wants IPv6 in brackets and quotes.
    pub(super) fn write_forwarded_node(&self, out: &mut Vec<u8>) {
        let mut text = Text(out);
        let _ = match self.address.ip() {
            IpAddr::V4(ip) => write!(text, "{ip}"),
            IpAddr::V6(ip) => write!(text, "\"[{ip}]\""),
        };
    }

    pub(super) fn write_address(&self, out: &mut Vec<u8>) {
        let _ = write!(Text(out), "{}", self.address.ip());
    }
}

/// Formats into bytes; a `Vec` cannot fail.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
