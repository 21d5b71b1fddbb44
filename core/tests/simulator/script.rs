//! What the client of one run sends: pipelined requests, sometimes with an invalid one, a switch of
//! protocols at the end, a flipped byte, or an end in mid-message.

use crate::random::Random;

pub struct Script {
    pub bytes: Vec<u8>,
    /// Requests made, whether or not they are reached.
    pub requests: Vec<Made>,
    /// The bytes are not those that were made.
    pub mutated: bool,
    /// Cut off before the end.
    pub cut: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Made {
    pub kind: Kind,
    pub head_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Valid,
    /// Asks for a switch; what follows in the script is in the other protocol.
    Upgrade,
    /// Refused by its head.
    BadHead,
    /// Refused in its body.
    BadBody,
}

/// Request heads (`|` ends a line) that are refused, in front of what would be smuggled.
const BAD_HEADS: [&str; 17] = [
    "POST /bad HTTP/1.1|Host: a1.example|Content-Length: 3|Transfer-Encoding: chunked|",
    "POST /bad HTTP/1.1|Host: a1.example|Content-Length: 3|Content-Length: 3|",
    "POST /bad HTTP/1.1|Host: a1.example|Content-Length: +3|",
    "POST /bad HTTP/1.1|Host: a1.example|Transfer-Encoding: xchunked|",
    "POST /bad HTTP/1.1|Host: a1.example|Transfer-Encoding: chunked, identity|",
    "POST /bad HTTP/1.0|Host: a1.example|Transfer-Encoding: chunked|",
    "POST /bad HTTP/1.1|Host: a1.example|Transfer-Encoding:| chunked|",
    "POST /bad HTTP/1.1|Host: a1.example|Content-Length : 3|",
    "GET /bad HTTP/1.1|Host: a1.example|X: a\nContent-Length: 3|",
    "GET /bad HTTP/1.1|Host: a1.example|X: a\rContent-Length: 3|",
    "GET /bad HTTP/1.1|",
    "GET /bad HTTP/1.1|Host: a1.example|Host: a1.example|",
    "GET /bad#x HTTP/1.1|Host: a1.example|",
    "GET http://a2.example/ HTTP/1.1|Host: a1.example|",
    "GET /bad HTTP/2.0|Host: a1.example|",
    "CONNECT a1.example:80 HTTP/1.1|Host: a1.example|",
    "|GET /bad HTTP/1.1|Host: a1.example|",
];

const BAD_CHUNKS: [&str; 7] = [
    "3\r\nabcX0\r\n\r\n",
    "3\nabc\r\n0\r\n\r\n",
    "-3\r\nabc\r\n0\r\n\r\n",
    " 3\r\nabc\r\n0\r\n\r\n",
    "3;x\nabc\r\n0\r\n\r\n",
    "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
];

/// Content that a reader who has lost the thread would take for something else.
const LURES: [&[u8]; 6] = [
    b"GET /lure HTTP/1.1\r\nHost: a1.example\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Answer: lure\r\nContent-Length: 0\r\n\r\n",
    b"0\r\n\r\n",
    b"\r\n\r\n",
    b"5\r\nhello\r\n",
    b"\0\xff\n",
];

pub fn script(random: &mut Random) -> Script {
    let count = 1 + random.below(6);
    let mut script = Script { bytes: Vec::new(), requests: Vec::new(), mutated: false, cut: false };
    for id in 0..count {
        let kind = match random.below(100) {
            0..5 => Kind::BadHead,
            5..8 => Kind::BadBody,
            8..30 if id + 1 == count => Kind::Upgrade,
            _ => Kind::Valid,
        };
        let head_only = kind == Kind::Valid && random.percent(15);
        write_request(random, id, kind, head_only, &mut script.bytes);
        script.requests.push(Made { kind, head_only });
    }
    if random.percent(10) {
        script.cut = true;
        let kept = random.below(script.bytes.len());
        script.bytes.truncate(kept);
    }
    script.mutated = random.percent(15) && flip(random, &mut script.bytes);
    script
}

/// Changes up to three bytes, mostly into ones that mean something to a parser.
pub fn flip(random: &mut Random, bytes: &mut [u8]) -> bool {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            let random_byte = random.next() as u8;
            *byte = random.pick(&[b'\r', b'\n', b' ', b':', b',', b'0', b'9', b'a', random_byte]);
        }
    }
    !bytes.is_empty()
}

/// Random bytes with lures among them.
pub fn content(random: &mut Random) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 0..random.below(5) {
        if random.percent(50) {
            content.extend_from_slice(random.pick(&LURES));
        } else {
            let length = if random.percent(3) { 5000 } else { random.below(60) };
            content.extend((0..length).map(|_| random.next() as u8));
        }
    }
    content
}

/// A chunked body in some of the ways in which it may be written.
pub fn chunked(random: &mut Random, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let size = random.cut(content.len() - at);
        let line = match random.below(4) {
            0 => format!("{size:X}\r\n"),
            1 => format!("{size:04x};a=\"b c\";d\r\n"),
            _ => format!("{size:x}\r\n"),
        };
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(&content[at..at + size]);
        out.extend_from_slice(b"\r\n");
        at += size;
    }
    out.extend_from_slice(random.pick(&[&b"0\r\n"[..], b"000\r\n", b"0;last\r\n"]));
    if random.percent(30) {
        out.extend_from_slice(b"X-Checksum: 0\r\nX-Other:\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn write_request(random: &mut Random, id: usize, kind: Kind, head_only: bool, out: &mut Vec<u8>) {
    let mut line = |text: &str| {
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    match kind {
        Kind::BadHead => {
            line(&random.pick(&BAD_HEADS).replace('|', "\r\n"));
            return out.extend_from_slice(LURES[0]);
        }
        Kind::BadBody => {
            line("POST /bad HTTP/1.1\r\nHost: a1.example\r\nTransfer-Encoding: chunked\r\n");
            out.extend_from_slice(random.pick(&BAD_CHUNKS).as_bytes());
            return out.extend_from_slice(LURES[0]);
        }
        Kind::Upgrade => {
            line(&format!("GET /up{id} HTTP/1.1\r\nHost: a1.example\r\nX-Id: {id}"));
            line("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n");
            return out.extend(content(random));
        }
        Kind::Valid => {}
    }
    let version = if random.percent(12) { "HTTP/1.0" } else { "HTTP/1.1" };
    let method = match head_only {
        true => "HEAD",
        false => random.pick(&["GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    };
    let origin = if random.percent(10) { "http://a1.example" } else { "" };
    line(&format!("{method} {origin}/p{id}?x={} {version}", random.next()));
    line(&format!("Host: a1.example\r\nX-Id: {id}"));
    for noise in [
        "X-Portico-User: root",
        "X_Portico_User: root",
        "X-Forwarded-For: 127.0.0.1",
        "Cookie: __Host-portico-grant=x; a=1",
        "Connection: X-Noise\r\nX-Noise: 1",
        "Connection: Keep-Alive\r\nKeep-Alive: timeout=5",
        "TE: trailers",
        "Upgrade: websocket",
    ] {
        if random.percent(15) {
            line(noise);
        }
    }
    if random.percent(4) {
        line("Connection: close");
    }
    write_body(random, version, out);
}

fn write_body(random: &mut Random, version: &str, out: &mut Vec<u8>) {
    let chunks = version == "HTTP/1.1";
    let framing = random.below(if chunks { 4 } else { 3 });
    if framing >= 2 && random.percent(20) {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    let content = content(random);
    match framing {
        0 | 1 => out.extend_from_slice(b"\r\n"),
        2 => {
            out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", content.len()).as_bytes());
            out.extend_from_slice(&content);
        }
        _ => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            out.extend(chunked(random, &content));
        }
    }
}
