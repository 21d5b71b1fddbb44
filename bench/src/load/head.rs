//! Just enough of HTTP/1.1 to check an answer or read a request of our own: it must not be taken
//! for a parser of anything that a stranger sent.

use memchr::memmem;

use super::Target;

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
pub fn upgrade_request(target: &Target, path: &str) -> Vec<u8> {
    let more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    asking(target, "GET", path, more)
}

/// A plain request as a small client sends it.
pub fn request(target: &Target, path: &str) -> Vec<u8> {
    asking(target, "GET", path, "User-Agent: portico-bench\r\nAccept: */*\r\n")
}

/// The same, as long as a browser's head of so many bytes; one that is longer by itself stays so.
pub fn request_of_bytes(target: &Target, path: &str, head_bytes: usize) -> Vec<u8> {
    const NAME: &str = "User-Agent: portico-bench ";
    let bare = asking(target, "GET", path, "Accept: */*\r\n").len() + NAME.len() + 2;
    let filler = "x".repeat(head_bytes.saturating_sub(bare));
    asking(target, "GET", path, &format!("{NAME}{filler}\r\nAccept: */*\r\n"))
}

/// The head of a request whose body is so long.
pub fn upload_request(target: &Target, path: &str, body_bytes: u64) -> Vec<u8> {
    let more = format!("User-Agent: portico-bench\r\nContent-Length: {body_bytes}\r\n");
    asking(target, "POST", path, &more)
}

fn asking(target: &Target, method: &str, path: &str, more: &str) -> Vec<u8> {
    let cookie = match target.cookie.as_str() {
        "" => String::new(),
        cookie => format!("Cookie: {cookie}\r\n"),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{more}{cookie}\r\n", target.host).into_bytes()
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
    fn a_request_is_as_long_as_a_browsers_and_carries_the_cookie() {
        let address = ([127, 0, 0, 1], 80).into();
        let (host, cookie) = ("a.example".to_owned(), "grant=1".to_owned());
        let target = Target { address, host, cookie, tls: None };
        for bytes in [200, 201, 1500] {
            assert_eq!(request_of_bytes(&target, "/bytes/7", bytes).len(), bytes);
        }
        let least = request_of_bytes(&target, "/", 0);
        assert_eq!(field(&least, b"cookie"), Some(&b"grant=1"[..]));
        assert_eq!(field(&least, b"host"), Some(&b"a.example"[..]));
        let bare = Target { cookie: String::new(), ..target };
        assert_eq!(field(&request(&bare, "/"), b"cookie"), None);
        assert_eq!(field(&upload_request(&bare, "/", 9), b"content-length"), Some(&b"9"[..]));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let head = b"GET / HTTP/1.1\r\nX-Upgrade: no\r\nUpgrade: yes\r\n";
        assert_eq!(field(head, b"upgrade"), Some(&b"yes"[..]));
        assert_eq!(field(head, b"host"), None);
    }
}
