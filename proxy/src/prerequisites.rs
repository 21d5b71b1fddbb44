//! What a data plane needs of a machine, asked without starting one. The probes are those of the
//! start itself, so that both say the same.

use crate::accounting::Kernel;
use crate::io::probe_uring;
use crate::start::{Files, StartError};

/// Why the machine does not do something: one word, as in the metrics, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub reason: &'static str,
    pub detail: String,
}

/// Whether a worker's ring can be set up and used.
pub fn io_uring() -> Result<(), Missing> {
    probe_uring()
        .map_err(|refused| Missing { reason: refused.reason, detail: refused.advice.to_owned() })
}

/// Whether the kernel lets programs count. They are attached for the moment of this call, and this
/// process enters a group of its own for it where it is in the root group.
pub fn ebpf() -> Result<(), Missing> {
    // As few keys as there can be: how many fit is a matter of memory, and of the start.
    Kernel::load(2).map(drop).map_err(|unavailable| Missing {
        reason: unavailable.reason.as_str(),
        detail: unavailable.detail.clone(),
    })
}

/// Clients' connections that so many workers take together by the limit of open files.
pub fn connections_max(workers: usize) -> Result<usize, StartError> {
    Files::per_worker(workers).map(|files| files.connections * workers)
}
