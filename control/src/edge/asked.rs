//! What a handler reads of a request: its query or form, its cookies, and which page sent it.

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use portico_core::access::{AccessState, AllowedOrigins, LOGIN_COOKIE, Login};
use portico_core::domain::Origin;
use portico_core::http::cookie;
use portico_core::session::Timestamp;
use url::form_urlencoded;

/// Fields of a query or a form, each at most once.
pub struct Fields(Vec<(String, String)>);

impl Fields {
    pub fn of_query(uri: &Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default().as_bytes())
    }

    pub fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// None where there is none, or more than one: which of them others look at is unknown.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// All cookies of a name.
pub fn cookies<'a>(fields: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|field| cookie::pairs(field.as_bytes()))
        .filter(move |(known, _)| *known == name.as_bytes())
        .map(|(_, value)| value)
}

/// Who is signed in with this browser.
pub fn login(fields: &HeaderMap, state: &AccessState, now: Timestamp) -> Option<Login> {
    cookies(fields, LOGIN_COOKIE).find_map(|token| Login::verify(token, state, now).ok())
}

/// A page of this origin sent it, or no page at all. For what changes something.
pub fn is_own(fields: &HeaderMap, origin: &str) -> bool {
    let site = fields.get("sec-fetch-site").map(HeaderValue::as_bytes);
    match (site, fields.get(header::ORIGIN)) {
        // A form of our pages, which have no referrer, says that it comes from `null` (Fetch
        // §3.1), as others may say as well; that it is of the same origin is the browser's word.
        (Some(b"same-origin"), _) => true,
        (_, Some(given)) => given.as_bytes() == origin.as_bytes(),
        (site, None) => site.is_none_or(|site| site == b"none"),
    }
}

/// A page of these origins, or no page at all: an address bar, a program. A page can leave
/// `Referer` out, but not put another's origin there.
pub fn is_sent_by(fields: &HeaderMap, origins: &AllowedOrigins) -> bool {
    if fields.get("sec-fetch-site").is_none_or(|site| site == "none") {
        return true;
    }
    let referer = fields.get(header::REFERER).and_then(|referer| referer.to_str().ok());
    let origin = referer.and_then(|referer| {
        let (scheme, rest) = referer.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        Origin::parse(&format!("{scheme}://{authority}")).ok()
    });
    origin.is_some_and(|origin| origins.contains(&origin))
}

/// Somebody goes there; a script that fetches it does not.
pub fn is_navigation(fields: &HeaderMap) -> bool {
    fields.get("sec-fetch-mode").is_none_or(|mode| mode.as_bytes() == b"navigate")
}
