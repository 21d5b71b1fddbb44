//! The names that Portico answers to, from three keys that must fit each other and the routing.
//! What fits is `core::domain`'s to know; here it is said with its key and its fix.

use portico_core::domain::{self, DomainError, Domains, Origin as Url};
use portico_core::session::Routing;

use crate::settings::collect::{Collected, Origin};
use crate::settings::mistake::Wrong;
use crate::settings::value::Value;

/// `routing` is known unless it has a mistake of its own.
pub fn domains(c: &mut Collected, routing: Option<Routing>) -> Option<Domains> {
    let connect = c.read("connect_url", url);
    let platform = c.read("platform_url", url);
    let session =
        c.read("session_domain", |value| domain::parse_session_domain(value.text()).map_err(wrong));
    if connect == Some(None) && c.is_whole {
        let fix = "write connect_url = \"https://connect.example.com\" with your own host, \
                   set PORTICO_CONNECT_URL or use --connect-url";
        c.mistake("connect_url", None, Wrong::new("is missing", fix));
    }
    let known = |url: &Option<Option<Url>>| url.clone().flatten();
    let session_known = session.clone().flatten();
    let contradictions = domain::contradictions(
        known(&connect).as_ref(),
        known(&platform).as_ref(),
        session_known.as_deref(),
    );
    let fits = contradictions.is_empty();
    for error in contradictions {
        let name = match error {
            DomainError::DifferentRoot { .. } => "platform_url",
            DomainError::SessionRoot { .. }
            | DomainError::NotADomain(_)
            | DomainError::NotAnOrigin(_)
            | DomainError::Ipv6(_) => "session_domain",
        };
        let origin = c.origin(name);
        c.mistake(name, origin, wrong(error));
    }
    let (connect, platform, session) = (connect??, platform?, session?);
    let domains = Domains::of(connect, platform, session).ok().filter(|_| fits)?;
    if session_known.is_none() {
        c.derive("session_domain", &domains.session_domain);
    }
    if routing.is_some_and(Routing::has_subdomain) && !domains.has_subdomains() {
        let host = &domains.connect.host;
        let fix = match host.starts_with("127.") {
            true => "use http://localhost instead, with the port, or set routing = [\"path\"]",
            false => "use a name that has a wildcard in DNS, or set routing = [\"path\"]",
        };
        let wrong = format!("`{host}` is an address, and sessions cannot be its subdomains");
        let origin = c.origin("connect_url");
        c.mistake("connect_url", origin, Wrong::new(wrong, fix));
        return None;
    }
    Some(domains)
}

fn url(value: &Value) -> Result<Url, Wrong> {
    Url::parse(value.text()).map_err(wrong)
}

fn wrong(error: DomainError) -> Wrong {
    let fix = match &error {
        DomainError::NotAnOrigin(_) => {
            "write scheme, host and, if it is not the scheme's own, port"
        }
        DomainError::Ipv6(host) if host == "[::1]" => "use localhost, with the same port",
        DomainError::Ipv6(_) => "use a name that resolves to it",
        DomainError::NotADomain(_) => "write a DNS name",
        DomainError::SessionRoot { .. } => "use a domain beside or above the connect host",
        DomainError::DifferentRoot { .. } => {
            "serve Portico from the Platform's domain, or leave it out"
        }
    };
    Wrong::new(error.to_string(), fix)
}

impl Collected {
    /// Shows what is in force for a key whose default follows from `connect_url`.
    fn derive(&mut self, name: &str, text: &str) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key.name == name) {
            entry.value = Some(Value::Text(text.to_owned()));
            entry.origin = Origin::Key("connect_url");
        }
    }
}
