//! What the upstream of one run answers, in all the ways in which it may, and in some in which it
//! may not; and when it begins to.

use crate::random::Random;
use crate::script::{self, Kind, Made};

#[derive(Clone)]
pub struct Answer {
    pub bytes: Vec<u8>,
    pub begins: Begins,
    /// It closes its connection behind the answer without having said so.
    pub leaves: bool,
    pub mutated: bool,
    /// It is malformed, and known to be.
    pub bad: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    AfterHead,
    /// After that many bytes of the request's body, or all of it.
    AfterBody(usize),
    WhenComplete,
}

impl Answer {
    /// For requests that nobody planned.
    pub fn plain() -> Self {
        Self {
            bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            begins: Begins::WhenComplete,
            leaves: false,
            mutated: false,
            bad: false,
        }
    }
}

pub fn answer(random: &mut Random, id: usize, request: Made) -> Answer {
    let mut bytes = Vec::new();
    let interim = if random.percent(1) { 20 } else { random.below(3) * random.below(2) };
    for _ in 0..interim {
        let head = random.pick(&["100 Continue\r\n", "103 Early Hints\r\nLink: </a>\r\n"]);
        bytes.extend_from_slice(format!("HTTP/1.1 {head}\r\n").as_bytes());
    }
    let switched = request.kind == Kind::Upgrade && random.percent(80);
    let bad = !switched && random.percent(3);
    match (switched, bad) {
        (true, _) => write_switch(random, &mut bytes),
        (false, true) => write_bad(random, &mut bytes),
        (false, false) => write_final(random, id, request.head_only, &mut bytes),
    }
    if random.percent(3) {
        bytes.truncate(random.below(bytes.len()));
    } else if random.percent(4) && request.kind != Kind::Upgrade {
        bytes
            .extend_from_slice(b"HTTP/1.1 200 OK\r\nX-Answer: excess\r\nContent-Length: 0\r\n\r\n");
    }
    let begins = match random.below(10) {
        0 => Begins::AfterHead,
        1 => Begins::AfterBody(random.below(100)),
        _ => Begins::WhenComplete,
    };
    let mutated = random.percent(4) && script::flip(random, &mut bytes);
    // A flipped byte may have made a good one of a bad one.
    let bad = (bad || interim > 16) && !mutated;
    Answer { bytes, begins, leaves: random.percent(10), mutated, bad }
}

fn write_switch(random: &mut Random, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    out.extend(script::content(random));
}

fn write_bad(random: &mut Random, out: &mut Vec<u8>) {
    out.extend_from_slice(random.pick(&[
        &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3,3\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/3 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"\r\n\r\n",
    ]));
}

fn write_final(random: &mut Random, id: usize, head_only: bool, out: &mut Vec<u8>) {
    let old = random.percent(10);
    let status = match random.below(10) {
        0 => "204 No Content",
        1 => "304 Not Modified",
        2 => "404",
        _ => "200 OK",
    };
    let version = if old { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut line = |text: &str| {
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    line(&format!("{version} {status}\r\nX-Answer: {id}"));
    match random.below(12) {
        0 => line("Connection: close"),
        1..7 if old => line("Connection: keep-alive\r\nKeep-Alive: timeout=5"),
        2 => line("X-Portico-User: root\r\nSet-Cookie: portico=1"),
        _ => {}
    }
    let content = script::content(random);
    let body = match random.below(if old { 2 } else { 4 }) {
        _ if status.starts_with("204") => {
            if random.percent(20) {
                line("Content-Length: 5");
            }
            Vec::new()
        }
        0 if random.percent(30) => content,
        0 | 1 => {
            line(&format!("Content-Length: {}", content.len()));
            content
        }
        _ => {
            line("Transfer-Encoding: chunked");
            script::chunked(random, &content)
        }
    };
    line("");
    if !head_only && !status.starts_with("304") {
        out.extend(body);
    }
}
