//! The driver of one worker thread: tokio on epoll, or tokio on io_uring. Made once per thread, its
//! event loop runs the worker's main future to its end.

use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Mutex;

use tokio::task::LocalSet;

use super::uring::BufferRing;

/// Cheap to clone: what a socket needs to know of the thread's driver.
#[derive(Clone)]
pub(crate) struct Driver(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    Uring(Rc<BufferRing>),
    Epoll,
}

/// Entries of the submission queue: one flush takes what a full turn of the worker produced.
const SUBMISSIONS: u32 = 1024;
/// Completions wait here while the worker is busy: two for each of several thousand connections.
/// More than that the kernel keeps aside (IORING_FEAT_NODROP), at a cost.
const COMPLETIONS: u32 = 16 * 1024;

/// Rings are made and ended one at a time, so that the descriptor that appears is the one just
/// made.
static MAKING_A_RING: Mutex<()> = Mutex::new(());

/// A thread's event loop before it runs: making it is what a machine can refuse.
pub(crate) struct EventLoop(Made);

enum Made {
    // In this order they go: after the ring nothing points to the buffers.
    Uring { runtime: tokio_uring::Runtime, buffers: Rc<BufferRing> },
    Epoll { local: LocalSet, runtime: tokio::runtime::Runtime },
}

impl EventLoop {
    /// On io_uring, with a ring of a worker's size and its buffers.
    pub(crate) fn uring() -> io::Result<Self> {
        let _one_at_a_time = MAKING_A_RING.lock();
        let before = ring_descriptors()?;
        let runtime = uring_runtime(SUBMISSIONS, COMPLETIONS)?;
        let ring = ring_descriptors()?.into_iter().find(|fd| !before.contains(fd));
        let ring = ring.ok_or_else(|| io::Error::other("the ring's descriptor is not there"))?;
        Ok(Self(Made::Uring { runtime, buffers: BufferRing::new(ring)? }))
    }

    pub(crate) fn epoll() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Made::Epoll { local: LocalSet::new(), runtime }))
    }

    /// Runs `main` on this thread, which is the one that made it.
    pub(crate) fn run<F: Future>(self, main: impl FnOnce(Driver) -> F) -> F::Output {
        match self.0 {
            Made::Uring { runtime, buffers } => {
                let output = runtime.block_on(main(Driver(Kind::Uring(buffers.clone()))));
                // The ring goes first: after it nothing points to the buffers. Not while another is
                // made, which could get the same descriptor and would be taken for this one.
                let one_at_a_time = MAKING_A_RING.lock();
                drop(runtime);
                drop(one_at_a_time);
                drop(buffers);
                output
            }
            Made::Epoll { local, runtime } => {
                local.block_on(&runtime, async { main(Driver(Kind::Epoll)).await })
            }
        }
    }
}

impl Driver {
    /// How often a receive found all shared buffers in use since this was last asked.
    pub(crate) fn take_exhausted(&self) -> u64 {
        match &self.0 {
            Kind::Uring(buffers) => buffers.take_exhausted(),
            Kind::Epoll => 0,
        }
    }
}

/// `SINGLE_ISSUER` and `COOP_TASKRUN` (Linux 6.0, 5.19) spare interrupts between processors.
/// Kernels before them refuse the flags with EINVAL and get a plain ring.
fn uring_runtime(entries: u32, completions: u32) -> io::Result<tokio_uring::Runtime> {
    let start = |cooperative: bool| {
        let mut ring = tokio_uring::uring_builder();
        ring.setup_cqsize(completions);
        if cooperative {
            ring.setup_single_issuer().setup_coop_taskrun();
        }
        let mut builder = tokio_uring::builder();
        builder.entries(entries).uring_builder(&ring);
        tokio_uring::Runtime::new(&builder)
    };
    match start(true) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => start(false),
        started => started,
    }
}

fn ring_descriptors() -> io::Result<Vec<RawFd>> {
    let mut rings = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // The listing's own descriptor is gone by the time its link is read.
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        if target.as_os_str() == "anon_inode:[io_uring]" {
            rings.extend(entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
        }
    }
    Ok(rings)
}

/// Keeps the calling thread on one processor, so that a connection's memory stays in its caches.
/// Fails where the process may not use that processor; the thread then runs anywhere.
pub(crate) fn pin_to_core(index: usize) -> io::Result<()> {
    let allowed = allowed_cores()?;
    let core = allowed[index % allowed.len()];
    // SAFETY: an all-zero set is a valid empty one, `core` came out of such a set, and both are
    // valid for the duration of the call.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: as above; the kernel fills the set, whose size it is told.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        set
    };
    let is_set = |core: &usize| {
        // SAFETY: the index is below the size of the set.
        unsafe { libc::CPU_ISSET(*core, &set) }
    };
    Ok((0..libc::CPU_SETSIZE as usize).filter(is_set).collect())
}

/// The number of files that this process may open, raised to what the system allows it.
pub(crate) fn open_files_max() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid for the duration of each call; the kernel fills and reads it.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
            limit = raised;
        }
    }
    Ok(limit.rlim_cur)
}
