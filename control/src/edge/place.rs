//! Where somebody wants to go: a session, on which kind of URL, and a path there. Every URL that a
//! browser is sent to is composed here from what the route table and the settings say; of what a
//! request brings, only a path is taken, and only one that cannot name another host.

use std::sync::Arc;

use portico_core::access::CookieName;
use portico_core::domain::Domains;
use portico_core::http::decide::By;
use portico_core::limits;
use portico_core::path::{PathSite, path_site};
use portico_core::route::{Entry, Route};

use super::Inner;

#[derive(Debug, Clone)]
pub struct Place {
    pub route: Arc<Route>,
    pub by: By,
    /// Path and query, on the session's host or on the connect host below the session's prefix.
    to: String,
}

impl Place {
    /// None for a session that is not there, or not on this kind of URL.
    pub fn find(inner: &Inner, label: &str, by: &str, to: &str) -> Option<Self> {
        let table = inner.table.load();
        let Some(Entry::Route(route)) = table.lookup(label) else { return None };
        let (by, answers) = match by {
            "subdomain" => (By::Subdomain, route.routing.has_subdomain()),
            "path" => (By::Path { prefix: 0 }, route.routing.has_path()),
            _ => return None,
        };
        (answers && route.workspace.is_allowed()).then(|| Self::new(route.clone(), by, to))
    }

    /// A path that is not one leads to the session's root.
    pub fn new(route: Arc<Route>, by: By, to: &str) -> Self {
        let root = match by {
            By::Subdomain => "/".to_owned(),
            By::Path { .. } => format!("/_studio/{}/", route.label),
        };
        // What comes behind a prefix may not lead out of it again: the worker refuses that, too,
        // but a browser takes dots out before it asks.
        let inside = match by {
            By::Subdomain => true,
            By::Path { .. } => {
                let path = to.split_once('?').map_or(to, |(path, _)| path);
                matches!(path_site(path), PathSite::Inside { .. })
            }
        };
        let to = match inside && is_path(to) && to.starts_with(&root) {
            true => to.to_owned(),
            false => root,
        };
        Self { route, by, to }
    }

    pub fn url(&self, domains: &Domains) -> String {
        format!("{}{}", self.origin(domains), self.to)
    }

    /// Of the host where the session is.
    pub fn origin(&self, domains: &Domains) -> String {
        match self.by {
            By::Subdomain => {
                let url = domains.subdomain_url(&self.route.label);
                url.trim_end_matches('/').to_owned()
            }
            By::Path { .. } => domains.connect.to_string(),
        }
    }

    pub fn path(&self) -> &str {
        &self.to
    }

    pub fn cookie(&self) -> CookieName<'_> {
        CookieName::of(self.by, &self.route.label)
    }
}

/// One slash, and then nothing that browsers read as the start of a host: they take `\` for `/`,
/// and leave out tabs and line ends (WHATWG URL).
pub fn is_path(to: &str) -> bool {
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
    plain
        && to.starts_with('/')
        && !to.starts_with("//")
        && to.len() <= limits::SIGN_IN_TARGET_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_is_a_path() {
        for good in ["/", "/lab?x=1&y=//z", "/a//b", "/%2f%2fevil.example"] {
            assert!(is_path(good), "{good}");
        }
        for evil in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x",
            "evil",
            "/é",
            "/#x",
        ] {
            assert!(!is_path(evil), "{evil}");
        }
    }
}
