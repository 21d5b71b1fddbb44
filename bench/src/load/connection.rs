//! What one connection of a closed loop does between two readiness events, and what the run tells
//! it. It must not know how readiness is found.

use std::time::Instant;

use super::latency::Latency;
use super::stream::{Fault, Stream};

/// Room for the largest message with its head, so that one read drains a socket.
pub const SCRATCH_BYTES: usize = 64 * 1024;

/// A kind of load, seen from one connection.
pub trait Dialogue {
    /// The connection is new: say the first thing.
    fn begin(&mut self, stream: &mut Stream) -> Result<(), Fault>;
    /// Some bytes arrived.
    fn received(
        &mut self,
        stream: &mut Stream,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<Next, Fault>;
    /// There may be room to send again. Called before reading, on every event.
    fn writable(&mut self, stream: &mut Stream, tally: &mut Tally) -> Result<(), Fault>;
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Stay,
    /// It has served: a new one takes its place.
    Renew,
}

/// What is counted, in the measuring window only.
#[derive(Default)]
pub struct Tally {
    pub measuring: bool,
    pub completed: u64,
    /// Of bodies, in the direction of the load.
    pub bytes: u64,
    pub latency: Latency,
}

impl Tally {
    /// A round trip ended; the next one starts at the moment that is returned.
    pub fn round_trip(&mut self, started: Instant) -> Instant {
        let now = Instant::now();
        if self.measuring {
            self.completed += 1;
            self.latency.record(now - started);
        }
        now
    }

    pub fn transferred(&mut self, bytes: usize) {
        if self.measuring {
            self.bytes += bytes as u64;
        }
    }
}
