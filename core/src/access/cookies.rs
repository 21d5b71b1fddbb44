//! Where tokens are in a request, and how they are put into a browser. Several cookies of one name
//! may come, because a sibling can set some for the parent domain: all are tried, within a bound.

use std::fmt::Write;
use std::time::Duration;

use crate::domain::{PATH_PREFIX, parents};
use crate::http::cookie;
use crate::http::decide::By;
use crate::http::field::Field;
use crate::http::request::Request;
use crate::label::Label;
use crate::limits;

/// On the connect host: who is signed in there. With `__Host-` no other host can set it.
pub const LOGIN_COOKIE: &str = "__Host-portico-login";
/// On a session's host: a secret of the browser that is being sent to sign in.
pub const START_COOKIE: &str = "__Host-portico-start";
/// For clients that are no browsers: a grant in a field of its own, because `Authorization` is the
/// tool's.
pub const GRANT_FIELD: &str = "X-Portico-Grant";

const HOST_GRANT: &str = "__Host-portico-grant";
/// Followed by the label. A path needs `Path=`, which `__Host-` forbids.
const PATH_GRANT_PREFIX: &str = "__Secure-portico-grant-";

/// Signatures that are looked at for one request: as many as a head has room for, so that nobody is
/// locked out by what others put in front. One costs half a microsecond.
pub const TRIES_MAX: usize = limits::HEAD_BYTES_MAX / 128;

/// The name of a grant's cookie: one for each host, or one for each label below the connect host.
#[derive(Debug, Clone, Copy)]
pub enum CookieName<'a> {
    Host,
    Path(&'a Label),
}

impl<'a> CookieName<'a> {
    pub fn of(by: By, label: &'a Label) -> Self {
        match by {
            By::Subdomain => CookieName::Host,
            By::Path { .. } => CookieName::Path(label),
        }
    }

    fn is(self, name: &[u8]) -> bool {
        match self {
            CookieName::Host => name == HOST_GRANT.as_bytes(),
            CookieName::Path(label) => {
                name.strip_prefix(PATH_GRANT_PREFIX.as_bytes()) == Some(label.as_str().as_bytes())
            }
        }
    }

    fn write(self, out: &mut String) {
        match self {
            CookieName::Host => out.push_str(HOST_GRANT),
            CookieName::Path(label) => {
                let _ = write!(out, "{PATH_GRANT_PREFIX}{label}");
            }
        }
    }

    /// The value of a `Set-Cookie` that brings a grant into a browser.
    pub fn set(self, token: &str, lifetime: Duration) -> String {
        let mut out = String::with_capacity(token.len() + 128);
        self.write(&mut out);
        let _ = write!(out, "={token}; ");
        match self {
            CookieName::Host => out.push_str("Path=/"),
            CookieName::Path(label) => {
                let _ = write!(out, "Path={PATH_PREFIX}{label}/");
            }
        }
        let _ = write!(out, "; Max-Age={}; Secure; HttpOnly; SameSite=Lax", lifetime.as_secs());
        out
    }
}

/// A `Set-Cookie` of one of the names that begin with `__Host-`.
pub fn host_cookie(name: &str, value: &str, lifetime: Duration) -> String {
    let seconds = lifetime.as_secs();
    format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax")
}

/// The `Set-Cookie` values that take away what a request brought under this name and what was good
/// for nothing. Who set them for which domain and path is not told in a request, so it is done for
/// all that can have been: of the host and its parents, at the root and on the way to the path.
pub fn expired_cookies(name: CookieName<'_>, host: &str) -> Vec<String> {
    let mut text = String::new();
    name.write(&mut text);
    let gone = |rest: &str| format!("{text}=; {rest}; Max-Age=0; Secure; HttpOnly");
    match name {
        // Nobody else can have set it, for anything else.
        CookieName::Host => vec![gone("Path=/")],
        CookieName::Path(label) => {
            let below = format!("{PATH_PREFIX}{label}/");
            let paths = ["/", PATH_PREFIX, below.as_str()];
            let mut all: Vec<_> = paths.iter().map(|path| gone(&format!("Path={path}"))).collect();
            for domain in parents(host) {
                all.extend(paths.iter().map(|p| gone(&format!("Domain={domain}; Path={p}"))));
            }
            all
        }
    }
}

/// The grants that a request brings, the explicit one first.
pub(super) fn grants<'r>(
    request: &'r Request<'_, '_>,
    name: CookieName<'r>,
) -> impl Iterator<Item = (&'r [u8], Carrier)> {
    let field = request.named(GRANT_FIELD).map(|value| (value, Carrier::Field));
    let cookies = cookies(request).filter(move |(given, _)| name.is(given));
    field.into_iter().chain(cookies.map(|(_, value)| (value, Carrier::Cookie))).take(TRIES_MAX)
}

/// How a grant came: only a cookie can be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    #[default]
    Cookie,
    Field,
}

/// Who says to be signed in at the connect host.
pub(super) fn logins<'r>(request: &'r Request<'_, '_>) -> impl Iterator<Item = &'r [u8]> {
    let ours = |(name, _): &(&[u8], &[u8])| *name == LOGIN_COOKIE.as_bytes();
    cookies(request).filter(ours).map(|(_, value)| value).take(TRIES_MAX)
}

fn cookies<'r>(request: &'r Request<'_, '_>) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
    request
        .classified()
        .filter(|(kind, _)| *kind == Field::Cookie)
        .flat_map(|(_, header)| cookie::pairs(header.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_cookie_of_its_own() {
        let label = Label::parse("a1").unwrap();
        let path = CookieName::Path(&label);
        assert!(path.is(b"__Secure-portico-grant-a1") && !path.is(b"__Secure-portico-grant-a12"));
        assert!(CookieName::Host.is(b"__Host-portico-grant") && !path.is(b"__Host-portico-grant"));
        assert_eq!(
            path.set("t", Duration::from_secs(60)),
            "__Secure-portico-grant-a1=t; Path=/_studio/a1/; Max-Age=60; Secure; HttpOnly; \
             SameSite=Lax"
        );
        assert_eq!(
            CookieName::Host.set("t", Duration::from_secs(60)),
            "__Host-portico-grant=t; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn what_a_sibling_may_have_set_is_expired_wherever_it_is() {
        let label = Label::parse("a1").unwrap();
        let all = expired_cookies(CookieName::Path(&label), "connect.example.com");
        assert_eq!(all.len(), 9);
        assert!(all.iter().any(|one| one.contains("Domain=example.com; Path=/;")));
        assert!(all.iter().all(|one| !one.contains("Domain=com")));
        assert_eq!(expired_cookies(CookieName::Host, "a.example.com").len(), 1);
    }
}
