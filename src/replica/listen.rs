//! All listeners of a replica, and the addresses of this machine.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use nix::ifaddrs::getifaddrs;
use portico_proxy::Listeners;
use tokio::net::TcpListener;

use super::addresses::Addresses;
use crate::failure::{Failure, Outcome};
use crate::settings::Settings;

pub struct Bound {
    pub traffic: Listeners,
    pub control: TcpListener,
    pub management: Option<TcpListener>,
    pub addresses: Addresses,
}

impl Bound {
    /// Everything is bound before anything runs: a port in use must not leave half a process, and
    /// the rule for upstreams has to know all of our own addresses.
    pub fn bind(settings: &Settings) -> Outcome<Self> {
        let traffic = Listeners::bind(&settings.proxy.listeners, settings.proxy.workers)?;
        let control = bind("control.listen", settings.control.listen)?;
        let management = settings.management.map(|address| bind("management.listen", address));
        let management = management.transpose()?;
        let addresses =
            Addresses::of(&settings.proxy.listeners, &traffic, &control, management.as_ref())?;
        Ok(Self { traffic, control, management, addresses })
    }
}

/// `key` is the setting to correct.
fn bind(key: &str, address: SocketAddr) -> Outcome<TcpListener> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    bound.map_err(|error| {
        let kind = error.kind();
        let error =
            anyhow::Error::from(error).context(format!("cannot listen on {address} ({key})"));
        match kind {
            ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => Failure::settings(error),
            _ => Failure::machine(error),
        }
    })
}

/// As of the start: an address that comes later is guarded only by the listeners' own, which is all
/// when they are bound to one address each.
pub fn own_addresses() -> Outcome<Vec<IpAddr>> {
    let interfaces =
        getifaddrs().context("cannot read this machine's addresses").map_err(Failure::machine)?;
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(interfaces.filter_map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_one_of_our_addresses() {
        assert!(own_addresses().unwrap().iter().any(IpAddr::is_loopback));
    }
}
