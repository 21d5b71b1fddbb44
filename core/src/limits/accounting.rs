//! Bounds of accounting.

use std::time::Duration;

/// Sessions that the kernel counts at the same time for one process; the sockets of further ones
/// are asked. What a slot costs is paid when it is in use: about 1 KiB, and 200 bytes for each
/// processor in the kernel.
pub const KERNEL_SLOTS_MAX: u32 = 65_536;
/// All of them: each has a connection, so the limit of open files comes first.
pub const SLOTS_MAX: usize = 1 << 20;
/// How long the meter waits for all workers to look at their connections: four of their sweeps.
pub const METER_LOOK_TIMEOUT: Duration = Duration::from_secs(1);
pub const METER_LOOK_POLL: Duration = Duration::from_millis(20);
/// A slot whose connections the kernel has not ended is given back after so long: more than the two
/// minutes in which it gives up a vanished client.
pub const METER_UNUSED: Duration = Duration::from_secs(150);
/// Workspaces, and sessions where that is asked for, with labels of their own in the metrics: a
/// Prometheus keeps each for weeks.
pub const WORKSPACE_LABELS_MAX: usize = 50;
pub const SESSION_LABELS_MAX: usize = 1_000;

const _: () = assert!(super::SWEEP_INTERVAL.as_millis() * 2 <= METER_LOOK_TIMEOUT.as_millis());
