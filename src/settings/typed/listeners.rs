//! Listeners against each other: two on one address could not both be bound.

use std::net::SocketAddr;

use super::{EVERYWHERE, LOOPBACK, parse};
use crate::settings::collect::Collected;
use crate::settings::mistake::Wrong;

/// What is wrong with an address itself has been told already.
pub fn apart(c: &mut Collected) {
    let mut seen: Vec<(&str, SocketAddr)> = Vec::new();
    for name in ["proxy.http", "proxy.https", "control.listen", "management.listen"] {
        for address in addresses(c, name) {
            let taken = seen.iter().find(|(_, other)| overlap(*other, address));
            if let Some((by, other)) = taken {
                let wrong = format!("{address} is taken by {by} ({other})");
                let wrong = Wrong::new(wrong, "give one of the two another port");
                let origin = c.origin(name);
                c.mistake(name, origin, wrong);
            }
            seen.push((name, address));
        }
    }
}

fn addresses(c: &Collected, name: &str) -> Vec<SocketAddr> {
    let Some(value) = &c.entry(name).value else { return Vec::new() };
    match name.starts_with("proxy.") {
        true => parse::addresses(value, EVERYWHERE).unwrap_or_default(),
        false => parse::address_or_off(value, LOOPBACK).ok().flatten().into_iter().collect(),
    }
}

/// Every listener on `[::]` takes IPv4 too.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |a: SocketAddr, b: SocketAddr| {
        a.ip().is_unspecified() && (a.is_ipv6() || a.is_ipv4() == b.is_ipv4())
    };
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_where_a_kernel_would_refuse_the_second() {
        for (a, b, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("127.0.0.1:80", "[::1]:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(overlap(a, b), expected, "{a} {b}");
            assert_eq!(overlap(b, a), expected, "{b} {a}");
        }
    }
}
