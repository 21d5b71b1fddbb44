//! Where a body ends: a byte-at-a-time-proof reader of lengths and chunks. Strict about every byte
//! of the chunked framing (RFC 9112 §7.1), because the framing is sent on as it came.

use super::field::{self, Field};
use super::request::BodyLength;
use crate::limits;

/// How far the body got with the bytes given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that belong to the body, framing included.
    pub consumed: usize,
    /// Where in `consumed` content lies; empty for framing. At most one run a call.
    pub content: (usize, usize),
    pub done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadChunk;

#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    Chunked(Chunked),
}

#[derive(Debug, Clone)]
struct Chunked {
    at: At,
    /// Bytes left of the chunk's data, or its size while that is read.
    left: u64,
    /// Length of the current line, or of the trailer section so far.
    line: u16,
    name: TrailerName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    SizeFirst,
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    TrailerFirst,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    EndLineFeed,
}

/// The start of a trailer field's name: long enough to know the fields that may not stand there.
#[derive(Debug, Clone, Copy)]
struct TrailerName {
    bytes: [u8; 32],
    len: u8,
}

impl BodyReader {
    pub fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::None | BodyLength::Bytes(0) => State::Done,
            BodyLength::Bytes(bytes) => State::Length(bytes),
            BodyLength::UntilClose => State::UntilClose,
            BodyLength::Chunked => State::Chunked(Chunked {
                at: At::SizeFirst,
                left: 0,
                line: 0,
                name: TrailerName { bytes: [0; 32], len: 0 },
            }),
        };
        Self { state }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Whether the end of the connection is a proper end of the body here.
    pub fn may_end_now(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Takes all of `input` that belongs to the body: what is sent on with its framing.
    pub fn pass(&mut self, input: &[u8]) -> Result<usize, BadChunk> {
        let mut consumed = 0;
        while consumed < input.len() && !self.is_done() {
            consumed += self.read(&input[consumed..])?.consumed;
        }
        Ok(consumed)
    }

    /// Takes bytes up to the end of the next run of content: for a receiver that must not see
    /// chunks.
    pub fn read(&mut self, input: &[u8]) -> Result<Progress, BadChunk> {
        let progress = match &mut self.state {
            State::Done => Progress { consumed: 0, content: (0, 0), done: true },
            State::UntilClose => {
                Progress { consumed: input.len(), content: (0, input.len()), done: false }
            }
            State::Length(left) => {
                let take = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= take as u64;
                Progress { consumed: take, content: (0, take), done: *left == 0 }
            }
            State::Chunked(chunked) => chunked.read(input)?,
        };
        if progress.done {
            self.state = State::Done;
        }
        Ok(progress)
    }
}

impl Chunked {
    fn read(&mut self, input: &[u8]) -> Result<Progress, BadChunk> {
        let mut consumed = 0;
        while consumed < input.len() {
            if self.at == At::Data {
                let rest = input.len() - consumed;
                let take = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                self.left -= take as u64;
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
                let content = (consumed, consumed + take);
                return Ok(Progress { consumed: consumed + take, content, done: false });
            }
            let done = self.framing(input[consumed])?;
            consumed += 1;
            if done {
                return Ok(Progress { consumed, content: (0, 0), done: true });
            }
        }
        Ok(Progress { consumed, content: (0, 0), done: false })
    }

    /// One byte of framing; true at the end of the body.
    fn framing(&mut self, byte: u8) -> Result<bool, BadChunk> {
        self.at = match (self.at, byte) {
            (At::SizeFirst, _) => self.size_digit(byte)?,
            (At::Size, b'\r') | (At::Extension, b'\r') => At::SizeLineFeed,
            (At::Size, b';') => self.line_byte(limits::CHUNK_LINE_BYTES_MAX, At::Extension)?,
            (At::Size, _) => self.size_digit(byte)?,
            (At::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.line_byte(limits::CHUNK_LINE_BYTES_MAX, At::Extension)?
            }
            (At::SizeLineFeed, b'\n') => {
                self.line = 0;
                if self.left == 0 { At::TrailerFirst } else { At::Data }
            }
            (At::DataReturn, b'\r') => At::DataLineFeed,
            (At::DataLineFeed, b'\n') => At::SizeFirst,
            (At::TrailerFirst, b'\r') => At::EndLineFeed,
            (At::TrailerFirst, _) => {
                self.name.len = 0;
                self.name_byte(byte)?
            }
            (At::TrailerName, b':') => {
                self.name.judge()?;
                self.line_byte(limits::TRAILER_BYTES_MAX, At::TrailerValue)?
            }
            (At::TrailerName, _) => self.name_byte(byte)?,
            (At::TrailerValue, b'\r') => At::TrailerLineFeed,
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                self.line_byte(limits::TRAILER_BYTES_MAX, At::TrailerValue)?
            }
            (At::TrailerLineFeed, b'\n') => At::TrailerFirst,
            (At::EndLineFeed, b'\n') => return Ok(true),
            (
                At::Extension
                | At::SizeLineFeed
                | At::Data
                | At::DataReturn
                | At::DataLineFeed
                | At::TrailerValue
                | At::TrailerLineFeed
                | At::EndLineFeed,
                _,
            ) => return Err(BadChunk),
        };
        Ok(false)
    }

    fn size_digit(&mut self, byte: u8) -> Result<At, BadChunk> {
        let digit = (byte as char).to_digit(16).ok_or(BadChunk)?;
        // 15 digits hold any size that can be; a 16th could overflow a signed reader downstream.
        self.line += 1;
        if self.line > 15 {
            return Err(BadChunk);
        }
        self.left = self.left * 16 + u64::from(digit);
        Ok(At::Size)
    }

    fn line_byte(&mut self, max: usize, next: At) -> Result<At, BadChunk> {
        self.line += 1;
        if usize::from(self.line) > max { Err(BadChunk) } else { Ok(next) }
    }

    fn name_byte(&mut self, byte: u8) -> Result<At, BadChunk> {
        if !field::is_token(byte) {
            return Err(BadChunk);
        }
        if let Some(slot) = self.name.bytes.get_mut(usize::from(self.name.len)) {
            *slot = byte;
            self.name.len += 1;
        }
        self.line_byte(limits::TRAILER_BYTES_MAX, At::TrailerName)
    }
}

impl TrailerName {
    /// RFC 9110 §6.5.1: no field about framing, routing or who the client is may come in a trailer.
    fn judge(self) -> Result<(), BadChunk> {
        match field::classify(&self.bytes[..usize::from(self.len)]) {
            Field::Other => Ok(()),
            _ => Err(BadChunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(input: &[u8]) -> Result<(usize, bool), BadChunk> {
        let mut reader = BodyReader::new(BodyLength::Chunked);
        let consumed = reader.pass(input)?;
        Ok((consumed, reader.is_done()))
    }

    #[test]
    fn chunked_bodies_end_where_they_say() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"5\r\nhello\r\n0\r\n\r\n",
            b"5;ext=\"x y\"\r\nhello\r\n0;last\r\nX-Sum: 1\r\n\r\n",
            b"00a\r\n0123456789\r\n000\r\n\r\n",
        ] {
            let with_next = [body, b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(chunked(&with_next), Ok((body.len(), true)));
            for cut in 0..body.len() {
                assert_eq!(chunked(&body[..cut]), Ok((cut, false)), "cut at {cut}");
                let mut reader = BodyReader::new(BodyLength::Chunked);
                reader.pass(&body[..cut]).unwrap();
                assert_eq!(reader.pass(&with_next[cut..]), Ok(body.len() - cut));
                assert!(reader.is_done());
            }
        }
    }

    #[test]
    fn every_doubtful_byte_of_chunked_framing_is_refused() {
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"+5\r\n",
            b"0x5\r\n",
            b" 5\r\n",
            b"5 \r\nhello",
            b"5\nhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5\r\nhello\r\r",
            b"5;a\nhello",
            b"5;a\rX",
            b"0\r\n\n",
            b"0\r\n\rX",
            b"0\r\nX: y\n",
            b"0\r\n X: y\r\n",
            b"0\r\nX : y\r\n",
            b"0\r\nX\r\n",
            b"0\r\n: y\r\n",
            b"0\r\nContent-Length: 5\r\n\r\n",
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"0\r\nHost: a\r\n\r\n",
            b"0\r\nX-Connect-Sub: root\r\n\r\n",
            b"1234567890abcdef\r\n",
        ] {
            assert_eq!(chunked(bad), Err(BadChunk), "{}", bad.escape_ascii());
        }
        let long = [b"5;", &vec![b'a'; limits::CHUNK_LINE_BYTES_MAX][..]].concat();
        assert_eq!(chunked(&long), Err(BadChunk));
        let long = [b"0\r\nx: ", &vec![b'a'; limits::TRAILER_BYTES_MAX][..]].concat();
        assert_eq!(chunked(&long), Err(BadChunk));
    }

    #[test]
    fn content_is_found_between_the_framing() {
        let body = b"5\r\nhello\r\n6;x\r\n world\r\n0\r\nA: b\r\n\r\n";
        let mut reader = BodyReader::new(BodyLength::Chunked);
        let (mut at, mut content) = (0, Vec::new());
        while !reader.is_done() {
            let step = reader.read(&body[at..]).unwrap();
            content.extend_from_slice(&body[at + step.content.0..at + step.content.1]);
            at += step.consumed;
        }
        assert_eq!((at, content.as_slice()), (body.len(), &b"hello world"[..]));
    }

    #[test]
    fn a_length_is_counted_down() {
        let mut reader = BodyReader::new(BodyLength::Bytes(7));
        assert_eq!(reader.pass(b"12345"), Ok(5));
        assert!(!reader.is_done() && !reader.may_end_now());
        assert_eq!(reader.pass(b"67next"), Ok(2));
        assert!(reader.is_done());
    }
}
