//! What one connection of a closed loop does between two readiness events, and what the run tells
//! it. It must not know how readiness is found.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::latency::Latency;

/// Room for the largest message with its head, so that one read drains a socket.
pub const SCRATCH_BYTES: usize = 64 * 1024;
/// A proxy that needs longer to take a connection on loopback is not working.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A kind of load, seen from one connection.
pub trait Dialogue {
    /// The connection is new: say the first thing.
    fn begin(&mut self, socket: &TcpStream) -> Result<(), Fault>;
    /// Some bytes arrived.
    fn received(
        &mut self,
        socket: &TcpStream,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<(), Fault>;
    /// There may be room to send again. Called before reading, on every event.
    fn writable(&mut self, socket: &TcpStream) -> Result<(), Fault>;
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the proxy closed the connection")]
    Closed,
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    #[error("wrong answer: {0}")]
    Answer(String),
}

/// What is counted, in the measuring window only.
#[derive(Default)]
pub struct Tally {
    pub measuring: bool,
    pub completed: u64,
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
}

pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Sends as much as the socket takes now.
pub fn send_some(mut socket: &TcpStream, bytes: &[u8]) -> Result<usize, Fault> {
    match socket.write(bytes) {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// One read: `None` when the socket is empty, a fault when the other side is gone.
pub fn receive_some(mut socket: &TcpStream, scratch: &mut [u8]) -> Result<Option<usize>, Fault> {
    match socket.read(scratch) {
        Ok(0) => Err(Fault::Closed),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}
