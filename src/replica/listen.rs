//! All listeners of a replica, and the addresses of this machine.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use portico_control::replica::Role;
use portico_proxy::{ListenerSettings, Listeners, StartError};
use tokio::net::TcpListener;

use super::addresses::Addresses;
use crate::failure::{Failure, Outcome};
use crate::settings::{Mistake, Mistakes, Settings};

pub struct Bound {
    pub traffic: Option<Listeners>,
    pub control: Option<TcpListener>,
    pub management: Option<TcpListener>,
    pub addresses: Addresses,
}

impl Bound {
    /// Everything is bound before anything runs: a port in use must not leave half a process, and
    /// the rule for upstreams has to know all of our own addresses. All that fails is told at once.
    pub fn bind(role: Role, settings: &Settings) -> Outcome<Self> {
        let traffic = role.has_proxy().then(|| traffic(settings)).transpose();
        let control = role.has_control().then(|| bind("control.listen", settings.control.listen));
        let management = settings.management.map(|address| bind("management.listen", address));
        match (traffic, control.transpose(), management.transpose()) {
            (Ok(traffic), Ok(control), Ok(management)) => {
                let (traffic_at, control_at) = (traffic.as_ref(), control.as_ref());
                let listeners = &settings.proxy.listeners;
                let addresses =
                    Addresses::of(listeners, traffic_at, control_at, management.as_ref())?;
                Ok(Self { traffic, control, management, addresses })
            }
            (traffic, control, management) => {
                let failures = [traffic.err(), control.err(), management.err()];
                let failure = failures.into_iter().flatten().reduce(Failure::and);
                Err(failure.expect("one of the three failed, or the first arm would match"))
            }
        }
    }
}

/// The data plane stops at its first; what else is wrong is found by binding each alone.
fn traffic(settings: &Settings) -> Outcome<Listeners> {
    let listeners = &settings.proxy.listeners;
    Listeners::bind(listeners, settings.proxy.workers).map_err(|first| {
        let alone = |listener| Listeners::bind(std::slice::from_ref(listener), 1).err();
        let all = listeners.iter().filter_map(alone).map(|error| of_traffic(listeners, error));
        // None when what was in the way is gone by now.
        all.reduce(Failure::and).unwrap_or_else(|| of_traffic(listeners, first))
    })
}

fn of_traffic(listeners: &[ListenerSettings], error: StartError) -> Failure {
    match error {
        StartError::Bind { address, source } => {
            let tls = listeners.iter().any(|listener| listener.address == address && listener.tls);
            refused(if tls { "proxy.https" } else { "proxy.http" }, address, &source)
        }
        other => other.into(),
    }
}

fn bind(key: &str, address: SocketAddr) -> Outcome<TcpListener> {
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    bound.map_err(|error| refused(key, address, &error))
}

/// An address that cannot be had, and why.
pub struct Obstacle {
    pub address: SocketAddr,
    pub error: Error,
    pub mistake: Mistake,
}

/// What is in the way of each listener, found by binding it for a moment.
pub fn obstacles(settings: &Settings) -> Vec<Obstacle> {
    let found = |key: &str, address: SocketAddr, error: Error| Obstacle {
        address,
        mistake: mistake(key, address, &error),
        error,
    };
    let traffic = settings.proxy.listeners.iter().filter_map(|listener| {
        let key = if listener.tls { "proxy.https" } else { "proxy.http" };
        match Listeners::bind(std::slice::from_ref(listener), 1) {
            Err(StartError::Bind { address, source }) => Some(found(key, address, source)),
            _ => None,
        }
    });
    let others = [
        ("control.listen", Some(settings.control.listen)),
        ("management.listen", settings.management),
    ];
    let others = others.into_iter().filter_map(|(key, address)| {
        let address = address?;
        let error = std::net::TcpListener::bind(address).err()?;
        Some(found(key, address, error))
    });
    traffic.chain(others).collect()
}

fn refused(key: &str, address: SocketAddr, error: &Error) -> Failure {
    let mistake = mistake(key, address, error);
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
            Failure::machine(Mistakes(vec![mistake]))
        }
        _ => Failure::settings(Mistakes(vec![mistake])),
    }
}

/// `key` is the setting to correct.
fn mistake(key: &str, address: SocketAddr, error: &Error) -> Mistake {
    let fix = match error.kind() {
        ErrorKind::AddrInUse => "stop what listens there (`ss -ltnp` names it), or choose another",
        ErrorKind::AddrNotAvailable => {
            "choose an address of this machine (`ip address` lists them), or 0.0.0.0 for all"
        }
        ErrorKind::PermissionDenied if address.port() < PORT_FREE_MIN => {
            "give the process CAP_NET_BIND_SERVICE (AmbientCapabilities= in systemd), or choose a \
             port from 1024 up"
        }
        _ => "choose another address",
    };
    let wrong = format!("cannot listen on {address}: {error}");
    Mistake { name: key.to_owned(), origin: None, wrong, fix: fix.to_owned() }
}

/// `net.ipv4.ip_unprivileged_port_start` unless somebody changed it.
const PORT_FREE_MIN: u16 = 1024;

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
    fn a_refused_address_says_what_to_do() {
        for (code, port, fix, fault) in [
            (Errno::EACCES, 443, "CAP_NET_BIND_SERVICE", "64"),
            (Errno::EACCES, 8443, "choose another address", "64"),
            (Errno::EADDRINUSE, 443, "ss -ltnp", "64"),
            (Errno::EADDRNOTAVAIL, 443, "ip address", "64"),
            (Errno::EMFILE, 443, "choose another", "69"),
        ] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let error = Error::from_raw_os_error(code as i32);
            let failure = refused("proxy.https", address, &error);
            let told = failure.to_string();
            assert!(told.contains("proxy.https: cannot listen on 127.0.0.1:"), "{told}");
            assert!(told.contains(fix), "{told}");
            assert!(format!("{:?}", failure.code()).contains(fault), "{told}");
        }
    }

    #[test]
    fn loopback_is_one_of_our_addresses() {
        assert!(own_addresses().unwrap().iter().any(IpAddr::is_loopback));
    }
}
