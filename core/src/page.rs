//! The one look of all pages that Portico itself shows: complete in itself, no script, nothing from
//! elsewhere. What a page says is said where it is shown.

use std::fmt::Write;

#[derive(Debug, Clone, Copy, Default)]
pub struct Html<'a> {
    pub status: u16,
    pub title: &'a str,
    pub detail: &'a str,
    /// A name that belongs to it, shown as it is written.
    pub subject: Option<&'a str>,
    /// What happens by itself.
    pub note: Option<&'a str>,
    pub action: Option<Action<'a>>,
}

/// What somebody can do about it.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    Link {
        to: &'a str,
        words: &'a str,
    },
    /// A form without fields.
    Button {
        to: &'a str,
        words: &'a str,
    },
}

/// No script runs on these pages, nobody learns from a `Referer` which session was asked for, and
/// only the platform may show them in a frame.
pub fn write_rules(out: &mut String, frame_ancestors: &str) {
    let _ = write!(
        out,
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
         frame-ancestors {frame_ancestors}\r\n\
         Cross-Origin-Opener-Policy: same-origin-allow-popups\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n"
    );
}

const STYLE: &str = "\
     body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1c2733;background:#f5f7f9}\
     main{max-width:34rem;margin:18vh auto 0;padding:0 1.5rem}h1{font-size:1.5rem}\
     code{background:#e4e9ee;padding:.1em .4em;border-radius:.25em}.wait{color:#5a6b7b}\
     a,button{font:inherit;color:#fff;background:#2460a7;border:0;border-radius:.3em;\
     padding:.45em 1em;text-decoration:none;display:inline-block;cursor:pointer}\
     footer{margin-top:3rem;color:#8292a2;font-size:.8rem}\
     @media(prefers-color-scheme:dark){body{color:#dde5ec;background:#141a20}\
     code{background:#26313b}}";

impl Html<'_> {
    pub fn text(&self) -> String {
        let title = escaped(self.title);
        let mut out = format!(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width\"><title>{title}</title>\
             <style>{STYLE}</style><main><h1>{title}</h1><p>{}</p>",
            escaped(self.detail)
        );
        if let Some(subject) = self.subject {
            let _ = write!(out, "<p><code>{}</code></p>", escaped(subject));
        }
        if let Some(note) = self.note {
            let _ = write!(out, "<p class=wait>{}</p>", escaped(note));
        }
        match self.action {
            None => {}
            Some(Action::Link { to, words }) => {
                let _ = write!(out, "<p><a href=\"{}\">{}</a></p>", escaped(to), escaped(words));
            }
            Some(Action::Button { to, words }) => {
                let (to, words) = (escaped(to), escaped(words));
                let _ = write!(
                    out,
                    "<form method=post action=\"{to}\"><p><button>{words}</button></p></form>"
                );
            }
        }
        let _ = writeln!(out, "<footer>{} · Portico</footer></main></html>", self.status);
        out
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_stays_text() {
        let evil = "<script>alert(1)</script>\"'&";
        let action = Some(Action::Link { to: evil, words: evil });
        let subject = Some(evil);
        let page = Html { title: evil, detail: evil, subject, note: subject, action, status: 403 };
        let text = page.text();
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;"));
        assert!(!text.contains("href=\"<") && text.contains("403 · Portico"));
    }
}
