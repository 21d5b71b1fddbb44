//! Accounting: what goes through this process is counted per session, by the kernel where it lets
//! us (`kernel`), else by asking the sockets. Here is which of the two it is, the slots that are
//! counted in, and the meter that reads them. Accounting never decides traffic, and knows nothing
//! of sockets: those know their slot.

mod slots;
mod kernel;
mod cgroup;
mod meter;
mod totals;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portico_core::limits;
use portico_core::route::Route;
use portico_ebpf::{FAULTS_LEN, Fault, UNROUTED_ACCEPTED, UNROUTED_CONNECTED};

pub(crate) use kernel::Kernel;
pub use meter::Meter;
pub(crate) use slots::{Means, Side, Slot, Slots, Use};
pub(crate) use totals::{Labelled, Shares, Totals};

/// How connections are counted, as the operator wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountingChoice {
    /// By the kernel where that may be, else by asking each socket.
    #[default]
    Auto,
    Ebpf,
    TcpInfo,
    Off,
}

impl AccountingChoice {
    pub const WORDS: &str = "auto, ebpf, tcp_info, off";

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ebpf => "ebpf",
            Self::TcpInfo => "tcp_info",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for AccountingChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Auto, Self::Ebpf, Self::TcpInfo, Self::Off]
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| format!("is not one of {}", Self::WORDS))
    }
}

/// Where the counts come from, with the reason.
enum Source {
    Ebpf(Box<Kernel>),
    TcpInfo,
    Off,
}

/// What a process counts of its connections.
pub struct Accounting {
    source: Source,
    /// Why it is this source, in a word.
    reason: &'static str,
    slots: Slots,
    /// Slots for which the kernel had no room.
    overflowed: AtomicU64,
    looks: Looks,
    totals: Mutex<Totals>,
}

/// The meter's wish that all workers look at their connections before it reads.
#[derive(Default)]
struct Looks {
    /// How often that was wished.
    wished: AtomicU64,
    /// Workers that have looked since the last wish, and how many there are.
    done: AtomicUsize,
    workers: AtomicUsize,
}

/// A sum for each side, where the kernel has room.
fn opened(kernel: &Kernel, slot: u64) -> bool {
    let keys = [Side::Client, Side::Upstream].map(|side| side.key(slot));
    match keys.iter().try_for_each(|key| kernel.add(*key)) {
        Ok(()) => true,
        Err(full) => {
            tracing::debug!(
                error = &full as &dyn std::error::Error,
                "a session's sockets are asked"
            );
            keys.iter().for_each(|key| drop(kernel.remove(*key)));
            false
        }
    }
}

/// A worker that takes looks, until this is dropped.
pub(crate) struct Looking(Arc<Accounting>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looks.workers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The kernel was asked for, and does not let us.
#[derive(Debug, thiserror::Error)]
#[error("eBPF was asked for but cannot be used: {0}. Or use `--accounting auto`")]
pub struct Refused(String);

impl Accounting {
    /// To be called before any socket is made that is to be counted: a kernel's program sees the
    /// sockets of a control group, which this process may have to enter first.
    pub fn start(choice: AccountingChoice, session_metrics: bool) -> Result<Arc<Self>, Refused> {
        let (source, reason) = match choice {
            AccountingChoice::Off => (Source::Off, "requested"),
            AccountingChoice::TcpInfo => (Source::TcpInfo, "requested"),
            AccountingChoice::Auto | AccountingChoice::Ebpf => {
                match (Kernel::load(2 * limits::KERNEL_SLOTS_MAX + 2), choice) {
                    (Ok(kernel), AccountingChoice::Ebpf) => {
                        (Source::Ebpf(Box::new(kernel)), "requested")
                    }
                    (Ok(kernel), _) => (Source::Ebpf(Box::new(kernel)), "available"),
                    (Err(unavailable), AccountingChoice::Ebpf) => {
                        return Err(Refused(unavailable.to_string()));
                    }
                    (Err(unavailable), _) => {
                        tracing::warn!("connections are counted by TCP_INFO: {unavailable}");
                        (Source::TcpInfo, unavailable.reason.as_str())
                    }
                }
            }
        };
        let accounting = Self {
            source,
            reason,
            slots: Slots::new(limits::SLOTS_MAX),
            overflowed: AtomicU64::new(0),
            looks: Looks::default(),
            totals: Mutex::new(Totals::with_sessions(session_metrics)),
        };
        tracing::info!(source = accounting.source_word(), reason, "accounting");
        Ok(Arc::new(accounting))
    }

    pub(crate) fn source_word(&self) -> &'static str {
        match self.source {
            Source::Ebpf(_) => AccountingChoice::Ebpf.as_str(),
            Source::TcpInfo => AccountingChoice::TcpInfo.as_str(),
            Source::Off => AccountingChoice::Off.as_str(),
        }
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Sessions that are counted now.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Connections that found no slot.
    pub(crate) fn unslotted(&self) -> u64 {
        self.slots.refused()
    }

    /// What the kernel's program could not count.
    pub(crate) fn faults(&self) -> [(&'static str, u64); FAULTS_LEN] {
        let counts = match &self.source {
            Source::Ebpf(kernel) => kernel.faults().unwrap_or_default(),
            Source::TcpInfo | Source::Off => [0; FAULTS_LEN],
        };
        Fault::ALL.map(|fault| (fault.as_str(), counts[fault as usize]))
    }

    /// Connections that closed before they were anybody's.
    pub(crate) fn unrouted(&self) -> [(&'static str, u64); 2] {
        let closed = |key| match &self.source {
            Source::Ebpf(kernel) => kernel.read(key).map_or(0, |tally| tally.closed),
            Source::TcpInfo | Source::Off => 0,
        };
        [("client", closed(UNROUTED_ACCEPTED)), ("upstream", closed(UNROUTED_CONNECTED))]
    }

    /// Where the connections of a route's session are counted; none where there are too many
    /// sessions at once. Where the kernel has no room for one more its sockets are asked.
    pub(crate) fn slot_of(&self, route: &Route) -> Option<Arc<Slot>> {
        self.slots.of(route, |number| match &self.source {
            Source::Ebpf(kernel) if !opened(kernel, number) => {
                self.overflowed.fetch_add(1, Ordering::Relaxed);
                Means::Ask
            }
            Source::Ebpf(_) | Source::TcpInfo | Source::Off => self.means(),
        })
    }

    /// By which a connection is counted, also for nobody.
    pub(crate) fn means(&self) -> Means {
        match &self.source {
            Source::Ebpf(kernel) => Means::Tag { owner: kernel.owner() },
            Source::TcpInfo => Means::Ask,
            Source::Off => Means::Nothing,
        }
    }

    /// Sessions for which the kernel had no room, so that their sockets were asked.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// What was read of the meter so far, for who only wants sums.
    pub(crate) fn with_totals<T>(&self, read: impl FnOnce(&mut Totals) -> T) -> T {
        read(&mut self.totals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn join(self: &Arc<Self>) -> Looking {
        self.looks.workers.fetch_add(1, Ordering::AcqRel);
        Looking(self.clone())
    }

    /// Whether the meter wishes for a look that this worker has not taken: `seen` is its last one.
    pub(crate) fn wants_look(&self, seen: &std::cell::Cell<u64>) -> bool {
        let wished = self.looks.wished.load(Ordering::Acquire);
        seen.replace(wished) != wished
    }

    pub(crate) fn looked(&self) {
        self.looks.done.fetch_add(1, Ordering::AcqRel);
    }
}
