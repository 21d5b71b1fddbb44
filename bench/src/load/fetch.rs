//! GETs in a closed loop: one after the other on kept connections, or one on each. Every answer
//! must be the one that the backend sends. It must not know who answers.

use std::rc::Rc;
use std::time::Instant;

use rustls::HandshakeKind;

use super::answer::{Answer, Expected};
use super::connection::{Dialogue, Next, Tally};
use super::engine::{self, Outcome};
use super::stream::{Fault, Stream};
use super::{Edge, Plan, Target, head};

/// A request and what has to come of it.
#[derive(Clone, Debug)]
pub struct Step {
    pub request: Vec<u8>,
    pub expected: Expected,
}

impl Step {
    /// The 64 bytes.
    pub fn small(target: &Target) -> Step {
        Step { request: head::request(target, "/"), expected: Expected::Small }
    }

    pub fn filler(target: &Target, bytes: u64) -> Step {
        let request = head::request(target, &format!("/bytes/{bytes}"));
        Step { request, expected: Expected::Filler(bytes) }
    }
}

/// How long a connection is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Connections {
    Kept,
    /// For one round of the steps.
    Renewed,
    /// The same, and the handshake has to be of this kind.
    Shaken(HandshakeKind),
}

/// Runs the steps over and over on each connection. A round trip is a round of all of them.
pub fn run(
    plan: &Plan,
    steps: Vec<Step>,
    connections: Connections,
    edge: impl FnMut(Edge) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    anyhow::ensure!(!steps.is_empty(), "nothing to ask for");
    let steps: Rc<[Step]> = steps.into();
    let make = |number| Fetch {
        is_first: number < plan.connections,
        steps: steps.clone(),
        at: 0,
        answer: Answer::default(),
        connections,
        started: Instant::now(),
    };
    engine::run(plan, make, edge)
}

struct Fetch {
    /// Nothing came before it that could be resumed.
    is_first: bool,
    steps: Rc<[Step]>,
    /// The step that waits for its answer.
    at: usize,
    answer: Answer,
    connections: Connections,
    started: Instant,
}

impl Fetch {
    fn round_ended(&mut self, stream: &mut Stream, tally: &mut Tally) -> Result<Next, Fault> {
        if let Connections::Shaken(kind) = self.connections
            && !self.is_first
            && stream.handshake() != Some(kind)
        {
            return Err(Fault::Answer(format!("a handshake of {:?}", stream.handshake())));
        }
        self.started = tally.round_trip(self.started);
        self.at = 0;
        match self.connections {
            Connections::Kept => {
                stream.send_all(&self.steps[0].request)?;
                Ok(Next::Stay)
            }
            Connections::Renewed | Connections::Shaken(_) => Ok(Next::Renew),
        }
    }
}

impl Dialogue for Fetch {
    fn begin(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        stream.send_all(&self.steps[0].request)
    }

    fn received(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<Next, Fault> {
        let taken = self.answer.take(bytes, self.steps[self.at].expected)?;
        tally.transferred(taken.body_bytes);
        if !taken.complete {
            return Ok(Next::Stay);
        }
        self.at += 1;
        if self.at == self.steps.len() {
            return self.round_ended(stream, tally);
        }
        stream.send_all(&self.steps[self.at].request)?;
        Ok(Next::Stay)
    }

    fn writable(&mut self, _stream: &mut Stream, _tally: &mut Tally) -> Result<(), Fault> {
        Ok(())
    }
}
