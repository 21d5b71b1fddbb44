//! Just enough of HTTP/1.1 to check an answer or read a request of our own: it must not be taken
//! for a parser of anything that a stranger sent.

use memchr::memmem;

/// A response head that is complete.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Bytes up to and with the empty line.
    pub head_bytes: usize,
    pub content_length: Option<u64>,
}

/// `None` until the empty line is there; `Err` says what is wrong with the head.
pub fn parse(bytes: &[u8]) -> Result<Option<Head>, String> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = &bytes[..end + 2];
    let status = head
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or_else(|| format!("no status line in {:?}", String::from_utf8_lossy(head)))?;
    let content_length = match field(head, b"content-length") {
        Some(value) => Some(
            std::str::from_utf8(value)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or("Content-Length is no number")?,
        ),
        None => None,
    };
    Ok(Some(Head { status, head_bytes: end + 4, content_length }))
}

/// The value of the first field called `name` (in lower case) in a head; lines end in CR LF.
pub fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        if line.len() > name.len()
            && line[name.len()] == b':'
            && line[..name.len()].eq_ignore_ascii_case(name)
        {
            return Some(line[name.len() + 1..].trim_ascii());
        }
    }
    None
}

/// What answers the key of `upgrade_request` (RFC 6455 §1.3).
pub const SAMPLE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request that asks to leave HTTP. The key is the example of RFC 6455 §1.3, because proxies
/// refuse a WebSocket handshake without one.
pub fn upgrade_request(host: &str, target: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A plain request as a small client sends it.
pub fn request(host: &str, target: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portico-bench\r\nAccept: */*\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let whole = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-LENGTH:  64 \r\n\r\nbody";
        for cut in 0..whole.len() - 4 {
            assert_eq!(parse(&whole[..cut]), Ok(None));
        }
        let head = parse(whole).unwrap().unwrap();
        let expected = Head { status: 200, head_bytes: whole.len() - 4, content_length: Some(64) };
        assert_eq!(head, expected);
    }

    #[test]
    fn a_strange_head_is_refused() {
        assert!(parse(b"HTTP/1.0 200 OK\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 2x0 OK\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let head = b"GET / HTTP/1.1\r\nX-Upgrade: no\r\nUpgrade: yes\r\n";
        assert_eq!(field(head, b"upgrade"), Some(&b"yes"[..]));
        assert_eq!(field(head, b"host"), None);
    }
}
