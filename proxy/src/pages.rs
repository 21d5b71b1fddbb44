//! The edge's own answers: HTML for browsers, `application/problem+json` (RFC 9457) for programs, a
//! bare status for WebSockets. Complete in themselves: no script, nothing from elsewhere.

mod text;

use std::fmt::Write;

use portico_core::http::field::{Field, accepts_html};
use portico_core::http::request::Request;
use portico_core::limits;

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
    pub(crate) fn write(&self, out: &mut Vec<u8>, form: Form) {
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
            head.push_str(BROWSER_RULES);
            if let Some(seconds) = self.retry_after {
                let _ = write!(head, "Refresh: {seconds}\r\n");
            }
        }
        if let Some(seconds) = self.retry_after {
            let _ = write!(head, "Retry-After: {seconds}\r\n");
        }
        if let Some((name, value)) = &self.extra {
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
        let session = match &self.session {
            Some(session) => format!("<p><code>{}</code></p>", escaped(session)),
            None => String::new(),
        };
        let waiting = match self.retry_after {
            Some(_) => "<p class=wait>This page reloads by itself.</p>",
            None => "",
        };
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width\"><title>{title}</title>\
             <style>{STYLE}</style><main><h1>{title}</h1><p>{detail}</p>{session}{waiting}\
             <footer>{status} · Portico</footer></main></html>\n",
            title = escaped(self.title),
            detail = escaped(&self.detail),
            status = self.status,
        )
    }
}

/// No script runs on these pages, and nobody learns from a `Referer` which session was asked for.
const BROWSER_RULES: &str = "\
     Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
     Cross-Origin-Opener-Policy: same-origin-allow-popups\r\n\
     Referrer-Policy: no-referrer\r\n\
     X-Content-Type-Options: nosniff\r\n";

const STYLE: &str = "\
     body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1c2733;background:#f5f7f9}\
     main{max-width:34rem;margin:18vh auto 0;padding:0 1.5rem}h1{font-size:1.5rem}\
     code{background:#e4e9ee;padding:.1em .4em;border-radius:.25em}.wait{color:#5a6b7b}\
     footer{margin-top:3rem;color:#8292a2;font-size:.8rem}\
     @media(prefers-color-scheme:dark){body{color:#dde5ec;background:#141a20}\
     code{background:#26313b}}";

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The reason phrases of the statuses that the edge itself answers with.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
