//! The edge's own answers: HTML for browsers, `application/problem+json` (RFC 9457) for programs, a
//! bare status for WebSockets. Complete in themselves: no script, nothing from elsewhere.

mod text;
mod access;

use std::fmt::Write;

use portico_core::http::field::{Field, accepts_html};
use portico_core::http::request::Request;
use portico_core::limits;
use portico_core::page::{self, Action, Html};

pub(crate) use text::Page;

/// In which form an answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Browser,
    Program,
    WebSocket,
}

/// How an answer is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) audience: Audience,
    /// The request's method was HEAD: the head says how long the body would be.
    pub(crate) head_only: bool,
    pub(crate) close: bool,
}

impl Audience {
    pub(crate) fn of(request: &Request<'_, '_>) -> Self {
        if request.upgrade.is_some() {
            return Audience::WebSocket;
        }
        match request.value(Field::Accept) {
            Some(accept) if accepts_html(accept) => Audience::Browser,
            _ => Audience::Program,
        }
    }

    /// Of a head that could not be read, or not to its end: browsers send `Accept` before the
    /// cookies that make a head too large.
    fn of_unread(head: &[u8]) -> Self {
        let head = &head[..head.len().min(limits::HEAD_BYTES_MAX)];
        let mut audience = Audience::Program;
        for line in head.split(|byte| *byte == b'\n').skip(1) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if name.eq_ignore_ascii_case(b"upgrade") {
                return Audience::WebSocket;
            }
            if name.eq_ignore_ascii_case(b"accept") && accepts_html(value) {
                audience = Audience::Browser;
            }
        }
        audience
    }
}

impl Form {
    /// Of the last answer on a connection, to what could not be read as a request.
    pub(crate) fn of_unread(head: &[u8]) -> Self {
        let head_only = head.starts_with(b"HEAD ");
        Self { audience: Audience::of_unread(head), head_only, close: true }
    }
}

impl Page {
    /// Appends the whole answer to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, form: Form, frame_ancestors: &str) {
        let body = match form.audience {
            _ if self.status < 400 => self.detail.to_string(),
            Audience::Browser => self.html(),
            Audience::Program => self.problem(),
            Audience::WebSocket => String::new(),
        };
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        let kind = match form.audience {
            _ if self.status < 400 => "text/plain; charset=utf-8",
            Audience::Browser => "text/html; charset=utf-8",
            Audience::Program | Audience::WebSocket => "application/problem+json",
        };
        if !body.is_empty() {
            let _ = write!(head, "Content-Type: {kind}\r\n");
        }
        // RFC 9110 §8.6: a server must not send Content-Length in a 204.
        if self.status != 204 {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("Cache-Control: no-store\r\n");
        if form.audience == Audience::Browser && self.status >= 400 {
            page::write_rules(&mut head, frame_ancestors);
            if let Some(seconds) = self.retry_after {
                let _ = write!(head, "Refresh: {seconds}\r\n");
            }
        }
        if let Some(seconds) = self.retry_after {
            let _ = write!(head, "Retry-After: {seconds}\r\n");
        }
        for (name, value) in &self.extra {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if form.close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        if !form.head_only {
            out.extend_from_slice(body.as_bytes());
        }
    }

    fn problem(&self) -> String {
        let mut problem = serde_json::json!({
            "type": format!("/problems/{}", self.slug),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        });
        if let (Some(session), Some(problem)) = (&self.session, problem.as_object_mut()) {
            problem.insert("session".into(), session.clone().into());
        }
        problem.to_string()
    }

    fn html(&self) -> String {
        let action = self.action.as_ref().map(|(to, words)| Action::Link { to, words });
        let page = Html {
            status: self.status,
            title: self.title,
            detail: &self.detail,
            subject: self.session.as_deref(),
            note: self.retry_after.map(|_| "This page reloads by itself."),
            action,
        };
        page.text()
    }
}

/// The head of an answer that the edge app has made.
pub(crate) fn write_head(
    out: &mut Vec<u8>,
    status: u16,
    body_bytes: usize,
    fields: &[(String, Vec<u8>)],
    close: bool,
) {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", phrase(status));
    if status != 204 {
        let _ = write!(head, "Content-Length: {body_bytes}\r\n");
    }
    if close {
        head.push_str("Connection: close\r\n");
    }
    out.extend_from_slice(head.as_bytes());
    for (name, value) in fields {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The reason phrases of the statuses that the edge itself answers with.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        302 => "Found",
        303 => "See Other",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
