//! The forms that answers have: pages for people, redirects, and problems for programs.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use portico_core::page::{Action, Html, write_rules};

use super::Edge;

/// An answer being made.
pub struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: String,
}

/// A page in words.
pub struct Words<'a> {
    pub status: u16,
    pub title: &'a str,
    pub detail: &'a str,
    pub action: Option<Action<'a>>,
}

impl Answer {
    fn new(status: StatusCode) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Self { status, fields, body: String::new() }
    }

    /// Elsewhere, by GET, and with nothing of this URL in a `Referer`.
    pub fn redirect(to: &str) -> Self {
        Self::new(StatusCode::SEE_OTHER).with(header::LOCATION, to)
    }

    pub fn page(edge: &Edge, words: &Words<'_>) -> Self {
        let status = StatusCode::from_u16(words.status).unwrap_or(StatusCode::OK);
        let mut answer = Self::new(status);
        let mut rules = String::new();
        write_rules(&mut rules, edge.0.settings.gate.origins.frame_ancestors());
        for (name, value) in rules.lines().filter_map(|line| line.split_once(": ")) {
            if let Ok(name) = HeaderName::try_from(name) {
                answer = answer.with(name, value);
            }
        }
        let Words { status, title, detail, action } = *words;
        answer.body = Html { status, title, detail, action, ..Html::default() }.text();
        answer.with(header::CONTENT_TYPE, "text/html; charset=utf-8")
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let mut answer = Self::new(StatusCode::from_u16(status).unwrap_or(StatusCode::OK));
        answer.body = value.to_string();
        let kind = match status {
            200..=299 => "application/json",
            _ => "application/problem+json",
        };
        answer.with(header::CONTENT_TYPE, kind)
    }

    pub fn problem(status: u16, slug: &str, title: &str, detail: &str) -> Self {
        let value = serde_json::json!({
            "type": format!("/problems/{slug}"), "title": title, "status": status, "detail": detail,
        });
        Self::json(status, &value)
    }

    /// One more field; what cannot stand in one is left out, and was checked before.
    pub fn with(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.fields.append(name, value);
        }
        self
    }

    pub fn cookie(self, set_cookie: impl AsRef<str>) -> Self {
        self.with(header::SET_COOKIE, set_cookie)
    }

    pub fn cookies(self, all: impl IntoIterator<Item = String>) -> Self {
        all.into_iter().fold(self, Self::cookie)
    }

    pub fn done(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.fields;
        response
    }
}

/// The `Set-Cookie` that takes one of the `__Host-` cookies away.
pub fn gone(name: &str) -> String {
    format!("{name}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax")
}

pub async fn not_found(State(edge): State<Edge>) -> Response {
    let words = Words {
        status: 404,
        title: "Nothing here",
        detail: "Sessions are opened by the links that the platform shows.",
        action: None,
    };
    Answer::page(&edge, &words).done()
}

/// A sign-in that cannot go on: whose turn it is, and how to begin again.
pub fn failed(edge: &Edge, status: u16, detail: &str, again: Option<&str>) -> Answer {
    let title = match status {
        503 => "Signing in is not possible now",
        _ => "Signing in failed",
    };
    let action = again.map(|to| Action::Link { to, words: "Try again" });
    Answer::page(edge, &Words { status, title, detail, action })
}
