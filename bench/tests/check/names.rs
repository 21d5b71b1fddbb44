//! The rule of one root domain, and DNS.

use portico_bench::world::dns::Dns;

use super::{Broken, good};

const HERE: [u8; 4] = [127, 0, 0, 1];

fn named(connect: &str, platform: &str) -> Broken {
    good()
        .set("PORTICO_CONNECT_URL", format!("https://{connect}"))
        .set("PORTICO_PLATFORM_URL", format!("https://{platform}"))
        // So that no other name is looked up.
        .set("PORTICO_ROUTING", "path")
}

fn known(dns: &Dns) -> Broken {
    good().set("PORTICO_CONNECT_URL", "https://connect.example.com").launched_by(&dns.launcher())
}

#[test]
fn the_root_domain_is_the_platforms() {
    let dns = Dns::start(&[(".example.com", HERE), ("example.com", HERE)]);
    for (connect, platform) in [
        ("connect.example.com", "example.com"),
        ("studios.example.com", "platform.example.com"),
        ("connect.platform.example.com", "platform.example.com"),
        ("connect.another.subdomain.example.com", "platform.example.com"),
    ] {
        named(connect, platform).launched_by(&dns.launcher()).check().ok("domains");
    }
    let launched = |broken: Broken| broken.launched_by(&dns.launcher());
    let other = launched(named("connect.example.com", "platform.example.org"));
    other.expect("domains", "failed", "example.org", "serve Portico from the Platform's domain");
    // Below one public suffix everybody has a domain.
    let suffix = launched(named("connect.one.co.uk", "platform.two.co.uk"));
    suffix.expect("domains", "failed", "one registrable domain", "Platform's domain");
    let own = launched(named("example.com", "example.com"));
    own.expect("domains", "failed", "the Platform's own name", "a name of its own");
    let sessions = launched(named("connect.example.com", "example.com"));
    let sessions = sessions.set("PORTICO_SESSION_DOMAIN", "sessions.example.org");
    sessions.expect("domains", "failed", "sessions.example.org", "beside or above");
}

#[test]
fn an_address_has_no_subdomains() {
    let address = good().set("PORTICO_CONNECT_URL", "https://10.1.2.3");
    address.expect("domains", "failed", "is an address", "routing = [\"path\"]");
}

#[test]
fn a_wildcard_that_is_there_is_found() {
    let dns = Dns::start(&[("connect.example.com", HERE), (".connect.example.com", HERE)]);
    let found = known(&dns).check();
    found.expect("dns.connect", "ok", "an address of this machine", "");
    found.expect("dns.sessions", "ok", "127.0.0.1, as the connect host", "");
}

#[test]
fn a_missing_wildcard_is_told() {
    let dns = Dns::start(&[("connect.example.com", HERE)]);
    let found = known(&dns).check();
    found.ok("dns.connect");
    let wildcard = "*.connect.example.com: a random name below it does not resolve";
    found.expect("dns.sessions", "failed", wildcard, "add a wildcard record");
    assert_eq!(found.code, Some(69));
}

#[test]
fn a_connect_host_that_is_missing_is_told() {
    let dns = Dns::start(&[(".connect.example.com", HERE)]);
    let missing = "connect.example.com: it does not resolve";
    let found = known(&dns).expect("dns.connect", "failed", missing, "add a DNS record");
    found.ok("dns.sessions");
}

#[test]
fn a_wildcard_that_leads_elsewhere_is_told() {
    let dns = Dns::start(&[("connect.example.com", HERE), (".connect.example.com", [10, 0, 0, 9])]);
    let check = known(&dns);
    check.expect("dns.sessions", "warning", "10.0.0.9", "lead to one place");
}
