//! From which page a browser sends a request: sessions of one domain are same-site to each other,
//! so that cookies alone do not tell a session's own page from that of a hostile sibling.

use super::gate::Gate;
use crate::domain::{Origin, Scheme};
use crate::http::client::Client;
use crate::http::request::{Request, Version};

/// Who a request comes from, as far as its fields tell. A browser does not let a page write them;
/// other clients may write what they like, and have no cookies of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender<'b> {
    /// The session's own page, or no page at all: a link, an address bar, a program.
    Own,
    /// A page that the operator allows, by its origin.
    Allowed(&'b str),
    Foreign,
}

/// The fields that tell it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signs<'b> {
    origin: Option<&'b [u8]>,
    site: Option<&'b [u8]>,
    mode: Option<&'b [u8]>,
    asks_method: bool,
    accept: Option<&'b [u8]>,
}

impl<'b> Signs<'b> {
    pub(super) fn of(request: &Request<'_, 'b>) -> Self {
        let mut signs = Signs::default();
        for header in request.fields {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            match header.name.len() {
                6 if is("origin") => signs.origin = Some(header.value),
                6 if is("accept") => signs.accept = Some(header.value),
                14 if is("sec-fetch-site") => signs.site = Some(header.value),
                14 if is("sec-fetch-mode") => signs.mode = Some(header.value),
                29 if is("access-control-request-method") => signs.asks_method = true,
                _ => {}
            }
        }
        signs
    }

    /// Somebody goes to the page, and can be sent elsewhere first.
    pub(super) fn is_navigation(&self, request: &Request<'_, '_>) -> bool {
        let may = matches!(request.method, "GET" | "HEAD") && request.upgrade.is_none();
        may && match self.mode {
            Some(mode) => mode == b"navigate",
            None => self.accept.is_some_and(crate::http::field::accepts_html),
        }
    }

    pub(super) fn sender(
        &self,
        request: &Request<'_, '_>,
        gate: &Gate,
        connect: Scheme,
        client: &Client,
    ) -> Sender<'b> {
        if let Some(origin) = self.origin {
            return of_origin(origin, request, gate, connect, client);
        }
        match self.site {
            Some(b"same-site" | b"cross-site") if !self.is_navigation(request) => Sender::Foreign,
            _ => Sender::Own,
        }
    }

    /// The origin of a page whose browser asks what it may ask (Fetch §4.8), without cookies.
    pub(super) fn preflight(&self, request: &Request<'_, '_>) -> Option<&'b str> {
        let asks = request.method == "OPTIONS" && self.asks_method;
        self.origin.filter(|_| asks).and_then(|origin| std::str::from_utf8(origin).ok())
    }
}

fn of_origin<'b>(
    origin: &'b [u8],
    request: &Request<'_, '_>,
    gate: &Gate,
    connect: Scheme,
    client: &Client,
) -> Sender<'b> {
    let Ok(text) = std::str::from_utf8(origin) else { return Sender::Foreign };
    // `null` is a sandboxed frame, a file, or a redirect through elsewhere: nobody's own page.
    let Ok(origin) = Origin::parse(text) else { return Sender::Foreign };
    if is_own(&origin, request, connect, client) {
        return Sender::Own;
    }
    match gate.origins.contains(&origin) {
        true => Sender::Allowed(text),
        false => Sender::Foreign,
    }
}

/// A balancer may have ended TLS, so the scheme is that of the connection or of the connect URL.
fn is_own(origin: &Origin, request: &Request<'_, '_>, connect: Scheme, client: &Client) -> bool {
    if origin.scheme != connect && origin.scheme != client.scheme {
        return false;
    }
    let port = request.authority[request.host.len()..].strip_prefix(':');
    let port = port.and_then(|port| port.parse().ok());
    let port = port.filter(|port| *port != origin.scheme.default_port());
    let host = request.host.strip_suffix('.').unwrap_or(request.host);
    origin.host.eq_ignore_ascii_case(host) && origin.port == port
}

/// Whether a switched protocol could be a page's: only HTTP/1.1 switches.
pub(super) fn is_upgrade(request: &Request<'_, '_>) -> bool {
    request.upgrade.is_some() && request.version == Version::Http11
}
