//! Ports for programs that want theirs in their configuration, and for those that come back to it.
//!
//! Whoever binds port 0, or connects without binding, gets a port of the kernel's own range
//! (`ip_local_port_range`), perhaps the one that was free a moment ago. These lie below it.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Above what services have by their names.
const FIRST: u16 = 15_000;
/// The kernel's own range begins at 32,768 unless somebody moved it.
const COUNT: u16 = 16_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback address on which nobody listens, and which this process gives to nobody else until
/// it has given all others.
pub fn free_address() -> SocketAddr {
    // Processes side by side begin at different places.
    let start = (std::process::id() % u32::from(COUNT / 100) * 100) as u16;
    (0..COUNT)
        .map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("one of 16,000 ports is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_the_same_twice_or_one_of_the_kernels() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let lowest: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
        let mut given: Vec<_> = (0..100).map(|_| free_address().port()).collect();
        assert!(given.iter().all(|&port| port < lowest), "{given:?} {lowest}");
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 100);
    }

    #[test]
    fn who_listens_is_passed_over() {
        let next = free_address().port() + 1;
        let taken = TcpListener::bind(("127.0.0.1", next));
        assert!(taken.is_err() || free_address().port() != next);
    }
}
