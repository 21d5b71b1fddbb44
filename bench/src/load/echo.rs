//! Ping-pong of raw bytes on upgraded connections in a closed loop; what comes back must be what
//! was sent. It must not know who echoes.

use std::net::TcpStream;
use std::rc::Rc;
use std::time::Instant;

use super::connection::{Dialogue, Fault, Tally, send_some};
use super::engine::{self, Outcome};
use super::{Edge, Plan, head};

/// Messages start at different places of the pattern, so that bytes of another connection or of
/// an earlier round are noticed. A prime, so that the starts do not fall in step.
const STARTS: usize = 251;

pub fn run(
    plan: &Plan,
    message_bytes: usize,
    edge: impl FnMut(Edge) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    anyhow::ensure!(message_bytes > 0, "a message has at least one byte");
    let request: Rc<[u8]> = head::upgrade_request(&plan.target.host, "/echo").into();
    let pattern: Rc<[u8]> = pattern(message_bytes + STARTS).into();
    let make = |index: usize| Echo {
        request: request.clone(),
        pattern: pattern.clone(),
        message_bytes,
        start: index % STARTS,
        sent: 0,
        received: 0,
        stage: Stage::Asking(Vec::new()),
        started: Instant::now(),
    };
    engine::run(plan, make, edge)
}

struct Echo {
    request: Rc<[u8]>,
    pattern: Rc<[u8]>,
    message_bytes: usize,
    start: usize,
    sent: usize,
    received: usize,
    stage: Stage,
    started: Instant,
}

enum Stage {
    /// Waiting for the 101, with what came of it.
    Asking(Vec<u8>),
    Open,
}

impl Echo {
    fn send_rest(&mut self, socket: &TcpStream) -> Result<(), Fault> {
        let message = &self.pattern[self.start..self.start + self.message_bytes];
        self.sent += send_some(socket, &message[self.sent..])?;
        Ok(())
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let end = self.received + bytes.len();
        if end > self.sent {
            return Err(Fault::Answer(format!("{end} bytes came back for {} sent", self.sent)));
        }
        if bytes != &self.pattern[self.start + self.received..self.start + end] {
            return Err(Fault::Answer("other bytes came back than were sent".into()));
        }
        self.received = end;
        Ok(())
    }
}

impl Dialogue for Echo {
    fn begin(&mut self, socket: &TcpStream) -> Result<(), Fault> {
        match send_some(socket, &self.request)? {
            sent if sent == self.request.len() => Ok(()),
            sent => Err(Fault::Answer(format!("only {sent} bytes of a request could be sent"))),
        }
    }

    fn received(
        &mut self,
        socket: &TcpStream,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        if let Stage::Asking(partial) = &mut self.stage {
            partial.extend_from_slice(bytes);
            let Some(head) = head::parse(partial).map_err(Fault::Answer)? else { return Ok(()) };
            if head.status != 101 || head.head_bytes != partial.len() {
                return Err(Fault::Answer(format!("no upgrade: {head:?}")));
            }
            self.stage = Stage::Open;
            self.started = Instant::now();
            return self.send_rest(socket);
        }
        self.check(bytes)?;
        if self.received == self.message_bytes {
            self.started = tally.round_trip(self.started);
            self.start = (self.start + 1) % STARTS;
            (self.sent, self.received) = (0, 0);
            self.send_rest(socket)?;
        }
        Ok(())
    }

    fn writable(&mut self, socket: &TcpStream) -> Result<(), Fault> {
        match self.stage {
            Stage::Open if self.sent < self.message_bytes => self.send_rest(socket),
            Stage::Open | Stage::Asking(_) => Ok(()),
        }
    }
}

/// Bytes without a short period (xorshift), the same in every run.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
