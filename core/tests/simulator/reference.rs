//! The other reader: where messages start and end by the plainest reading of RFC 9112, on whole
//! byte strings, written without a look at `core::http`. It refuses nothing for being suspicious;
//! what it cannot read at all ends a stream. The simulator holds everything that passed against it.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub first_line: Vec<u8>,
    /// Names in lower case.
    pub fields: Vec<(String, Vec<u8>)>,
    pub head_bytes: usize,
    /// As on the wire. Of a message that is not complete: all bytes that there are.
    pub body: Vec<u8>,
    /// Without the framing of chunks.
    pub content: Vec<u8>,
    pub end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Complete,
    /// Goes on as long as bytes come.
    UntilClose,
    /// More would have to come.
    Incomplete,
    Malformed,
}

/// An answer with the interim ones in front of it.
#[derive(Debug)]
pub struct Answer {
    pub interim: Vec<Message>,
    pub last: Option<Message>,
    /// Bytes up to where the last one ends.
    pub bytes: usize,
}

impl Message {
    pub fn bytes(&self) -> usize {
        self.head_bytes + self.body.len()
    }

    /// The word at this place of the first line.
    pub fn word(&self, index: usize) -> &[u8] {
        self.first_line.split(|b| *b == b' ').nth(index).unwrap_or_default()
    }

    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1.as_slice())
    }

    /// Whether a list field has this element.
    pub fn lists(&self, name: &str, element: &str) -> bool {
        let values = self.fields.iter().filter(|field| field.0 == name);
        let mut elements = values.flat_map(|field| field.1.split(|b| *b == b','));
        elements.any(|given| given.trim_ascii().eq_ignore_ascii_case(element.as_bytes()))
    }

    pub fn status(&self) -> u16 {
        String::from_utf8_lossy(self.word(1)).parse().unwrap_or(0)
    }

    pub fn is_http_1_0(&self) -> bool {
        self.first_line.ends_with(b"HTTP/1.0")
    }

    /// Whether the sender of this answer keeps the connection open behind it.
    pub fn answer_keeps_open(&self) -> bool {
        let old = self.first_line.starts_with(b"HTTP/1.0");
        self.end == End::Complete
            && !self.lists("connection", "close")
            && (!old || self.lists("connection", "keep-alive"))
    }

    fn is_chunked(&self) -> bool {
        self.lists("transfer-encoding", "chunked")
    }

    fn length(&self) -> Option<Option<usize>> {
        let value = self.field("content-length")?;
        Some(String::from_utf8_lossy(value).parse().ok())
    }
}

/// All requests of a stream, the last one perhaps incomplete.
pub fn requests(stream: &[u8]) -> Vec<Message> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(message) = request(&stream[at..]) {
        at += message.bytes();
        let goes_on = message.end == End::Complete;
        found.push(message);
        if !goes_on {
            break;
        }
    }
    found
}

/// The request at the front; `None` while its head is not complete, or cannot be read.
pub fn request(stream: &[u8]) -> Option<Message> {
    let mut message = head(stream)?;
    let rest = &stream[message.head_bytes..];
    match (message.is_chunked(), message.length()) {
        (true, _) => chunked(&mut message, rest),
        (false, Some(length)) => sized(&mut message, rest, length),
        (false, None) => sized(&mut message, rest, Some(0)),
    }
    Some(message)
}

/// The answer at the front of a stream, to a request with this method.
pub fn answer(stream: &[u8], method: &[u8]) -> Answer {
    let mut interim = Vec::new();
    let mut at = 0;
    loop {
        let Some(mut message) = head(&stream[at..]) else {
            return Answer { interim, last: None, bytes: at };
        };
        let status = message.status();
        if status / 100 == 1 && status != 101 {
            at += message.head_bytes;
            interim.push(message);
            continue;
        }
        let rest = &stream[at + message.head_bytes..];
        if method == b"HEAD" || matches!(status, 101 | 204 | 304) {
            sized(&mut message, rest, Some(0));
        } else if message.is_chunked() {
            chunked(&mut message, rest);
        } else if let Some(length) = message.length() {
            sized(&mut message, rest, length);
        } else {
            sized(&mut message, rest, Some(rest.len()));
            message.end = End::UntilClose;
        }
        at += message.bytes();
        return Answer { interim, last: Some(message), bytes: at };
    }
}

fn head(stream: &[u8]) -> Option<Message> {
    let end = find(stream, b"\r\n\r\n")?;
    let text = &stream[..end];
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some(line_end) = find(&text[at..], b"\r\n") {
        lines.push(&text[at..at + line_end]);
        at += line_end + 2;
    }
    lines.push(&text[at..]);
    let mut fields = Vec::new();
    for line in &lines[1..] {
        let colon = line.iter().position(|b| *b == b':')?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
    Some(Message {
        first_line: lines[0].to_vec(),
        fields,
        head_bytes: end + 4,
        body: Vec::new(),
        content: Vec::new(),
        end: End::Incomplete,
    })
}

fn sized(message: &mut Message, rest: &[u8], length: Option<usize>) {
    let Some(length) = length else {
        message.body = rest.to_vec();
        message.end = End::Malformed;
        return;
    };
    message.body = rest[..length.min(rest.len())].to_vec();
    message.content = message.body.clone();
    message.end = if rest.len() < length { End::Incomplete } else { End::Complete };
}

fn chunked(message: &mut Message, rest: &[u8]) {
    let (end, bytes) = chunks(rest, &mut message.content);
    message.end = end;
    message.body = rest[..bytes].to_vec();
}

/// How a chunked body ends, and its length on the wire.
fn chunks(stream: &[u8], content: &mut Vec<u8>) -> (End, usize) {
    let mut at = 0;
    loop {
        let Some(line_end) = find(&stream[at..], b"\r\n") else {
            return (End::Incomplete, stream.len());
        };
        let line = &stream[at..at + line_end];
        let digits = line.split(|b| *b == b';').next().unwrap_or_default();
        let Ok(size) = usize::from_str_radix(&String::from_utf8_lossy(digits), 16) else {
            return (End::Malformed, stream.len());
        };
        at += line_end + 2;
        if size == 0 {
            break;
        }
        let data = &stream[at..];
        content.extend_from_slice(&data[..size.min(data.len())]);
        if data.len() < size.saturating_add(2) {
            return (End::Incomplete, stream.len());
        }
        if &data[size..size + 2] != b"\r\n" {
            return (End::Malformed, stream.len());
        }
        at += size + 2;
    }
    loop {
        match find(&stream[at..], b"\r\n") {
            None => return (End::Incomplete, stream.len()),
            Some(0) => return (End::Complete, at + 2),
            Some(line_end) => at += line_end + 2,
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
