//! A client that starts a large download and stops reading: what the proxy keeps in memory for it.
//! It must not know how the proxy buffers, only what the process weighs.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::{Target, connection, head, kernel};
use crate::process;

pub const DOWNLOAD_BYTES: u64 = 1 << 30;
const READ_BYTES: usize = 1 << 20;
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
/// After the client is gone, how long the proxy has to give memory back before it is weighed.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Stalled {
    pub before_bytes: u64,
    pub peak_bytes: u64,
    pub after_bytes: u64,
}

/// Reads 1 MiB of a 1 GiB download, stops for `stall`, leaves, and weighs the process tree of
/// `pid` all the while.
pub fn run(target: &Target, stall: Duration, pid: u32) -> anyhow::Result<Stalled> {
    let before_bytes = process::resident_bytes(pid)?;
    let mut socket = connection::connect(target.address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(&head::request(&target.host, &format!("/bytes/{DOWNLOAD_BYTES}")))?;
    let mut first = vec![0; READ_BYTES];
    socket.read_exact(&mut first)?;
    match head::parse(&first).map_err(anyhow::Error::msg)? {
        Some(head) if head.status == 200 && head.content_length == Some(DOWNLOAD_BYTES) => {}
        other => bail!("no download of {DOWNLOAD_BYTES} bytes: {other:?}"),
    }

    let mut peak_bytes = process::resident_bytes(pid)?;
    let end = Instant::now() + stall;
    while Instant::now() < end {
        ensure!(kernel::pause(SAMPLE_EVERY), "interrupted");
        peak_bytes = peak_bytes.max(process::resident_bytes(pid)?);
    }
    drop(socket);
    ensure!(kernel::pause(SETTLE), "interrupted");
    Ok(Stalled { before_bytes, peak_bytes, after_bytes: process::resident_bytes(pid)? })
}
