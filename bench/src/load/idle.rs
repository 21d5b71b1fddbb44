//! Many upgraded connections that say nothing: what one of them costs the proxy in memory. Each is
//! asked for one echo at the end, so that a dropped connection cannot pass for a cheap one.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustls::{ClientConnection, StreamOwned};

use super::stream::{CONNECT_TIMEOUT, server_name};
use super::{Target, head, kernel};
use crate::process;

/// How long a single answer may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Memory {
    pub before_bytes: u64,
    pub open_bytes: u64,
    /// With the connections still open, after each of them echoed one message.
    pub used_bytes: u64,
    pub connections: usize,
}

impl Memory {
    pub fn bytes_per_connection(&self) -> i64 {
        (self.open_bytes as i64 - self.before_bytes as i64) / self.connections.max(1) as i64
    }

    pub fn bytes_per_used_connection(&self) -> i64 {
        (self.used_bytes as i64 - self.before_bytes as i64) / self.connections.max(1) as i64
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} idle upgraded connections: {} before, {} open ({} B each), {} after an echo on \
             each ({} B each)",
            self.connections,
            mebibytes(self.before_bytes),
            mebibytes(self.open_bytes),
            self.bytes_per_connection(),
            mebibytes(self.used_bytes),
            self.bytes_per_used_connection(),
        )
    }
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Opens `connections` upgraded connections, holds them for `hold`, and reads the resident memory
/// of the process tree of `pid` before, while they idle, and after each one echoed.
pub fn run(
    target: &Target,
    connections: usize,
    hold: Duration,
    pid: u32,
) -> anyhow::Result<Memory> {
    let before_bytes = process::resident_bytes(pid)?;
    let mut open = Vec::with_capacity(connections);
    for index in 0..connections {
        if kernel::interrupted() {
            bail!("interrupted");
        }
        open.push(upgraded(target).with_context(|| format!("connection {index}"))?);
    }
    ensure!(kernel::pause(hold), "interrupted");
    let open_bytes = process::resident_bytes(pid)?;
    for (index, socket) in open.iter_mut().enumerate() {
        ping(socket.as_mut(), index).with_context(|| format!("connection {index} after idling"))?;
    }
    let used_bytes = process::resident_bytes(pid)?;
    Ok(Memory { before_bytes, open_bytes, used_bytes, connections })
}

/// A blocking connection, plain or with TLS.
pub trait Duplex: Read + Write {}

impl<T: Read + Write> Duplex for T {}

pub fn blocking(target: &Target) -> anyhow::Result<Box<dyn Duplex>> {
    let socket = TcpStream::connect_timeout(&target.address, CONNECT_TIMEOUT)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let Some(config) = &target.tls else { return Ok(Box::new(socket)) };
    let tls = ClientConnection::new(config.clone(), server_name(target)?)?;
    Ok(Box::new(StreamOwned::new(tls, socket)))
}

/// An upgraded connection with nothing said on it.
fn upgraded(target: &Target) -> anyhow::Result<Box<dyn Duplex>> {
    let mut stream = blocking(target)?;
    stream.write_all(&head::upgrade_request(target, "/echo"))?;
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece)?;
        ensure!(count > 0, "closed instead of an upgrade");
        answer.extend_from_slice(&piece[..count]);
        if let Some(head) = head::parse(&answer).map_err(anyhow::Error::msg)? {
            ensure!(head.status == 101, "no upgrade: {head:?}");
            return Ok(stream);
        }
    }
}

fn ping(stream: &mut dyn Duplex, index: usize) -> anyhow::Result<()> {
    let message = (index as u64).to_be_bytes();
    stream.write_all(&message)?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    ensure!(answer == message, "other bytes came back than were sent");
    Ok(())
}
