//! Who sent a request, as far as the edge knows: what the forwarding headers are written from.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
        match self.address.ip() {
            IpAddr::V4(ip) => write_v4(ip, out),
            IpAddr::V6(ip) => drop(write!(Text(out), "\"[{ip}]\"")),
        }
    }

    pub(super) fn write_address(&self, out: &mut Vec<u8>) {
        match self.address.ip() {
            IpAddr::V4(ip) => write_v4(ip, out),
            IpAddr::V6(ip) => drop(write!(Text(out), "{ip}")),
        }
    }
}

/// As `Display` does, without the formatter: each request has it twice.
fn write_v4(ip: Ipv4Addr, out: &mut Vec<u8>) {
    let mut text = [0; "255.255.255.255.".len()];
    let mut length = 0;
    for octet in ip.octets() {
        for (divisor, is_written) in [(100, octet >= 100), (10, octet >= 10), (1, true)] {
            text[length] = b'0' + octet / divisor % 10;
            length += usize::from(is_written);
        }
        text[length] = b'.';
        length += 1;
    }
    out.extend_from_slice(&text[..length - 1]);
}

/// Formats into bytes; a `Vec` cannot fail.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_the_library_does() {
        for number in (0..=u32::MAX).step_by(65_521) {
            let ip = Ipv4Addr::from(number);
            let mut out = Vec::new();
            write_v4(ip, &mut out);
            assert_eq!(out, ip.to_string().as_bytes());
        }
    }
}
