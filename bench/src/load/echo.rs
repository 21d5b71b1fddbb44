//! Ping-pong of raw bytes on upgraded connections in a closed loop, of one size or of several in
//! turn; what comes back must be what was sent. It must not know who echoes.

use std::rc::Rc;
use std::time::Instant;

use super::connection::{Dialogue, Next, Tally};
use super::engine::{self, Outcome};
use super::stream::{Fault, Stream};
use super::{Edge, Plan, head};

/// Messages start at different places of the pattern, so that bytes of another connection or of
/// an earlier round are noticed. A prime, so that the starts do not fall in step.
const STARTS: usize = 251;

/// Messages of these sizes, again from the first after the last.
pub fn run(
    plan: &Plan,
    sizes: &[usize],
    edge: impl FnMut(Edge) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let largest = sizes.iter().copied().max().unwrap_or(0);
    anyhow::ensure!(!sizes.contains(&0) && largest > 0, "a message has at least one byte");
    let request: Rc<[u8]> = head::upgrade_request(&plan.target, "/echo").into();
    let pattern: Rc<[u8]> = pattern(largest + STARTS).into();
    let sizes: Rc<[usize]> = sizes.into();
    let make = |index: usize| Echo {
        request: request.clone(),
        pattern: pattern.clone(),
        sizes: sizes.clone(),
        // Connections are at different places of the sizes, as people are.
        at: index % sizes.len(),
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
    sizes: Rc<[usize]>,
    /// Whose turn of the sizes it is.
    at: usize,
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
    fn message_bytes(&self) -> usize {
        self.sizes[self.at]
    }

    fn send_rest(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        let message = &self.pattern[self.start..self.start + self.message_bytes()];
        self.sent += stream.send_some(&message[self.sent..])?;
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
    fn begin(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        stream.send_all(&self.request)
    }

    fn received(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<Next, Fault> {
        if let Stage::Asking(partial) = &mut self.stage {
            partial.extend_from_slice(bytes);
            let Some(head) = head::parse(partial).map_err(Fault::Answer)? else {
                return Ok(Next::Stay);
            };
            if head.status != 101 || head.head_bytes != partial.len() {
                return Err(Fault::Answer(format!("no upgrade: {head:?}")));
            }
            self.stage = Stage::Open;
            self.started = Instant::now();
            self.send_rest(stream)?;
            return Ok(Next::Stay);
        }
        self.check(bytes)?;
        if self.received == self.message_bytes() {
            self.started = tally.round_trip(self.started);
            self.start = (self.start + 1) % STARTS;
            self.at = (self.at + 1) % self.sizes.len();
            (self.sent, self.received) = (0, 0);
            self.send_rest(stream)?;
        }
        Ok(Next::Stay)
    }

    fn writable(&mut self, stream: &mut Stream, _tally: &mut Tally) -> Result<(), Fault> {
        match self.stage {
            Stage::Open if self.sent < self.message_bytes() => self.send_rest(stream),
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
