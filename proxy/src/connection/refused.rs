//! The answers to who may not open a session, or not like this: where to sign in, and in which form
//! it is said that there is nothing to be had.

use std::fmt::Write;

use portico_core::access::{
    Binding, CookieName, Invalid, Refused, START_COOKIE, expired_cookies, host_cookie,
};
use portico_core::domain::Domains;
use portico_core::http::cookie;
use portico_core::http::decide::{By, Install};
use portico_core::http::field::Field;
use portico_core::http::request::Request;
use portico_core::limits;
use portico_core::route::Route;

use crate::pages::Page;
use crate::worker::Worker;

pub(super) fn page(
    worker: &Worker,
    request: &Request<'_, '_>,
    route: &Route,
    by: By,
    refused: &Refused,
) -> Page {
    if let Some(invalid) = invalid(refused) {
        worker.counters.grants_refused.at(invalid.into()).add(1);
    }
    let install = Install { domains: &worker.shared.domains, gate: &worker.shared.gate };
    page_of(install, request, route, by, refused)
}

/// The same for who counts nothing.
pub(crate) fn page_of(
    install: Install<'_>,
    request: &Request<'_, '_>,
    route: &Route,
    by: By,
    refused: &Refused,
) -> Page {
    let Install { domains, gate } = install;
    let page = match refused {
        Refused::SignIn { .. } if gate.sign_in => {
            sign_in(domains, request, route, by).unwrap_or_else(Page::of_edge_failure)
        }
        Refused::SignIn { .. } => Page::not_signed_in(route, None),
        Refused::Unauthorized { origin, .. } => Page::not_signed_in(route, origin.as_deref()),
        Refused::NotAllowed { user, origin } => {
            let who_may = gate.who_may(route, by);
            let sign_out = gate.sign_in.then(|| format!("{}/_portico/logout", domains.connect));
            Page::not_allowed(route, &who_may, user, origin.as_deref(), sign_out)
        }
        Refused::CrossOrigin => Page::cross_origin(route),
        Refused::Preflight { origin } => Page::preflight(origin, request),
    };
    match invalid(refused) {
        // What came and is good for nothing is not sent again, and cannot fill up heads.
        Some(_) => expired_cookies(CookieName::of(by, &route.label), request.host)
            .into_iter()
            .fold(page, |page, cookie| page.with("Set-Cookie", cookie)),
        None => page,
    }
}

fn invalid(refused: &Refused) -> Option<Invalid> {
    match refused {
        Refused::SignIn { invalid } | Refused::Unauthorized { invalid, .. } => *invalid,
        Refused::NotAllowed { .. } | Refused::CrossOrigin | Refused::Preflight { .. } => None,
    }
}

/// To the connect host, with a secret of this browser's that nobody else can bring back. None where
/// this machine gives no random numbers.
fn sign_in(domains: &Domains, request: &Request<'_, '_>, route: &Route, by: By) -> Option<Page> {
    let (word, nonce) = match by {
        By::Subdomain => ("subdomain", Some(start_nonce(request).or_else(new_nonce)?)),
        By::Path { .. } => ("path", None),
    };
    let mut to = format!("{}/_portico/login?session={}&by={word}", domains.connect, route.label);
    if let Some(nonce) = &nonce {
        let _ = write!(to, "&bind={}", Binding::of(nonce.as_bytes()));
    }
    to.push_str("&to=");
    let target = match request.target.len() <= limits::SIGN_IN_TARGET_BYTES_MAX {
        true => request.target,
        false => match by {
            By::Subdomain => "/",
            By::Path { prefix } => &request.target[..=prefix],
        },
    };
    escape(target, &mut to);
    let page = Page::redirect(to);
    Some(match nonce {
        Some(nonce) => {
            page.with("Set-Cookie", host_cookie(START_COOKIE, &nonce, limits::SIGN_IN_TIMEOUT))
        }
        None => page,
    })
}

/// That of a sign-in that was begun in another tab: both can be ended.
fn start_nonce(request: &Request<'_, '_>) -> Option<String> {
    let cookies = request.classified().filter(|(kind, _)| *kind == Field::Cookie);
    let mut pairs = cookies.flat_map(|(_, header)| cookie::pairs(header.value));
    let (_, value) = pairs.find(|(name, _)| *name == START_COOKIE.as_bytes())?;
    let is_ours = value.len() == NONCE_BYTES * 2 && value.iter().all(u8::is_ascii_hexdigit);
    is_ours.then(|| String::from_utf8_lossy(value).into_owned())
}

const NONCE_BYTES: usize = 16;

fn new_nonce() -> Option<String> {
    let mut bytes = [0_u8; NONCE_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}
