//! An answer as it arrives: a head with a length, and as many bytes as it says. It must not know
//! how they are sent.

use super::head;
use super::stream::Fault;
use crate::backend::{BODY, FILLER_BYTE};

/// What the backend is asked for, and so what has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The small body, byte for byte.
    Small,
    /// So many bytes of filler.
    Filler(u64),
}

/// Reads one answer after the other.
#[derive(Default)]
pub struct Answer {
    /// What came of a head that is not complete; empty nearly always.
    partial: Vec<u8>,
    /// Bytes of the body so far, once its head is complete.
    body: Option<u64>,
}

/// What a piece of an answer was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub complete: bool,
    pub body_bytes: usize,
}

impl Expected {
    pub fn length(self) -> u64 {
        match self {
            Expected::Small => BODY.len() as u64,
            Expected::Filler(bytes) => bytes,
        }
    }

    /// Whether these bytes may stand at this place of the body.
    fn allows(self, at: u64, bytes: &[u8]) -> bool {
        match self {
            Expected::Small => BODY.get(at as usize..).is_some_and(|rest| rest.starts_with(bytes)),
            // Every byte would cost the load more than the proxy.
            Expected::Filler(length) => {
                at + bytes.len() as u64 <= length
                    && bytes.first().is_none_or(|byte| *byte == FILLER_BYTE)
                    && bytes.last().is_none_or(|byte| *byte == FILLER_BYTE)
            }
        }
    }
}

impl Answer {
    /// Takes what arrived. Nothing may follow an answer before the next request.
    pub fn take(&mut self, bytes: &[u8], expected: Expected) -> Result<Taken, Fault> {
        if self.body.is_some() {
            return self.take_body(bytes, expected);
        }
        if self.partial.is_empty() {
            // The usual case, without a copy.
            if let Some(at) = begins(bytes, expected)? {
                self.body = Some(0);
                return self.take_body(&bytes[at..], expected);
            }
            self.partial.extend_from_slice(bytes);
            return Ok(Taken::default());
        }
        self.partial.extend_from_slice(bytes);
        let Some(at) = begins(&self.partial, expected)? else { return Ok(Taken::default()) };
        self.body = Some(0);
        let early = self.partial.split_off(at);
        self.partial.clear();
        self.take_body(&early, expected)
    }

    fn take_body(&mut self, bytes: &[u8], expected: Expected) -> Result<Taken, Fault> {
        let at = self.body.unwrap_or(0);
        if !expected.allows(at, bytes) {
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(100)]);
            return Err(Fault::Answer(format!("at byte {at} of the body came {start:?}")));
        }
        let now = at + bytes.len() as u64;
        let complete = now == expected.length();
        self.body = (!complete).then_some(now);
        Ok(Taken { complete, body_bytes: bytes.len() })
    }
}

/// Where the body begins, once the whole head is there.
fn begins(bytes: &[u8], expected: Expected) -> Result<Option<usize>, Fault> {
    let Some(head) = head::parse(bytes).map_err(Fault::Answer)? else { return Ok(None) };
    if head.status != 200 || head.content_length != Some(expected.length()) {
        return Err(Fault::Answer(format!("{head:?}")));
    }
    Ok(Some(head.head_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(length: usize, body: &[u8]) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn an_answer_is_complete_with_its_last_byte_however_it_is_cut() {
        for (bytes, expected) in [
            (whole(64, BODY), Expected::Small),
            (whole(100, &[FILLER_BYTE; 100]), Expected::Filler(100)),
        ] {
            let mut answer = Answer::default();
            for cut in 0..bytes.len() {
                assert!(!answer.take(&bytes[..cut], expected).unwrap().complete);
                let rest = answer.take(&bytes[cut..], expected).unwrap();
                assert!(rest.complete && rest.body_bytes as u64 <= expected.length());
            }
            assert!(answer.take(&whole(0, b""), Expected::Filler(0)).unwrap().complete);
        }
    }

    #[test]
    fn other_bytes_more_bytes_and_other_heads_are_faults() {
        let take = |bytes: &[u8], expected| Answer::default().take(bytes, expected);
        let mut changed = whole(64, BODY);
        *changed.last_mut().unwrap() ^= 1;
        assert!(take(&changed, Expected::Small).is_err());
        let mut longer = whole(64, BODY);
        longer.push(b'x');
        assert!(take(&longer, Expected::Small).is_err());
        assert!(take(&whole(3, b"xxxx"), Expected::Filler(3)).is_err());
        assert!(take(&whole(3, b"xxy"), Expected::Filler(3)).is_err());
        assert!(take(&whole(2, b"xx"), Expected::Filler(3)).is_err());
        let bad = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
        assert!(take(bad, Expected::Filler(0)).is_err());
    }
}
