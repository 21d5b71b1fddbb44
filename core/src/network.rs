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

/// Metadata and credential services of clouds that are not link-local, which `check` refuses by
/// itself. Each is the same address in every network of its cloud.
const METADATA: [IpAddr; 8] = [
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure's wireserver.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Oracle Cloud, before it moved to 169.254.169.254; over IPv6.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    // AWS: the instance's metadata; the credentials of an EKS pod.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Google Cloud.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Scaleway.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

impl UpstreamNetworks {
    pub fn check(&self, address: SocketAddr) -> Result<(), Refused> {
        let ip = translated(address.ip().to_canonical());
        for meant in possible_translations(ip).into_iter().flatten().chain([ip]) {
            self.check_dangerous(SocketAddr::new(meant, address.port()))?;
        }
        match ip {
            IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0 => {
                return Err(Refused::NotAHost);
            }
            _ if ip.is_unspecified() || ip.is_multicast() => return Err(Refused::NotAHost),
            _ => {}
        }
        if !self.allowed.is_empty() && !self.allowed.iter().any(|net| net.contains(&ip)) {
            return Err(Refused::NotAllowed);
        }
        Ok(())
    }

    fn check_dangerous(&self, address: SocketAddr) -> Result<(), Refused> {
        let ip = address.ip();
        if METADATA.contains(&ip) {
            return Err(Refused::Metadata);
        }
        let link_local = match ip {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        if link_local {
            return Err(Refused::LinkLocal);
        }
        if self.own_listeners.iter().any(|own| self.reaches(address, *own)) {
            return Err(Refused::OwnListener);
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

/// The IPv4 address that a NAT64 address of the well-known prefix stands for (RFC 6052 §2.1).
fn translated(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        ip => ip,
    }
}

/// What an address of the NAT64 prefix for local use (64:ff9b:1::/48, RFC 8215) may stand for. A
/// network takes a prefix out of it whose length, and with it the place of the IPv4 address (RFC
/// 6052 §2.2), is known to its translator only. So it is refused when any of them is dangerous,
/// and an operator's list of allowed networks must name the IPv6 address itself.
fn possible_translations(ip: IpAddr) -> Option<[IpAddr; 4]> {
    // The octets of the IPv4 address for prefixes of 48, 56, 64 and 96 bits; octet 8 is skipped.
    const PLACES: [[usize; 4]; 4] =
        [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
    match ip {
        IpAddr::V6(v6) if v6.segments()[..3] == [0x64, 0xff9b, 1] => {
            let octets = v6.octets();
            Some(PLACES.map(|place| IpAddr::V4(Ipv4Addr::from(place.map(|at| octets[at])))))
        }
        _ => None,
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
        for good in [
            "10.0.0.7:8888",
            "127.0.0.1:8888",
            "[::1]:80",
            "8.8.8.8:443",
            "10.1.1.2:8080",
            "[fd00:ec2::255]:80",
            "[64:ff9b::10.0.0.7]:8888",
            "[64:ff9b:1::10.0.0.7]:8888",
        ] {
            assert_eq!(check(&networks, good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("169.254.169.254:80", Refused::LinkLocal),
            ("[::ffff:169.254.169.254]:80", Refused::LinkLocal),
            ("[64:ff9b::a9fe:a9fe]:80", Refused::LinkLocal),
            ("[fe80::1]:80", Refused::LinkLocal),
            ("[64:ff9b:1::a9fe:a9fe]:80", Refused::LinkLocal),
            ("[64:ff9b:1:a9fe:a9:fe00::]:80", Refused::LinkLocal),
            ("[64:ff9b:1:12a9:fe:a9fe::]:80", Refused::LinkLocal),
            ("[64:ff9b:1:1234:a9:fea9:fe00:0]:80", Refused::LinkLocal),
            ("[64:ff9b:1::168.63.129.16]:80", Refused::Metadata),
            ("[64:ff9b:1::6464:64c8]:80", Refused::Metadata),
            ("[64:ff9b::6464:64c8]:80", Refused::Metadata),
            ("[64:ff9b:1::127.0.0.1]:9000", Refused::OwnListener),
            ("100.100.100.200:80", Refused::Metadata),
            ("168.63.129.16:80", Refused::Metadata),
            ("192.0.0.192:80", Refused::Metadata),
            ("[::ffff:168.63.129.16]:32526", Refused::Metadata),
            ("[fd00:ec2::254]:80", Refused::Metadata),
            ("[fd00:ec2::23]:80", Refused::Metadata),
            ("[fd20:ce::254]:80", Refused::Metadata),
            ("[fd00:42::42]:80", Refused::Metadata),
            ("[fd00:c1::a9fe:a9fe]:80", Refused::Metadata),
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
        assert_eq!(check(&networks, "[64:ff9b::10.0.0.7]:1"), Ok(()));
        // What this stands for is the translator's to say.
        assert_eq!(check(&networks, "[64:ff9b:1::10.0.0.7]:1"), Err(Refused::NotAllowed));
    }
}
