//! Large requests in a closed loop: as fast as the connection takes them, each answered by the
//! backend when it has all of it. It must not know who answers.

use std::rc::Rc;
use std::time::Instant;

use super::answer::{Answer, Expected};
use super::connection::{Dialogue, Next, Tally};
use super::engine::{self, Outcome};
use super::stream::{Fault, Stream};
use super::{Edge, Plan, head};
use crate::backend::FILLER;

/// Pieces of this size are given to the socket: as large as it takes at once on loopback.
const PIECE_BYTES: u64 = 128 * 1024;

pub fn run(
    plan: &Plan,
    body_bytes: u64,
    edge: impl FnMut(Edge) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let head: Rc<[u8]> = head::upload_request(&plan.target, "/", body_bytes).into();
    let make = |_| Upload {
        head: head.clone(),
        body_bytes,
        left: 0,
        answer: Answer::default(),
        started: Instant::now(),
    };
    engine::run(plan, make, edge)
}

struct Upload {
    head: Rc<[u8]>,
    body_bytes: u64,
    /// Of the body, to be sent.
    left: u64,
    answer: Answer,
    started: Instant,
}

impl Upload {
    fn ask(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        stream.send_all(&self.head)?;
        self.left = self.body_bytes;
        Ok(())
    }
}

impl Dialogue for Upload {
    fn begin(&mut self, stream: &mut Stream) -> Result<(), Fault> {
        self.ask(stream)?;
        // What it sends before there is an event is not worth counting.
        self.writable(stream, &mut Tally::default())
    }

    fn received(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<Next, Fault> {
        if self.answer.take(bytes, Expected::Small)?.complete {
            if self.left > 0 {
                return Err(Fault::Answer(format!("{} bytes before the end", self.left)));
            }
            self.started = tally.round_trip(self.started);
            self.ask(stream)?;
            self.writable(stream, tally)?;
        }
        Ok(Next::Stay)
    }

    fn writable(&mut self, stream: &mut Stream, tally: &mut Tally) -> Result<(), Fault> {
        while self.left > 0 {
            let piece = self.left.min(PIECE_BYTES) as usize;
            let sent = stream.send_some(&FILLER[..piece])?;
            if sent == 0 {
                break;
            }
            self.left -= sent as u64;
            tally.transferred(sent);
        }
        Ok(())
    }
}
