//! Many upgraded connections that say nothing: what one of them costs the proxy in memory. Each is
//! asked for one echo at the end, so that a dropped connection cannot pass for a cheap one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::{Target, connection, head, kernel};
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
        ping(socket, index).with_context(|| format!("connection {index} after idling"))?;
    }
    let used_bytes = process::resident_bytes(pid)?;
    Ok(Memory { before_bytes, open_bytes, used_bytes, connections })
}

/// An upgraded connection, blocking, with nothing said on it.
pub fn upgraded(target: &Target) -> anyhow::Result<TcpStream> {
    let mut socket = connection::connect(target.address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&head::upgrade_request(&target.host, "/echo"))?;
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let count = socket.read(&mut piece)?;
        ensure!(count > 0, "closed instead of an upgrade");
        answer.extend_from_slice(&piece[..count]);
        if let Some(head) = head::parse(&answer).map_err(anyhow::Error::msg)? {
            ensure!(head.status == 101, "no upgrade: {head:?}");
            return Ok(socket);
        }
    }
}

fn ping(socket: &mut TcpStream, index: usize) -> anyhow::Result<()> {
    let message = (index as u64).to_be_bytes();
    socket.write_all(&message)?;
    let mut answer = [0; 8];
    socket.read_exact(&mut answer)?;
    ensure!(answer == message, "other bytes came back than were sent");
    Ok(())
}
