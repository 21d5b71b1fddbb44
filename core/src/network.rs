//! Where Portico may connect to. An upstream is written by whoever holds an API token; this is what
//! keeps it from being the cloud's metadata service or Portico's own API. Asked twice: when a
//! session is registered with an address, and at each connect for the address that a name resolved
//! to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

#[derive(Debug, Clone, Default)]
pub struct UpstreamNetworks {
    /// Empty: everywhere but the addresses that are never allowed.
    pub allowed: Vec<IpNet>,
    /// The addresses that Portico itself listens on, as bound.
    pub own_listeners: Vec<SocketAddr>,
    /// This machine's addresses, which a listener bound to `0.0.0.0` answers on.
    pub own_addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("is a link-local address")]
    LinkLocal,
    #[error("is a cloud's metadata address")]
    Metadata,
    #[error("is not an address of one host")]
    NotAHost,
    #[error("is a listener of Portico itself")]
    OwnListener,
    #[error("is in none of the allowed upstream networks (setting `upstream_networks`)")]
    NotAllowed,
}

/// Metadata services that are not link-local: AWS over IPv6, Alibaba Cloud, Azure, Oracle Cloud.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

impl UpstreamNetworks {
    pub fn check(&self, address: SocketAddr) -> Result<(), Refused> {
        let ip = embedded(address.ip());
        if METADATA.contains(&ip) {
            return Err(Refused::Metadata);
        }
        match ip {
            IpAddr::V4(v4) if v4.is_link_local() => return Err(Refused::LinkLocal),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => return Err(Refused::LinkLocal),
            IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0 => {
                return Err(Refused::NotAHost);
            }
            _ => {}
        }
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(Refused::NotAHost);
        }
        if self
            .own_listeners
            .iter()
            .any(|own| self.reaches(SocketAddr::new(ip, address.port()), *own))
        {
            return Err(Refused::OwnListener);
        }
        if !self.allowed.is_empty() && !self.allowed.iter().any(|net| net.contains(&ip)) {
            return Err(Refused::NotAllowed);
        }
        Ok(())
    }

    fn reaches(&self, address: SocketAddr, own: SocketAddr) -> bool {
        if address.port() != own.port() {
            return false;
        }
        let own_ip = own.ip().to_canonical();
        own_ip == address.ip()
            || (own_ip.is_unspecified()
                && (address.ip().is_loopback() || self.own_addresses.contains(&address.ip())))
    }
}

/// The IPv4 address inside an IPv4-mapped (RFC 4291 §2.5.5.2) or NAT64 (RFC 6052 §2.1) address.
fn embedded(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(networks: &UpstreamNetworks, address: &str) -> Result<(), Refused> {
        networks.check(address.parse().unwrap())
    }

    #[test]
    fn by_default_everything_but_the_dangerous() {
        let networks = UpstreamNetworks {
            own_listeners: vec!["0.0.0.0:8080".parse().unwrap(), "127.0.0.1:9000".parse().unwrap()],
            own_addresses: vec!["10.1.1.1".parse().unwrap()],
            ..Default::default()
        };
        for good in ["10.0.0.7:8888", "127.0.0.1:8888", "[::1]:80", "8.8.8.8:443", "10.1.1.2:8080"]
        {
            assert_eq!(check(&networks, good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("169.254.169.254:80", Refused::LinkLocal),
            ("[::ffff:169.254.169.254]:80", Refused::LinkLocal),
            ("[64:ff9b::a9fe:a9fe]:80", Refused::LinkLocal),
            ("[fe80::1]:80", Refused::LinkLocal),
            ("[fd00:ec2::254]:80", Refused::Metadata),
            ("100.100.100.200:80", Refused::Metadata),
            ("0.0.0.0:80", Refused::NotAHost),
            ("[::]:80", Refused::NotAHost),
            ("224.0.0.1:80", Refused::NotAHost),
            ("255.255.255.255:80", Refused::NotAHost),
            ("127.0.0.1:9000", Refused::OwnListener),
            ("127.0.0.1:8080", Refused::OwnListener),
            ("127.8.8.8:8080", Refused::OwnListener),
            ("10.1.1.1:8080", Refused::OwnListener),
            ("[::ffff:127.0.0.1]:8080", Refused::OwnListener),
        ] {
            assert_eq!(check(&networks, bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn with_a_list_only_the_list() {
        let networks =
            UpstreamNetworks { allowed: vec!["10.0.0.0/8".parse().unwrap()], ..Default::default() };
        assert_eq!(check(&networks, "10.0.0.7:1"), Ok(()));
        assert_eq!(check(&networks, "[::ffff:10.0.0.7]:1"), Ok(()));
        assert_eq!(check(&networks, "192.168.0.1:1"), Err(Refused::NotAllowed));
        assert_eq!(check(&networks, "169.254.169.254:80"), Err(Refused::LinkLocal));
    }
}
