//! Clients that start a large download and stop reading: what the proxy keeps in memory for them.
//! It must not know how the proxy buffers, only what the process weighs.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::idle::{Duplex, blocking, mebibytes};
use super::{Target, head, kernel};
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
    pub readers: usize,
}

impl Stalled {
    pub fn bytes_per_reader(&self) -> f64 {
        self.peak_bytes.saturating_sub(self.before_bytes) as f64 / self.readers.max(1) as f64
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} stalled downloads of 1 GiB: {} before, {} at most, {} after",
            self.readers,
            mebibytes(self.before_bytes),
            mebibytes(self.peak_bytes),
            mebibytes(self.after_bytes),
        )
    }
}

/// So many readers take 1 MiB of a 1 GiB download each, stop for `stall` and leave; the process
/// tree of `pid` is weighed all the while.
pub fn run(target: &Target, readers: usize, stall: Duration, pid: u32) -> anyhow::Result<Stalled> {
    let before_bytes = process::resident_bytes(pid)?;
    let open: Vec<_> = (0..readers).map(|_| begun(target)).collect::<anyhow::Result<_>>()?;
    let mut peak_bytes = process::resident_bytes(pid)?;
    let end = Instant::now() + stall;
    while Instant::now() < end {
        ensure!(kernel::pause(SAMPLE_EVERY), "interrupted");
        peak_bytes = peak_bytes.max(process::resident_bytes(pid)?);
    }
    drop(open);
    ensure!(kernel::pause(SETTLE), "interrupted");
    Ok(Stalled { before_bytes, peak_bytes, after_bytes: process::resident_bytes(pid)?, readers })
}

/// A download that was read for a moment.
fn begun(target: &Target) -> anyhow::Result<Box<dyn Duplex>> {
    let mut stream = blocking(target)?;
    stream.write_all(&head::request(target, &format!("/bytes/{DOWNLOAD_BYTES}")))?;
    let mut first = vec![0; READ_BYTES];
    stream.read_exact(&mut first)?;
    match head::parse(&first).map_err(anyhow::Error::msg)? {
        Some(head) if head.status == 200 && head.content_length == Some(DOWNLOAD_BYTES) => {}
        other => bail!("no download of {DOWNLOAD_BYTES} bytes: {other:?}"),
    }
    Ok(stream)
}
