//! What is asked about: a URL as it stands in a browser, a method, and perhaps as whom. Read once
//! here, and written as the head of the request that a browser would send.

use axum::http::{Method, Uri};
use portico_core::domain::Scheme;
use portico_core::session::{Name, NameError};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    pub(super) url: String,
    pub(super) method: Option<String>,
    pub(super) user: Option<String>,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) scheme: Scheme,
    /// Lower case, with the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    target: String,
    pub(super) method: Method,
    pub(super) user: Option<Name>,
}

/// What is no question; its text is for who asks.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unasked {
    #[error("`url` is no URL")]
    Url,
    #[error("`url` is no http or https URL")]
    Scheme,
    #[error("`url` has no host")]
    Host,
    #[error("`method` is none of HTTP's")]
    Method,
    #[error("`user` {0}")]
    User(#[source] NameError),
}

impl Asked {
    pub(super) fn of(parameters: &Parameters) -> Result<Self, Unasked> {
        let Parameters { url, method, user } = parameters;
        // People leave the scheme out, as browsers do.
        let whole = if url.contains("://") { url.clone() } else { format!("https://{url}") };
        let uri: Uri = whole.parse().map_err(|_| Unasked::Url)?;
        let scheme = match uri.scheme_str() {
            Some("https" | "wss") => Scheme::Https,
            Some("http" | "ws") => Scheme::Http,
            _ => return Err(Unasked::Scheme),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(Unasked::Host)?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let method = method.as_deref().unwrap_or("GET");
        let user = user.as_deref().filter(|user| !user.is_empty());
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(scheme.default_port()),
            target: if target.starts_with('/') { target.to_owned() } else { format!("/{target}") },
            method: method.parse().map_err(|_| Unasked::Method)?,
            user: user.map(str::parse).transpose().map_err(Unasked::User)?,
        })
    }

    /// As a browser sends it that goes to the page, without any cookie.
    pub(super) fn head(&self) -> String {
        let Self { method, target, .. } = self;
        let authority = self.authority();
        format!("{method} {target} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/html\r\n\r\n")
    }

    fn authority(&self) -> String {
        match self.port {
            port if port == self.scheme.default_port() => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// What may be shown of it again: a query may hold a secret.
    pub(super) fn shown(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{}://{}{path}", self.scheme.as_str(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str) -> Result<Asked, String> {
        let parameters = Parameters { url: url.to_owned(), method: None, user: None };
        Asked::of(&parameters).map_err(|unasked| unasked.to_string())
    }

    #[test]
    fn a_url_becomes_the_head_that_a_browser_sends() {
        let first = asked("HTTPS://ada:secret@A1.Example.com:443/lab?token=x#part").unwrap();
        let head = "GET /lab?token=x HTTP/1.1\r\nHost: a1.example.com\r\nAccept: text/html\r\n\r\n";
        assert_eq!(first.head(), head);
        assert_eq!(first.shown(), "https://a1.example.com/lab");
        for (url, shown) in [
            ("a1.example.com", "https://a1.example.com/"),
            ("ws://a1.example.com:8080", "http://a1.example.com:8080/"),
            ("http://127.0.0.1?x", "http://127.0.0.1/"),
            ("http://[::1]:9/x", "http://[::1]:9/x"),
        ] {
            assert_eq!(asked(url).unwrap().shown(), shown, "{url}");
        }
    }

    #[test]
    fn what_is_no_question_is_said() {
        for (url, wrong) in [
            ("", "`url` is no URL"),
            ("a b", "`url` is no URL"),
            ("http://", "`url` is no URL"),
            ("ftp://a.example.com/", "`url` is no http or https URL"),
        ] {
            assert_eq!(asked(url).unwrap_err(), wrong, "{url}");
        }
        let url = || "http://a".to_owned();
        for (method, user) in [(Some("A B"), None), (None, Some("a b")), (Some("G\r\nX:"), None)] {
            let (method, user) = (method.map(str::to_owned), user.map(str::to_owned));
            assert!(Asked::of(&Parameters { url: url(), method, user }).is_err());
        }
    }
}
