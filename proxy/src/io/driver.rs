//! The driver of one worker thread: tokio on epoll, and beside it a ring of io_uring where that is
//! used. Made once per thread, its event loop runs the worker's main future to its end.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

use super::uring::{self, Ring};

/// Cheap to clone: what a socket needs to know of the thread's driver.
#[derive(Clone)]
pub(crate) struct Driver(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    Uring(Rc<Ring>),
    Epoll,
}

thread_local! {
    /// The ring of this thread, for what the runtime calls before it sleeps.
    static RING: RefCell<Option<Rc<Ring>>> = const { RefCell::new(None) };
}

/// A thread's event loop before it runs: making it is what a machine can refuse.
pub(crate) struct EventLoop {
    driver: Driver,
    /// The ring, where there is one, as what ends a sleep.
    ring: Option<AsyncFd<Rc<Ring>>>,
    runtime: Runtime,
}

impl EventLoop {
    /// On io_uring, with a ring of a worker's size and its buffers.
    pub(crate) fn uring() -> io::Result<Self> {
        let ring = Ring::new()?;
        let runtime = Builder::new_current_thread().enable_all().on_thread_park(turn).build()?;
        let entered = runtime.enter();
        // SAFETY: a ring owns its descriptor and always names the same one; the registration owns a
        // handle of it and ends before that.
        let readable =
            unsafe { AsyncFd::register_with_interest(ring.clone(), Interest::READABLE) }?;
        drop(entered);
        Ok(Self { driver: Driver(Kind::Uring(ring)), ring: Some(readable), runtime })
    }

    pub(crate) fn epoll() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { driver: Driver(Kind::Epoll), ring: None, runtime })
    }

    /// Runs `main` on this thread, which is the one that made it.
    pub(crate) fn run<F: Future>(self, main: impl FnOnce(Driver) -> F) -> F::Output {
        // In reverse they go, also when a task panics: with the runtime all tasks and their
        // sockets, then the ring.
        let _ring_of_this_thread = RingOfThisThread;
        let Self { driver, ring, runtime } = self;
        if let Some(ring) = ring {
            RING.set(Some(ring.get_ref().clone()));
            let _entered = runtime.enter();
            spawn(wake(ring));
        }
        runtime.block_on(async { main(driver).await })
    }
}

struct RingOfThisThread;

impl Drop for RingOfThisThread {
    fn drop(&mut self) {
        RING.set(None);
    }
}

/// What the worker's tasks have pushed goes to the kernel when none of them can go on.
fn turn() {
    RING.with_borrow(|ring| ring.iter().for_each(|ring| ring.turn()));
}

/// Ends a sleep when completions are there.
async fn wake(ring: AsyncFd<Rc<Ring>>) {
    while let Ok(mut ready) = ring.readable().await {
        ready.clear_ready();
        ring.get_ref().turn();
    }
}

/// A task of this thread's event loop.
pub(crate) fn spawn<F>(task: F) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = ()> + 'static,
{
    struct Here<F>(F);
    // SAFETY: the runtime of this thread is one of a single thread: it polls and drops its tasks on
    // the thread that runs it and in the end drops it, which is this one (`EventLoop::run`).
    unsafe impl<F> Send for Here<F> {}
    impl<F: Future<Output = ()>> Future for Here<F> {
        type Output = ();
        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            // SAFETY: the field is pinned with the whole, and never moved out of it.
            unsafe { self.map_unchecked_mut(|here| &mut here.0) }.poll(context)
        }
    }
    debug_assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::CurrentThread);
    tokio::spawn(Here(task))
}

impl Driver {
    /// How often a receive found all shared buffers in use since this was last asked.
    pub(crate) fn take_exhausted(&self) -> u64 {
        match &self.0 {
            Kind::Uring(ring) => ring.take_exhausted(),
            Kind::Epoll => 0,
        }
    }

    /// Shows that operations go through.
    pub(super) async fn probe(self) -> io::Result<()> {
        match &self.0 {
            Kind::Uring(ring) => uring::probe(ring).await,
            Kind::Epoll => Ok(()),
        }
    }
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
