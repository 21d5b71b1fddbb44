//! The provided buffers of a ring (IORING_REGISTER_PBUF_RING, Linux 5.19): one mapping of equal
//! buffers that the kernel picks from when bytes arrive, so that a connection that waits holds
//! none. The kernel takes them in turn, so it is given no more than are needed at one time: all
//! that it has go through the processor's caches, and their first pages stay in memory.
//!
//! Where registering fails (older kernels) receives use a buffer from the heap instead.

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use portico_core::limits::{RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS_PER_WORKER};

/// The buffer group of every receive.
pub(super) const GROUP: u16 = 0;

const COUNT: u16 = RECEIVE_BUFFERS_PER_WORKER as u16;
/// As many as it is given to begin with.
pub(super) const FIRST: u16 = 64;
/// When it has less left, it is given as many more: what comes all together should find enough.
const LOW: u16 = 16;
/// From one buffer to the next. Small messages touch the first lines of each buffer only: a power
/// of two would put those of all buffers into a few sets of the processor's caches.
const STRIDE: usize = RECEIVE_BUFFER_BYTES + 2 * 64;
/// Of a worker's looks, one a second.
const CROWDED_LOOKS: u8 = 10;
const IORING_REGISTER_PBUF_RING: libc::c_uint = 22;

/// `struct io_uring_buf` of `include/uapi/linux/io_uring.h`.
#[repr(C)]
struct Descriptor {
    address: u64,
    length: u32,
    id: u16,
    /// In the first descriptor this is the ring's tail.
    tail: u16,
}

/// `struct io_uring_buf_reg`.
#[repr(C)]
struct Registration {
    ring_address: u64,
    ring_entries: u32,
    group: u16,
    flags: u16,
    reserved: [u64; 3],
}

pub(super) struct BufferRing {
    descriptors: Mapping,
    memory: Mapping,
    tail: Cell<u16>,
    registered: bool,
    /// How many are in use, here or in the kernel's hands: the first so many.
    used: Cell<u16>,
    /// How many the kernel has, as far as it has told.
    left: Cell<u16>,
    /// The kernel knows receives that go on, and their bound.
    can_arrive: Cell<bool>,
    exhausted: Cell<u64>,
    /// For how many more looks (`take_exhausted`) it counts as crowded.
    crowded: Cell<u8>,
}

/// One buffer, handed over by a completion. Goes back to the kernel when dropped.
pub(in crate::io) struct RingBuffer {
    ring: Rc<BufferRing>,
    id: u16,
}

impl BufferRing {
    /// Registers the buffers with the ring; where that fails, it works without (`is_registered`).
    pub(super) fn new(ring: RawFd) -> io::Result<Rc<Self>> {
        let descriptors = Mapping::new(usize::from(COUNT) * size_of::<Descriptor>())?;
        // Untouched pages cost nothing: memory grows with what is used at one time.
        let memory = Mapping::new(usize::from(COUNT) * STRIDE)?;
        let registered = register(ring, &descriptors).is_ok();
        let ring = Self {
            descriptors,
            memory,
            tail: Cell::new(0),
            registered,
            used: Cell::new(0),
            left: Cell::new(0),
            can_arrive: Cell::new(registered),
            exhausted: Cell::new(0),
            crowded: Cell::new(0),
        };
        if registered {
            ring.give_more(FIRST);
        }
        Ok(Rc::new(ring))
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registered
    }

    /// Whether a receive may go on by itself. It takes a buffer the moment that bytes come, while
    /// one receive at a time leaves them where they are until the connection has its turn: so not
    /// where buffers are short.
    pub(super) fn may_arrive(&self) -> bool {
        self.can_arrive.get() && !self.is_crowded()
    }

    /// There was no buffer for a receive, not long ago.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.get() > 0
    }

    /// The kernel has refused it.
    pub(super) fn cannot_arrive(&self) {
        self.can_arrive.set(false);
    }

    /// The kernel has filled one.
    pub(super) fn picked(&self) {
        self.left.set(self.left.get() - 1);
        if self.left.get() < LOW {
            self.give_more(LOW);
        }
    }

    /// A receive found no buffer. Whether the next one may find one, because there are more than
    /// were used so far.
    pub(super) fn found_none(&self) -> bool {
        let used = self.used.get();
        if used == COUNT {
            self.note_exhausted();
            return false;
        }
        // One more at least, so that asking again comes to an end.
        self.give_more(if self.left.get() == 0 { used } else { 1 });
        true
    }

    /// How many were ever needed at one time, about.
    #[cfg(test)]
    pub(super) fn used(&self) -> u16 {
        self.used.get()
    }

    fn give_more(&self, count: u16) {
        let used = self.used.get();
        let more = COUNT.min(used + count);
        self.used.set(more);
        (used..more).for_each(|id| self.give(id));
    }

    fn note_exhausted(&self) {
        self.exhausted.set(self.exhausted.get() + 1);
        self.crowded.set(CROWDED_LOOKS);
    }

    /// How many receives found none since this was last asked.
    pub(super) fn take_exhausted(&self) -> u64 {
        self.crowded.set(self.crowded.get().saturating_sub(1));
        self.exhausted.take()
    }

    /// The buffer that a completion named.
    pub(super) fn take(self: &Rc<Self>, id: u16) -> RingBuffer {
        assert!(id < COUNT, "the kernel named a buffer that it was not given");
        RingBuffer { ring: self.clone(), id }
    }

    fn give(&self, id: u16) {
        self.left.set(self.left.get() + 1);
        let tail = self.tail.get();
        let slot = usize::from(tail % COUNT);
        let address = self.memory.at(usize::from(id) * STRIDE);
        let descriptor = self.descriptors.at(slot * size_of::<Descriptor>()).cast::<Descriptor>();
        // SAFETY: `slot` lies within the mapping, which is aligned to a page. The kernel does not
        // read a slot before the tail has passed it, and it holds at most COUNT buffers, so the
        // slot is ours. Field by field, because the first slot's last field is the tail itself.
        unsafe {
            (&raw mut (*descriptor).address).write(address as u64);
            (&raw mut (*descriptor).length).write(RECEIVE_BUFFER_BYTES as u32);
            (&raw mut (*descriptor).id).write(id);
        }
        self.tail.set(tail.wrapping_add(1));
        let first = self.descriptors.at(0).cast::<Descriptor>();
        // SAFETY: the tail lies in the first descriptor of the mapping, aligned to two bytes. It is
        // shared with the kernel, hence atomic: the release orders the slot before it.
        let shared_tail = unsafe { AtomicU16::from_ptr(&raw mut (*first).tail) };
        shared_tail.store(self.tail.get(), Ordering::Release);
    }
}

impl RingBuffer {
    pub(in crate::io) fn memory(&self) -> &[u8] {
        let start = self.ring.memory.at(usize::from(self.id) * STRIDE);
        // SAFETY: the buffer lies within the mapping, which lives as long as the ring that this
        // holds. From the completion that named it until `give` in drop the kernel does not write
        // to it.
        unsafe { std::slice::from_raw_parts(start, RECEIVE_BUFFER_BYTES) }
    }
}

impl Drop for RingBuffer {
    fn drop(&mut self) {
        self.ring.give(self.id);
    }
}

fn register(ring: RawFd, descriptors: &Mapping) -> io::Result<()> {
    let registration = Registration {
        ring_address: descriptors.at(0) as u64,
        ring_entries: u32::from(COUNT),
        group: GROUP,
        flags: 0,
        reserved: [0; 3],
    };
    // SAFETY: the registration is valid for the duration of the call; the mapping that it names is
    // unmapped only after the ring is gone (the driver drops the runtime first).
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            IORING_REGISTER_PBUF_RING,
            &raw const registration,
            1,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Private anonymous memory, aligned to a page, given back when dropped.
struct Mapping {
    start: *mut u8,
    bytes: usize,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Self> {
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing of
        // ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), bytes })
    }

    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes, "outside of the mapping");
        // SAFETY: the offset lies within the mapping, as just checked.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and whoever pointed into it is gone.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}
