//! A group, a loaded kernel half, and connections whose two ends are counted for a key each.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use portico_ebpf::{FAULTS_LEN, Fault, Tally};
use socket2::{SockFilter, SockRef};

use super::super::Kernel;
use crate::accounting::cgroup::Cgroup;
use crate::io;

/// The key of the accepted end, and of the connected one.
pub(super) const HERE: u64 = 10;
pub(super) const THERE: u64 = 11;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct World {
    pub(super) kernel: Kernel,
    pub(super) group: Group,
}

/// A group of threads, which holds the thread of one test.
pub(super) struct Group {
    parent: PathBuf,
    path: PathBuf,
}

impl Group {
    pub(super) fn enter() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let parent = Cgroup::located().expect("cgroup v2 is mounted");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("portico-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a group: needs root");
        fs::write(path.join("cgroup.type"), "threaded").expect("a group of threads");
        fs::write(path.join("cgroup.threads"), "0").expect("this thread enters");
        Self { parent, path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.parent.join("cgroup.threads"), "0");
        // A thread that has been joined may take a moment to be gone.
        let deadline = Instant::now() + PATIENCE;
        while fs::remove_dir(&self.path).is_err() && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

impl World {
    pub(super) fn new() -> Self {
        let group = Group::enter();
        let kernel = attached(&group, 64);
        Self { kernel, group }
    }

    /// A connection whose ends are tagged.
    pub(super) fn pair(&self) -> Pair {
        for key in [HERE, THERE] {
            self.kernel.add(key).expect("there is room");
        }
        let pair = Pair::new();
        self.tag(&pair.here, HERE, 0, 0);
        self.tag(&pair.there, THERE, 0, 0);
        pair
    }

    pub(super) fn tag(&self, stream: &TcpStream, key: u64, received: u32, sent: u32) {
        let tag = self.kernel.tag(key, received, sent);
        io::tag(stream.as_fd(), &tag).expect("a socket that is counted");
    }

    pub(super) fn read(&self, key: u64) -> Tally {
        self.kernel.read(key).expect("a key that was added")
    }

    /// The tally of a key once its one socket has closed.
    pub(super) fn closed(&self, key: u64) -> Tally {
        until(|| self.read(key), |tally| tally.closed == 1)
    }

    pub(super) fn fault(&self, fault: Fault) -> u64 {
        self.kernel.faults().expect("faults")[fault as usize]
    }

    #[track_caller]
    pub(super) fn assert_no_faults(&self) {
        assert_eq!(self.kernel.faults().expect("faults"), [0; FAULTS_LEN]);
    }
}

pub(super) fn attached(group: &Group, tallies_max: u32) -> Kernel {
    let group = Cgroup::at(group.path().to_owned());
    Kernel::attach(group, tallies_max).expect("needs CAP_BPF and CAP_NET_ADMIN")
}

pub(super) struct Pair {
    /// Accepted.
    pub(super) here: TcpStream,
    /// Connected.
    pub(super) there: TcpStream,
}

impl Pair {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let there = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (here, _) = listener.accept().expect("accepts");
        for stream in [&here, &there] {
            stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        }
        Self { here, there }
    }

    /// So many bytes to either end, read there.
    pub(super) fn exchange(&mut self, to_here: usize, to_there: usize) {
        send(&mut self.there, to_here);
        receive(&mut self.here, to_here);
        send(&mut self.here, to_there);
        receive(&mut self.there, to_there);
    }
}

pub(super) fn send(stream: &mut TcpStream, bytes: usize) {
    stream.write_all(&vec![7; bytes]).expect("it is open");
}

pub(super) fn receive(stream: &mut TcpStream, bytes: usize) {
    stream.read_exact(&mut vec![0; bytes]).expect("it comes");
}

#[track_caller]
pub(super) fn receive_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).expect("no reset"), 0, "the stream has ended");
}

/// Whatever comes for a socket is lost until the answer is called.
pub(super) fn deafen(stream: &TcpStream) -> impl FnOnce() + use<> {
    let stream = stream.try_clone().expect("a descriptor");
    let nothing = SockFilter::new(libc::BPF_RET as u16, 0, 0, 0);
    SockRef::from(&stream).attach_filter(&[nothing]).expect("a filter");
    move || SockRef::from(&stream).detach_filter().expect("it is there")
}

/// Looks until it is so.
#[track_caller]
pub(super) fn until<T: std::fmt::Debug>(look: impl Fn() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if is_so(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "still {seen:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
