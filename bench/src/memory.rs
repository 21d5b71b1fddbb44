//! What idle connections and a stalled client cost each proxy in memory, one proxy after another.
//! It must not know how a proxy is configured.

use std::time::Duration;

use anyhow::Context;

use crate::compare::lab::{Lab, LabOptions};
use crate::load::{Target, idle, stalled};

pub struct Options {
    pub lab: LabOptions,
    pub connections: usize,
    pub hold: Duration,
    pub stall: Duration,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut lab = Lab::open(&options.lab)?;
    for subject in &lab.subjects {
        let name = subject.kind.name();
        let target = Target { address: subject.address, host: subject.host.clone() };
        let pid = subject.running.pid();
        let stalled = stalled::run(&target, options.stall, pid)
            .with_context(|| format!("stalled download through {name}"))?;
        print_stalled(name, &stalled);
        let memory = idle::run(&target, options.connections, options.hold, pid)
            .with_context(|| format!("idle connections through {name}"))?;
        print_idle(name, &memory);
    }
    lab.check()
}

pub fn print_idle(name: &str, memory: &idle::Memory) {
    println!(
        "{name}: {} idle upgraded connections: {} before, {} open ({} B each), \
         {} after an echo on each ({} B each)",
        memory.connections,
        mebibytes(memory.before_bytes),
        mebibytes(memory.open_bytes),
        memory.bytes_per_connection(),
        mebibytes(memory.used_bytes),
        memory.bytes_per_used_connection(),
    );
}

pub fn print_stalled(name: &str, stalled: &stalled::Stalled) {
    println!(
        "{name}: stalled download of 1 GiB: {} before, {} at most, {} after",
        mebibytes(stalled.before_bytes),
        mebibytes(stalled.peak_bytes),
        mebibytes(stalled.after_bytes),
    );
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
