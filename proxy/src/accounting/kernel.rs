//! The kernel's half of accounting, as the rest of the data plane sees it: the programs loaded and
//! attached, keys added and removed, tallies read. It must not know what a key stands for.

use std::fs::File;
use std::io;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use aya::maps::{MapData, MapError, PerCpuArray, PerCpuHashMap, PerCpuValues};
use aya::programs::{CgroupAttachMode, CgroupSockopt, ProgramError, SockOps};
use aya::util::{KernelVersion, nr_cpus};
use aya::{Ebpf, EbpfError, EbpfLoader};
use portico_ebpf::{
    FAULTS, FAULTS_LEN, OBJECT, OWNER, SETSOCKOPT, SOCK_OPS, TALLIES, TALLY_WORDS, Tally,
    UNROUTED_ACCEPTED, UNROUTED_CONNECTED,
};
use thiserror::Error;

use super::cgroup::{Cgroup, CgroupError};

#[cfg(test)]
mod tests;

/// Older kernels charge maps to RLIMIT_MEMLOCK; callbacks about segments came with 5.10.
const OLDEST: (u8, u8, u16) = (5, 11, 0);

/// The kernel refuses to add what is there (`BPF_NOEXIST`).
const ONLY_NEW: u64 = 1;

/// The programs, counting for as long as this lives.
///
/// All TCP sockets that processes of the group make from then on are counted, so those that are
/// never tagged (of listeners for management, of clients of the store, of another Portico in the
/// same group) appear under the two unrouted keys. Each process has tallies of its own, and its
/// programs leave a socket alone once another process has tagged it.
pub(crate) struct Kernel {
    owner: u64,
    tallies: RwLock<PerCpuHashMap<MapData, u64, [u64; TALLY_WORDS]>>,
    faults: PerCpuArray<MapData, u64>,
    processors: usize,
    // Dropped in this order: detached, and then the group is left.
    _programs: Ebpf,
    _cgroup: Cgroup,
}

/// No further key can be counted until another is removed.
#[derive(Debug, Error)]
#[error("the kernel keeps no further tally")]
pub(crate) struct Full(#[source] io::Error);

/// Why the kernel does not count for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    NoCapBpf,
    NoCgroupV2,
    CgroupNotWritable,
    KernelTooOld,
    Refused,
}

/// The kernel does not count for us; said with the fix.
#[derive(Debug, Error)]
#[error("the kernel does not count traffic ({detail}); {}", reason.fix())]
pub(crate) struct Unavailable {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Kernel {
    /// Enters a group if need be, loads the programs and attaches them, with room for
    /// `tallies_max` keys. Call it before the first socket is made.
    pub(crate) fn load(tallies_max: u32) -> Result<Self, Unavailable> {
        let kernel = KernelVersion::current().unwrap_or(KernelVersion::new(0, 0, 0));
        if kernel < KernelVersion::new(OLDEST.0, OLDEST.1, OLDEST.2) {
            return Err(Unavailable {
                reason: Reason::KernelTooOld,
                detail: format!("Linux {kernel:?}"),
            });
        }
        Self::attach(Cgroup::ours()?, tallies_max)
    }

    fn attach(cgroup: Cgroup, tallies_max: u32) -> Result<Self, Unavailable> {
        let owner = getrandom::u64().map_err(|error| refused(&error))?;
        let mut programs = EbpfLoader::new()
            // The programs ask nothing of the kernel's own types.
            .btf(None)
            .map_max_entries(TALLIES, tallies_max.max(2))
            .override_global(OWNER, &owner, true)
            .load(OBJECT)?;
        let folder = File::open(cgroup.path())
            .map_err(|source| CgroupError::Read { path: cgroup.path().to_owned(), source })?;
        let tallies = map(&mut programs, TALLIES)?.try_into()?;
        let faults = map(&mut programs, FAULTS)?.try_into()?;
        let processors = nr_cpus().map_err(|(path, error)| refused(&format!("{path}: {error}")))?;
        let mut kernel = Self {
            owner,
            tallies: RwLock::new(tallies),
            faults,
            processors,
            _programs: programs,
            _cgroup: cgroup,
        };
        for key in [UNROUTED_ACCEPTED, UNROUTED_CONNECTED] {
            kernel.add(key).map_err(|full| refused(&full.0))?;
        }
        attach_to(&mut kernel._programs, &folder)?;
        Ok(kernel)
    }

    /// Begins a tally.
    pub(crate) fn add(&self, key: u64) -> Result<(), Full> {
        let zeros = vec![[0; TALLY_WORDS]; self.processors];
        let zeros = PerCpuValues::try_from(zeros).map_err(Full)?;
        let mut tallies = self.tallies.write().unwrap_or_else(PoisonError::into_inner);
        tallies.insert(key, zeros, ONLY_NEW).map_err(|error| Full(os_error(error)))
    }

    /// What has been counted for a key, on all processors together.
    pub(crate) fn read(&self, key: u64) -> io::Result<Tally> {
        let parts = self.tallies().get(&key, 0).map_err(os_error)?;
        let mut sum = Tally::default();
        parts.iter().for_each(|part| sum.add(&Tally::from_words(part)));
        Ok(sum)
    }

    /// Ends a tally. Sockets that are still tagged with its key are counted as faults.
    pub(crate) fn remove(&self, key: u64) -> io::Result<()> {
        let mut tallies = self.tallies.write().unwrap_or_else(PoisonError::into_inner);
        tallies.remove(&key).map_err(os_error)
    }

    /// How often what went wrong, by `portico_ebpf::Fault`, since the programs were attached.
    pub(crate) fn faults(&self) -> io::Result<[u64; FAULTS_LEN]> {
        let mut sums = [0; FAULTS_LEN];
        for (index, sum) in (0..).zip(&mut sums) {
            *sum = self.faults.get(&index, 0).map_err(os_error)?.iter().sum();
        }
        Ok(sums)
    }

    /// What tells our programs, and no others, to count a socket.
    pub(crate) fn owner(&self) -> u64 {
        self.owner
    }

    /// What tells our programs, and no others, to count a socket for `key`. The boundary is for a
    /// socket that has a key already: the bytes of payload that have been read from and written to
    /// it where the new key begins.
    #[cfg(test)]
    pub(crate) fn tag(&self, key: u64, received: u32, sent: u32) -> portico_ebpf::Tag {
        portico_ebpf::Tag { owner: self.owner, key, received, sent }
    }

    fn tallies(&self) -> RwLockReadGuard<'_, PerCpuHashMap<MapData, u64, [u64; TALLY_WORDS]>> {
        self.tallies.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mode is without flags: links to groups, which this makes, are always among others, and the
/// kernel refuses the flag that says so (`cgroup_bpf_link_attach()`, kernel/bpf/cgroup.c, 6.18).
fn attach_to(programs: &mut Ebpf, cgroup: &File) -> Result<(), Unavailable> {
    let missing = |name: &str| refused(&format!("the object has no program {name}"));
    let sock_ops = programs.program_mut(SOCK_OPS).ok_or_else(|| missing(SOCK_OPS))?;
    let sock_ops: &mut SockOps = sock_ops.try_into()?;
    sock_ops.load()?;
    sock_ops.attach(cgroup, CgroupAttachMode::Single)?;
    let setsockopt = programs.program_mut(SETSOCKOPT).ok_or_else(|| missing(SETSOCKOPT))?;
    let setsockopt: &mut CgroupSockopt = setsockopt.try_into()?;
    setsockopt.load()?;
    setsockopt.attach(cgroup, CgroupAttachMode::Single)?;
    Ok(())
}

fn map(programs: &mut Ebpf, name: &str) -> Result<aya::maps::Map, Unavailable> {
    programs.take_map(name).ok_or_else(|| refused(&format!("the object has no map {name}")))
}

impl Reason {
    /// As the value of a label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoCapBpf => "no_cap_bpf",
            Self::NoCgroupV2 => "no_cgroup_v2",
            Self::CgroupNotWritable => "cgroup_not_writable",
            Self::KernelTooOld => "kernel_too_old",
            Self::Refused => "refused",
        }
    }

    fn fix(self) -> &'static str {
        match self {
            Self::NoCapBpf => {
                "give it CAP_BPF and CAP_NET_ADMIN, and a seccomp profile that allows bpf()"
            }
            Self::NoCgroupV2 => "mount cgroup v2 (mount -t cgroup2 none /sys/fs/cgroup/unified)",
            Self::CgroupNotWritable => {
                "start it in a group of its own (a systemd unit or a container does), or let it \
                 write to the cgroup v2 mount"
            }
            Self::KernelTooOld => "Linux 5.11 or newer is needed",
            Self::Refused => "this kernel may be built without CONFIG_CGROUP_BPF, or forbid it",
        }
    }
}

/// For what has no fix that could be told.
fn refused(why: &dyn std::fmt::Display) -> Unavailable {
    Unavailable { reason: Reason::Refused, detail: why.to_string() }
}

/// All causes in words, and whether a capability is missing.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Unavailable {
    let mut detail = brief(&error.to_string());
    let mut reason = reason(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = brief(&error.to_string());
        if !detail.contains(&text) {
            detail = format!("{detail}: {text}");
        }
        if reason == Reason::Refused {
            reason = self::reason(error);
        }
        cause = error.source();
    }
    Unavailable { reason, detail }
}

/// EPERM is a missing capability or a seccomp filter; the verifier refuses with EACCES.
fn reason(error: &(dyn std::error::Error + 'static)) -> Reason {
    let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    if number == Some(libc::EPERM) { Reason::NoCapBpf } else { Reason::Refused }
}

/// One line: the verifier says much, and why it refuses towards its end.
fn brief(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.as_slice() {
        [first, .., before, last, _, _, _] if lines.len() > 6 => {
            format!("{first} … {before} … {last}")
        }
        lines => lines.join("; "),
    }
}

impl From<EbpfError> for Unavailable {
    fn from(error: EbpfError) -> Self {
        unavailable(&error)
    }
}

impl From<MapError> for Unavailable {
    fn from(error: MapError) -> Self {
        unavailable(&error)
    }
}

impl From<ProgramError> for Unavailable {
    fn from(error: ProgramError) -> Self {
        unavailable(&error)
    }
}

impl From<CgroupError> for Unavailable {
    fn from(error: CgroupError) -> Self {
        let reason = match error {
            CgroupError::NoVersion2 | CgroupError::Read { .. } => Reason::NoCgroupV2,
            CgroupError::Enter { .. } => Reason::CgroupNotWritable,
        };
        Self { reason, ..unavailable(&error) }
    }
}

fn os_error(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        MapError::IoError(error) => error,
        MapError::KeyNotFound | MapError::ElementNotFound => io::ErrorKind::NotFound.into(),
        other => io::Error::other(other),
    }
}
