//! The only place of this crate that calls the kernel directly: epoll, cores, limits, signals.
//! Each function is safe to call; it must not know what runs over the sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// More than this many events per wait gains nothing and delays the clock.
const EVENTS_PER_WAIT: usize = 512;

/// Edge-triggered readiness of many sockets. A socket is added once and leaves by being closed.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    pub fn new() -> io::Result<Poll> {
        // SAFETY: takes no pointer; the result is checked before it is owned.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was opened by the line above, and nobody else has it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poll { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_PER_WAIT] })
    }

    /// Reports `socket` under `key` whenever it becomes readable, writable or closed.
    pub fn add(&self, socket: &impl AsFd, key: u64) -> io::Result<()> {
        let interest = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: interest as u32, u64: key };
        let (epoll, fd) = (self.epoll.as_raw_fd(), socket.as_fd().as_raw_fd());
        // SAFETY: both descriptors are open, and `event` outlives the call, which copies it.
        checked(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) })?;
        Ok(())
    }

    /// As `wait`, with a timeout finer than a millisecond.
    pub fn wait_briefly(&mut self, timeout: Duration, keys: &mut Vec<u64>) -> io::Result<()> {
        let mut entry =
            libc::pollfd { fd: self.epoll.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos() as libc::c_long,
        };
        // SAFETY: one entry and one time, both alive during the call; no signal mask is given.
        let ready = unsafe { libc::ppoll(&mut entry, 1, &timeout, std::ptr::null()) };
        match checked(ready) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.wait(Duration::ZERO, keys)
    }

    /// Fills `keys` with the sockets that changed. A signal or the timeout leaves it empty.
    pub fn wait(&mut self, timeout: Duration, keys: &mut Vec<u64>) -> io::Result<()> {
        keys.clear();
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let (epoll, room) = (self.epoll.as_raw_fd(), self.events.len() as i32);
        // SAFETY: the kernel writes at most `room` events into a vector of that length.
        let found = unsafe { libc::epoll_wait(epoll, self.events.as_mut_ptr(), room, timeout) };
        match checked(found) {
            Ok(count) => keys.extend(self.events[..count as usize].iter().map(|event| event.u64)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// While this lives, the kernel wakes this thread when it asked to be woken, and not up to 50 µs
/// later together with others. Children inherit it, so none is started meanwhile.
pub struct Punctual(());

impl Punctual {
    pub fn begin() -> io::Result<Punctual> {
        // SAFETY: takes no pointer; the argument is a number of nanoseconds.
        checked(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) })?;
        Ok(Punctual(()))
    }
}

impl Drop for Punctual {
    fn drop(&mut self) {
        // SAFETY: as above; 0 is the value that the thread began with.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 0 as libc::c_ulong) };
    }
}

/// Keeps this thread, and what it starts later, on one core.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    // SAFETY: all-zero is a valid, empty set; it is filled and read within its own size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if core >= 8 * size_of::<libc::cpu_set_t>() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        libc::CPU_SET(core, &mut set);
        checked(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set))?;
    }
    Ok(())
}

/// The command will run on `core`, and gets `SIGTERM` when the thread that starts it goes away,
/// however it goes: a crashed bench leaves no proxy behind.
pub fn confine(command: &mut Command, core: usize) {
    let prepare = move || {
        pin_to_core(core)?;
        // SAFETY: takes no pointer.
        checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// Asks a process to end (`SIGTERM`), or ends it (`SIGKILL`). One that is gone is no mistake.
pub fn end(pid: u32, how: Ending) {
    let signal = match how {
        Ending::Asked => libc::SIGTERM,
        Ending::Forced => libc::SIGKILL,
    };
    if let Ok(pid) = i32::try_from(pid)
        && pid > 1
    {
        // SAFETY: takes no pointer; a positive number names one process, never a group.
        unsafe { libc::kill(pid, signal) };
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Ending {
    Asked,
    Forced,
}

/// Raises the number of open files to what the machine allows, for us and for our children.
pub fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills one `rlimit`, then reads one.
    unsafe {
        checked(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        checked(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
    }
    Ok(limit.rlim_cur)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interrupt(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C and `SIGTERM` are noted instead of ending the process, so that guards run.
pub fn watch_interrupts() {
    let handler = note_interrupt as extern "C" fn(libc::c_int);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Waits for `time`, or less when interrupted; says whether the whole time passed.
pub fn pause(time: Duration) -> bool {
    let end = Instant::now() + time;
    while !interrupted() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    false
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
