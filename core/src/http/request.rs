//! A request head, parsed and judged: what it asks for and where its body ends, or why it is
//! refused.

use httparse::{Header, Status};

use super::field::{self, Field};
use super::head::{self, Extent, FieldSpace};
use super::refusal::Refusal;
use crate::limits;

/// A request head that may pass. Borrows from the receive buffer.
#[derive(Debug)]
pub struct Request<'h, 'b> {
    pub method: &'b str,
    /// Origin form, `/path?query`; also when the client sent the absolute form. `*` for OPTIONS.
    pub target: &'b str,
    /// Length of the path in `target`.
    pub path_bytes: usize,
    pub version: Version,
    /// As sent, with port.
    pub authority: &'b str,
    /// `authority` without port; empty only for HTTP/1.0 without a `Host`.
    pub host: &'b str,
    /// The head itself.
    head: &'b [u8],
    pub fields: &'h [Header<'b>],
    kinds: [Field; limits::HEAD_FIELDS_MAX],
    pub body: BodyLength,
    /// The client will keep the connection open.
    pub persistent: bool,
    /// The protocol in `Upgrade`, where one is asked for and can be granted.
    pub upgrade: Option<&'b str>,
    pub expects_continue: bool,
    /// Length of the head.
    pub bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// Where a message body ends (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    None,
    Bytes(u64),
    Chunked,
    /// A response only: until the connection closes.
    UntilClose,
}

/// A version that we do not speak, or a line that does not end in a version at all (a space in the
/// target): RFC 9112 §2.3 and §3.
fn wrong_version(head: &[u8]) -> Refusal {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None)
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Refusal::Version
        }
        _ => Refusal::Malformed,
    }
}

impl<'h, 'b> Request<'h, 'b> {
    /// `None`: the head is not complete yet; `scanned` bytes of it were seen before.
    pub fn parse(
        buffer: &'b [u8],
        scanned: usize,
        space: &'h mut FieldSpace<'b>,
    ) -> Result<Option<Self>, Refusal> {
        let bytes = match head::extent(buffer, scanned) {
            Extent::Complete(bytes) => bytes,
            Extent::Incomplete => return Ok(None),
            Extent::FirstLineTooLong => return Err(Refusal::LineTooLong),
            Extent::TooLarge => return Err(Refusal::HeadTooLarge),
            Extent::BareLineFeed => return Err(Refusal::BareLineFeed),
        };
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(&buffer[..bytes], space) {
            Ok(Status::Complete(end)) if end == bytes => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyFields),
            Err(httparse::Error::Version) => return Err(wrong_version(&buffer[..bytes])),
            _ => return Err(Refusal::Malformed),
        }
        let (Some(method), Some(target), Some(version)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(Refusal::Malformed);
        };
        // httparse skips empty lines in front; one is enough of a courtesy, and it is not ours to
        // give.
        if !buffer.starts_with(method.as_bytes()) {
            return Err(Refusal::Malformed);
        }
        let version = if version == 0 { Version::Http10 } else { Version::Http11 };
        judge(method, target, version, parsed.headers, &buffer[..bytes]).map(Some)
    }

    /// The fields with what they are, in the order in which they came.
    pub fn classified(&self) -> impl Iterator<Item = (Field, &Header<'b>)> {
        self.kinds.iter().copied().zip(self.fields)
    }

    /// Appends a field as it came.
    pub(super) fn copy(&self, header: &Header<'b>, out: &mut Vec<u8>) {
        head::copy_field(self.head, header, out);
    }

    pub fn path(&self) -> &'b str {
        &self.target[..self.path_bytes]
    }

    /// The value of the first field of this kind.
    pub fn value(&self, kind: Field) -> Option<&'b [u8]> {
        self.classified().find(|(k, _)| *k == kind).map(|(_, header)| header.value)
    }

    /// The value of the first field of this name.
    pub fn named(&self, name: &str) -> Option<&'b [u8]> {
        let mut fields = self.fields.iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Methods that may be sent twice without more effect than once (RFC 9110 §9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
    }
}

/// What the fields of a request say about its connection and body.
#[derive(Default)]
struct Facts<'b> {
    host: Option<&'b [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade_listed: bool,
    upgrade: Option<&'b [u8]>,
    expects_continue: bool,
}

fn judge<'h, 'b>(
    method: &'b str,
    target: &'b str,
    version: Version,
    fields: &'h [Header<'b>],
    head: &'b [u8],
) -> Result<Request<'h, 'b>, Refusal> {
    let mut kinds = [Field::Other; limits::HEAD_FIELDS_MAX];
    let mut facts = Facts::default();
    for (kind, header) in kinds.iter_mut().zip(fields) {
        *kind = field::classify(header.name.as_bytes());
        note(*kind, header.value, version, &mut facts)?;
    }
    if facts.chunked && facts.length.is_some() {
        return Err(Refusal::LengthAndEncoding);
    }
    let body = match (facts.chunked, facts.length) {
        (true, _) => BodyLength::Chunked,
        (false, None | Some(0)) => BodyLength::None,
        (false, Some(length)) => BodyLength::Bytes(length),
    };
    let (target, target_authority) = origin_form(method, target)?;
    let authority = authority(facts.host, target_authority, version)?;
    let path_bytes = memchr::memchr(b'?', target.as_bytes()).unwrap_or(target.len());
    // A body before the switch, or a switch to HTTP/2 in clear text, is not granted: the field is
    // dropped and the request goes on without it (RFC 9110 §7.8).
    let upgrade = facts.upgrade.filter(|protocol| {
        facts.upgrade_listed
            && version == Version::Http11
            && body == BodyLength::None
            && !protocol.is_empty()
            && !field::list(protocol).any(|p| p.eq_ignore_ascii_case(b"h2c"))
    });
    Ok(Request {
        method,
        target,
        path_bytes,
        version,
        authority,
        host: host_of(authority),
        head,
        fields,
        kinds,
        body,
        persistent: !facts.close && (version == Version::Http11 || facts.keep_alive),
        upgrade: upgrade.and_then(|protocol| std::str::from_utf8(protocol).ok()),
        expects_continue: facts.expects_continue && version == Version::Http11,
        bytes: head.len(),
    })
}

fn note<'b>(
    kind: Field,
    value: &'b [u8],
    version: Version,
    facts: &mut Facts<'b>,
) -> Result<(), Refusal> {
    match kind {
        Field::Host => {
            if facts.host.replace(value).is_some() {
                return Err(Refusal::HostRepeated);
            }
        }
        Field::ContentLength => {
            let length = content_length(value).ok_or(Refusal::ContentLength)?;
            if facts.length.replace(length).is_some() {
                return Err(Refusal::ContentLength);
            }
        }
        Field::TransferEncoding => {
            // HTTP/1.0 has no transfer codings: a reader of that version sees another message.
            let plain = version == Version::Http11 && value.eq_ignore_ascii_case(b"chunked");
            if !plain || facts.chunked {
                return Err(Refusal::TransferEncoding);
            }
            facts.chunked = true;
        }
        Field::Connection => {
            for option in field::list(value) {
                facts.close |= option.eq_ignore_ascii_case(b"close");
                facts.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                facts.upgrade_listed |= option.eq_ignore_ascii_case(b"upgrade");
            }
        }
        Field::Upgrade => facts.upgrade = Some(value),
        Field::Expect => {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::Expectation);
            }
            facts.expects_continue = true;
        }
        _ => {}
    }
    Ok(())
}

/// Digits only, as RFC 9110 §8.6 has it: no sign, no list, no space, and no more than fit the
/// signed 64 bits of the reader behind us.
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    i64::try_from(length).is_ok().then_some(length)
}

/// The target in origin form, and the authority of an absolute one (RFC 9112 §3.2).
fn origin_form<'b>(method: &str, target: &'b str) -> Result<(&'b str, Option<&'b str>), Refusal> {
    if method == "CONNECT" || method == "TRACE" {
        return Err(Refusal::Method);
    }
    if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return Err(Refusal::Target);
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok((target, None));
    }
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::Target);
    }
    match rest.find(['/', '?']) {
        None => Ok(("/", Some(rest))),
        Some(at) if rest.as_bytes()[at] == b'/' => Ok((&rest[at..], Some(&rest[..at]))),
        // `http://host?query` has no path to send on without copying; no client writes it.
        Some(_) => Err(Refusal::Target),
    }
}

fn authority<'b>(
    host: Option<&'b [u8]>,
    target: Option<&'b str>,
    version: Version,
) -> Result<&'b str, Refusal> {
    let Some(host) = host else {
        return match (version, target) {
            (Version::Http11, _) => Err(Refusal::HostMissing),
            (Version::Http10, None) => Ok(""),
            (Version::Http10, Some(_)) => Err(Refusal::HostMismatch),
        };
    };
    let host = std::str::from_utf8(host).map_err(|_| Refusal::HostInvalid)?;
    if !is_authority(host) {
        return Err(Refusal::HostInvalid);
    }
    match target {
        Some(target) if !target.eq_ignore_ascii_case(host) => Err(Refusal::HostMismatch),
        _ => Ok(host),
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`: names and addresses only, no user, no
/// percent-encoding.
fn is_authority(text: &str) -> bool {
    let host = host_of(text);
    let port = &text[host.len()..];
    let port_is_valid = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            (1..=5).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse::<u16>().is_ok()
        }
    };
    let host_is_valid = match host.strip_prefix('[') {
        Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            (1..=254).contains(&host.len())
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'_')
        }
    };
    host_is_valid && port_is_valid
}

fn host_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.find(']').map_or(authority, |end| &authority[..=end]);
    }
    memchr::memchr(b':', authority.as_bytes()).map_or(authority, |colon| &authority[..colon])
}

#[cfg(test)]
mod tests;
