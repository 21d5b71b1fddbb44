//! A session's response head: judged as strictly as a request's, and rewritten for the client.

use httparse::{Header, Status};

use super::cookie::{self, SetCookie};
use super::field::{self, Field};
use super::frames;
use super::head::{self, Extent, FieldSpace, write_field};
use super::refusal::GatewayFault;
use super::request::{BodyLength, Version, content_length};
use crate::limits;
use crate::upstream::Upstream;

#[derive(Debug)]
pub struct Response<'h, 'b> {
    pub status: u16,
    reason: &'b str,
    /// The head itself.
    head: &'b [u8],
    fields: &'h [Header<'b>],
    kinds: [Field; limits::HEAD_FIELDS_MAX],
    /// By the head alone; a response to HEAD has none whatever this says.
    pub body: BodyLength,
    /// The upstream will keep the connection open.
    pub persistent: bool,
    pub bytes: usize,
}

/// What the rewriting of a response head depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules<'a> {
    /// As the client sent it: where the session lives for the browser.
    pub authority: &'a str,
    pub host: &'a str,
    pub upstream: &'a Upstream,
    /// `/_studio/<label>` under path routing.
    pub prefix: Option<&'a str>,
    /// The tool does not see the prefix.
    pub stripped: bool,
    /// Where the edge is the gate.
    pub guard: Option<Guard<'a>>,
}

/// What the edge says in a session's answer where it decides who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard<'a> {
    /// The value of a `Set-Cookie`: the grant for another while.
    pub renewed: Option<&'a str>,
    /// The page of another origin that may read the answer.
    pub origin: Option<&'a str>,
    /// Who may show it in a frame.
    pub frame_ancestors: &'a str,
}

/// What is said to the client about the connection and the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    pub client: Version,
    pub persistent: bool,
    /// The client cannot read chunks: the body is sent bare and ended by closing.
    pub bare: bool,
    pub upgrade: bool,
}

/// What was not let through, for the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    pub cookies_by_domain: u32,
    pub cookies_by_name: u32,
    pub clear_site_data: u32,
    pub origin_wide: u32,
}

impl<'h, 'b> Response<'h, 'b> {
    /// `None`: not complete yet; `scanned` bytes were seen before.
    pub fn parse(
        buffer: &'b [u8],
        scanned: usize,
        space: &'h mut FieldSpace<'b>,
    ) -> Result<Option<Self>, GatewayFault> {
        let bytes = match head::extent(buffer, scanned) {
            Extent::Complete(bytes) => bytes,
            Extent::Incomplete => return Ok(None),
            Extent::FirstLineTooLong | Extent::TooLarge => return Err(GatewayFault::HeadTooLarge),
            Extent::BareLineFeed => return Err(GatewayFault::Head),
        };
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            &buffer[..bytes],
            space,
        );
        match status {
            Ok(Status::Complete(end)) if end == bytes && buffer.starts_with(b"HTTP/") => {}
            Err(httparse::Error::TooManyHeaders) => return Err(GatewayFault::HeadTooLarge),
            _ => return Err(GatewayFault::Head),
        }
        let (Some(version), Some(status)) = (parsed.version, parsed.code) else {
            return Err(GatewayFault::Head);
        };
        if !(100..=599).contains(&status) {
            return Err(GatewayFault::Head);
        }
        judge(status, version, parsed.reason.unwrap_or_default(), parsed.headers, &buffer[..bytes])
            .map(Some)
    }

    fn classified(&self) -> impl Iterator<Item = (Field, &Header<'b>)> {
        self.kinds.iter().copied().zip(self.fields)
    }

    /// Appends the head for the client to `out`.
    pub fn write(&self, out: &mut Vec<u8>, rules: &Rules<'_>, delivery: Delivery) -> Dropped {
        let mut dropped = Dropped::default();
        write_status_line(out, self.status, self.reason);
        let mut listed = false;
        for (kind, header) in self.classified() {
            listed |= kind == Field::Connection && lists_a_field(header.value);
        }
        for (kind, header) in self.classified() {
            match kind {
                Field::Connection
                | Field::TransferEncoding
                | Field::Upgrade
                | Field::HopByHop
                | Field::Proxy
                | Field::Ours
                | Field::Lookalike => {}
                Field::SetCookie => self.write_cookie(out, header, rules, &mut dropped),
                Field::Location | Field::ContentLocation => write_location(out, header, rules),
                // Not in an answer that has no content by its status (RFC 9110 §8.6): who reads it
                // there takes the next answer for content.
                Field::ClearSiteData => dropped.clear_site_data += 1,
                Field::OriginWide if rules.prefix.is_some() => dropped.origin_wide += 1,
                Field::AccessControl if rules.guard.is_some_and(|g| g.origin.is_some()) => {}
                Field::ContentSecurityPolicy if rules.guard.is_some() => {}
                Field::ContentLength if matches!(self.status, 100..=199 | 204) => {}
                Field::ContentLength => self.copy(header, out),
                _ if listed && self.is_listed(header.name) => {}
                _ => self.copy(header, out),
            }
        }
        if let Some(guard) = &rules.guard
            && self.status >= 101
        {
            self.write_guard(out, guard);
        }
        self.write_connection(out, delivery);
        out.extend_from_slice(b"\r\n");
        dropped
    }

    /// Appends a field as it came.
    fn copy(&self, header: &Header<'b>, out: &mut Vec<u8>) {
        head::copy_field(self.head, header, out);
    }

    fn write_cookie(
        &self,
        out: &mut Vec<u8>,
        header: &Header<'b>,
        rules: &Rules<'_>,
        dropped: &mut Dropped,
    ) {
        match cookie::set_cookie(header.value, rules.host, rules.prefix, rules.stripped) {
            SetCookie::Pass => self.copy(header, out),
            SetCookie::Narrowed(value) => write_field(out, header.name, &value),
            SetCookie::DropDomain => dropped.cookies_by_domain += 1,
            SetCookie::DropName => dropped.cookies_by_name += 1,
        }
    }

    fn write_guard(&self, out: &mut Vec<u8>, guard: &Guard<'_>) {
        let mut policies =
            self.classified().filter(|(kind, _)| *kind == Field::ContentSecurityPolicy);
        let mut framed = false;
        for (_, header) in &mut policies {
            let (policy, has) = frames::merged(header.value, guard.frame_ancestors);
            framed |= has;
            write_field(out, header.name, &policy);
        }
        if !framed {
            out.extend_from_slice(b"Content-Security-Policy: frame-ancestors ");
            out.extend_from_slice(guard.frame_ancestors.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if let Some(origin) = guard.origin {
            write_field(out, "Access-Control-Allow-Origin", origin.as_bytes());
            write_field(out, "Access-Control-Allow-Credentials", b"true");
            write_field(out, "Vary", b"Origin");
        }
        if let Some(renewed) = guard.renewed {
            write_field(out, "Set-Cookie", renewed.as_bytes());
        }
    }

    fn write_connection(&self, out: &mut Vec<u8>, delivery: Delivery) {
        if delivery.upgrade {
            out.extend_from_slice(b"Connection: Upgrade\r\n");
            for (_, header) in self.classified().filter(|(kind, _)| *kind == Field::Upgrade) {
                write_field(out, header.name, header.value);
            }
            return;
        }
        if self.body == BodyLength::Chunked && !delivery.bare {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if self.status >= 200 {
            match (delivery.persistent, delivery.client) {
                (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
                (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
                (true, Version::Http11) => {}
            }
        }
    }

    fn is_listed(&self, name: &str) -> bool {
        self.classified()
            .filter(|(kind, _)| *kind == Field::Connection)
            .flat_map(|(_, header)| field::list(header.value))
            .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    }
}

fn judge<'h, 'b>(
    status: u16,
    version: u8,
    reason: &'b str,
    fields: &'h [Header<'b>],
    head: &'b [u8],
) -> Result<Response<'h, 'b>, GatewayFault> {
    let mut kinds = [Field::Other; limits::HEAD_FIELDS_MAX];
    let (mut length, mut chunked, mut close, mut keep_alive) = (None, false, false, false);
    for (kind, header) in kinds.iter_mut().zip(fields) {
        *kind = field::classify(header.name.as_bytes());
        match kind {
            Field::ContentLength => {
                let given = content_length(header.value).ok_or(GatewayFault::Framing)?;
                if length.replace(given).is_some() {
                    return Err(GatewayFault::Framing);
                }
            }
            Field::TransferEncoding => {
                if chunked || version == 0 || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(GatewayFault::Framing);
                }
                chunked = true;
            }
            Field::Connection => {
                for option in field::list(header.value) {
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => {}
        }
    }
    if chunked && length.is_some() {
        return Err(GatewayFault::Framing);
    }
    let body = match (status, chunked, length) {
        // No body whatever the fields say (RFC 9112 §6.3); a 304 may tell the length it would have.
        (100..=199 | 204 | 304, _, _) => BodyLength::None,
        (_, true, _) => BodyLength::Chunked,
        (_, false, Some(length)) => BodyLength::Bytes(length),
        (_, false, None) => BodyLength::UntilClose,
    };
    // A 204 that speaks of content may well be followed by it.
    let contradicts = status == 204 && (chunked || length.is_some_and(|length| length > 0));
    let persistent = !close && !contradicts && (version == 1 || keep_alive);
    Ok(Response { status, reason, head, fields, kinds, body, persistent, bytes: head.len() })
}

fn lists_a_field(connection: &[u8]) -> bool {
    field::list(connection).any(|option| {
        !(option.eq_ignore_ascii_case(b"keep-alive")
            || option.eq_ignore_ascii_case(b"close")
            || option.eq_ignore_ascii_case(b"upgrade"))
    })
}

fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// A tool that does not know where it lives redirects to its own address or to its own root.
fn write_location(out: &mut Vec<u8>, header: &Header<'_>, rules: &Rules<'_>) {
    let value = header.value;
    let own = |authority: &str| {
        let rest = value.strip_prefix(b"http://").or_else(|| value.strip_prefix(b"https://"))?;
        let rest = rest
            .get(authority.len()..)
            .filter(|_| rest[..authority.len()].eq_ignore_ascii_case(authority.as_bytes()))?;
        (rest.is_empty() || matches!(rest[0], b'/' | b'?' | b'#')).then_some(rest)
    };
    let prefix = rules.prefix.filter(|_| rules.stripped).unwrap_or_default();
    let upstream = rules.upstream.authority();
    let upstream = own(&upstream).filter(|_| upstream != rules.authority);
    let path = match upstream {
        // Its own address means nothing to a browser: the path alone does.
        Some(path) => path,
        None if prefix.is_empty() => return write_field(out, header.name, value),
        None => match own(rules.authority) {
            Some(path) => path,
            None if value.starts_with(b"/") && !value.starts_with(b"//") => value,
            None => return write_field(out, header.name, value),
        },
    };
    let below = path.strip_prefix(prefix.as_bytes()).filter(|rest| rest.first() == Some(&b'/'));
    let front: &[u8] = match path {
        // The tool has read `X-Forwarded-Prefix`.
        _ if !prefix.is_empty() && below.is_some() => return write_field(out, header.name, path),
        // Alone at the front, `//x` would name the host x; browsers read `\` and tab as that, too.
        [b'/', b'/' | b'\\' | b'\t', ..] if prefix.is_empty() => b"/.",
        [b'/', ..] => b"",
        _ => b"/",
    };
    write_field(out, header.name, &[prefix.as_bytes(), front, path].concat());
}

#[cfg(test)]
mod tests;
