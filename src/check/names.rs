//! The names: that Portico and the Platform are below one root domain, and that the names of
//! sessions lead to where the connect host is.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portico_core::domain::Domains;

use super::Plan;
use super::line::Line;
use crate::replica::listen;

const DOMAINS: &str = "domains";
const CONNECT: &str = "dns.connect";
const SESSIONS: &str = "dns.sessions";

/// A resolver tries several servers, each for five seconds.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(12);

/// What contradicts the rule has been told with the settings.
pub async fn domains(plan: Arc<Plan>) -> Vec<Line> {
    let domains = &plan.settings.domains;
    let Domains { connect, session_domain, platform_host } = domains;
    let what = connect.host.clone();
    let below = match session_domain == &connect.host {
        true => format!("sessions are its children, *.{session_domain}"),
        false => format!("sessions are its siblings, *.{session_domain}"),
    };
    let Some(platform) = platform_host else {
        let detail = format!("{below}; where the Platform is, is not known");
        let fix = "set platform_url, so that its root domain is compared and users sign in there";
        return vec![Line::warning(DOMAINS, what, detail, fix)];
    };
    if platform == &connect.host {
        let detail = format!("it is the Platform's own name, {platform}");
        let fix = "give Portico a name of its own, as in connect.example.com";
        return vec![Line::settings(DOMAINS, what, detail, fix)];
    }
    vec![Line::ok(DOMAINS, what, format!("one root domain with the Platform {platform}; {below}"))]
}

pub async fn look_up(plan: Arc<Plan>) -> Vec<Line> {
    let settings = &plan.settings;
    let domains = &settings.domains;
    let host = domains.connect.host.clone();
    if is_of_browsers(&host) {
        let detail = "browsers take it for this machine without asking DNS";
        return vec![Line::ok(CONNECT, host, detail)];
    }
    let connect = addresses(host.clone());
    if !settings.routing.has_subdomain() {
        let names = [connect.await];
        let [connect] = names;
        return vec![connect_line(&host, &connect)];
    }
    let random = || getrandom::u64().map(|word| format!("check-{word:012x}"));
    let labels = random().and_then(|one| Ok([one, random()?]));
    let Ok(labels) = labels else {
        return vec![Line::machine(SESSIONS, host, "this machine gives no random numbers", "")];
    };
    let [one, other] = labels.map(|label| format!("{label}.{}", domains.session_domain));
    let (connect, one, other) = tokio::join!(connect, addresses(one), addresses(other));
    let wildcard = format!("*.{}", domains.session_domain);
    vec![connect_line(&host, &connect), wildcard_line(wildcard, &host, &connect, [one, other])]
}

/// `localhost` and its children (RFC 6761 §6.3).
fn is_of_browsers(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

type Found = Result<BTreeSet<IpAddr>, String>;

async fn addresses(host: String) -> Found {
    let look_up = tokio::net::lookup_host((host, 0));
    match tokio::time::timeout(LOOK_UP_TIMEOUT, look_up).await {
        Ok(Ok(found)) => Ok(found.map(|address: SocketAddr| address.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer of DNS within {LOOK_UP_TIMEOUT:?}")),
    }
}

fn shown(addresses: &BTreeSet<IpAddr>) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn connect_line(host: &str, found: &Found) -> Line {
    let fix = format!("add a DNS record for {host} with the address of Portico or its balancer");
    match found {
        Ok(addresses) if addresses.is_empty() => {
            Line::machine(CONNECT, host, "it has no address", fix)
        }
        Ok(addresses) => {
            let own = listen::own_addresses().unwrap_or_default();
            let whose = match addresses.iter().any(|address| own.contains(address)) {
                true => "an address of this machine",
                false => "not this machine: that has to be a balancer, or another proxy",
            };
            Line::ok(CONNECT, host, format!("{} ({whose})", shown(addresses)))
        }
        Err(error) => Line::machine(CONNECT, host, format!("it does not resolve: {error}"), fix),
    }
}

/// Both labels are names that nobody has made a record for.
fn wildcard_line(wildcard: String, host: &str, connect: &Found, found: [Found; 2]) -> Line {
    let fix = format!(
        "add a wildcard record for {wildcard} beside that of {host}, or set routing = [\"path\"]"
    );
    let [one, other] = match found {
        [Ok(one), Ok(other)] if !one.is_empty() && !other.is_empty() => [one, other],
        [Err(error), _] | [_, Err(error)] => {
            let detail = format!("a random name below it does not resolve: {error}");
            return Line::machine(SESSIONS, wildcard, detail, fix);
        }
        [Ok(_), Ok(_)] => {
            return Line::machine(SESSIONS, wildcard, "random names have no address", fix);
        }
    };
    let detail = format!("random names below it have {}", shown(&one));
    match connect {
        Ok(connect) if connect.is_disjoint(&one) || connect.is_disjoint(&other) => {
            let detail = format!("{detail} and {}, and {host} {}", shown(&other), shown(connect));
            let fix = format!("let {wildcard} and {host} lead to one place, unless two are meant");
            Line::warning(SESSIONS, wildcard, detail, fix)
        }
        Ok(_) => Line::ok(SESSIONS, wildcard, format!("{detail}, as the connect host")),
        Err(_) => Line::ok(SESSIONS, wildcard, detail),
    }
}
