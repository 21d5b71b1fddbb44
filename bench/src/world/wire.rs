//! HTTP/1.1 messages as a test sees them: read from a stream with no more cleverness than needed,
//! every field kept in its order and spelling, and how the body was delimited is told.

use std::io::{self, Read, Write};

/// A stream with what was read of it but not yet used.
#[derive(Debug)]
pub struct Wire<S> {
    pub stream: S,
    pending: Vec<u8>,
}

/// A request or response without its first line's meaning.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Request line or status line.
    pub first_line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub framing: Framing,
    pub trailers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    #[default]
    None,
    Length,
    Chunked,
    Close,
}

impl Message {
    /// The value of the only field of this name; several are joined, as RFC 9110 §5.2 says.
    pub fn field(&self, name: &str) -> Option<String> {
        let values = self.values(name);
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub fn values(&self, name: &str) -> Vec<&str> {
        let same = |(n, _): &&(String, String)| n.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("not JSON: {e}: {} {}", self.first_line, self.text()))
    }
}

impl<S: Read + Write> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// Reads once more; false at the end of the stream.
    pub fn fill(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; 64 * 1024];
        let count = self.stream.read(&mut piece)?;
        self.pending.extend_from_slice(&piece[..count]);
        Ok(count > 0)
    }

    /// What was read but not used.
    pub fn take_pending(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    pub fn read_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.pending.len() < count {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.pending.split_off(count);
        Ok(std::mem::replace(&mut self.pending, rest))
    }

    /// The rest of the stream.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? {}
        Ok(self.take_pending())
    }

    /// The next head, without its body; None when the stream ended before its first byte.
    pub fn head(&mut self) -> io::Result<Option<Message>> {
        let length = loop {
            if let Some(at) = find(&self.pending, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill()? {
                return match self.pending.len() {
                    0 => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        };
        let bytes = self.read_exactly(length)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        Ok(Some(Message { first_line, fields: lines.map(field).collect(), ..Message::default() }))
    }

    /// Reads the body that the fields of `message` announce. `until_close` is what a response
    /// without any announcement has, and a request never.
    pub fn body(&mut self, message: &mut Message, until_close: bool) -> io::Result<()> {
        let length = message.field("content-length").and_then(|n| n.parse().ok());
        if message.field("transfer-encoding").is_some_and(|te| te.eq_ignore_ascii_case("chunked")) {
            message.framing = Framing::Chunked;
            self.chunks(message)
        } else if let Some(length) = length {
            message.framing = Framing::Length;
            message.body = self.read_exactly(length)?;
            Ok(())
        } else if until_close {
            message.framing = Framing::Close;
            message.body = self.read_to_end()?;
            Ok(())
        } else {
            Ok(())
        }
    }

    fn chunks(&mut self, message: &mut Message) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(size.trim(), 16)
                .map_err(|e| io::Error::other(format!("chunk size {line:?}: {e}")))?;
            if size == 0 {
                break;
            }
            message.body.extend(self.read_exactly(size)?);
            if !self.line()?.is_empty() {
                return Err(io::Error::other("no line end after a chunk"));
            }
        }
        loop {
            match self.line()?.as_str() {
                "" => return Ok(()),
                line => message.trailers.push(field(line)),
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.pending, b"\r\n") {
                let bytes = self.read_exactly(at + 2)?;
                return Ok(String::from_utf8_lossy(&bytes[..at]).into_owned());
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl<S: Read + Write> Read for Wire<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pending.is_empty() {
            return self.stream.read(buffer);
        }
        let count = buffer.len().min(self.pending.len());
        buffer[..count].copy_from_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for Wire<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim().to_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
