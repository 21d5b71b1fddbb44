//! The kernel as the programs see it: its structures, helpers and maps, each behind a small safe
//! function. All unsafe code of the programs is here, and the verifier checks it at load.

use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::ptr::{self, NonNull};

use aya_ebpf::bindings::{
    BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, BPF_SOCK_OPS_PARSE_ALL_HDR_OPT_CB_FLAG,
    BPF_SOCK_OPS_STATE_CB_FLAG, bpf_sock, bpf_sock_ops, bpf_sockopt, bpf_tcp_sock,
};
use aya_ebpf::btf_maps::SkStorage;
use aya_ebpf::helpers::generated::{
    bpf_ktime_get_ns, bpf_sk_storage_get, bpf_sock_ops_cb_flags_set, bpf_tcp_sock as tcp_sock_of,
};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{PerCpuArray, PerCpuHashMap};
use aya_ebpf::programs::{SockOpsContext, SockoptContext};
use portico_ebpf::{FAULTS_LEN, Fault, RTT_BUCKETS, Tally};

use crate::socket::Socket;

/// How many tallies there may be, unless the loader says otherwise.
const TALLIES_MAX: u32 = 131_072;

/// Longer round trips are counted as this one: the last bucket is open.
const RTT_US_MAX: u32 = (1 << RTT_BUCKETS) - 1;

/// The least page of any machine: where pages are larger, more is passed on whole than need be.
const PAGE_BYTES_MIN: i32 = 4096;

/// What is kept of each socket; the kernel frees it with the socket.
#[btf_map]
static SOCKETS: SkStorage<Socket> = SkStorage::new();

/// User space alone adds and removes entries.
#[map]
static TALLIES: PerCpuHashMap<u64, Tally> =
    PerCpuHashMap::with_max_entries(TALLIES_MAX, BPF_F_NO_PREALLOC);

#[map]
static FAULTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(FAULTS_LEN as u32, 0);

/// Set by the loader.
#[unsafe(no_mangle)]
static OWNER: u64 = 0;

pub fn owner() -> u64 {
    // SAFETY: a valid static; volatile because the loader changes it after the build.
    unsafe { ptr::read_volatile(&raw const OWNER) }
}

/// The time since boot. The coarse clock is cheaper, and not for programs that catch options.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: it takes no argument and cannot fail.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
pub fn count(fault: Fault) {
    if let Some(counter) = FAULTS.get_ptr_mut(fault as u32) {
        add_u64(counter, 1);
    }
}

#[inline(always)]
pub fn tally(key: u64) -> Option<Tallied> {
    TALLIES.get_ptr_mut(&key).and_then(NonNull::new).map(Tallied)
}

/// A store that is not joined with its neighbours.
#[inline(always)]
pub fn store<T>(place: &mut T, value: T) {
    // SAFETY: a reference is valid for a write, and what is kept of a socket needs no drop.
    unsafe { ptr::write_volatile(place, value) };
}

#[inline(always)]
fn add_u64(counter: *mut u64, amount: u64) {
    // SAFETY: `counter` points into the value of a map, aligned, which stays for as long as the
    // program runs even if user space removes its entry.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, amount) };
}

#[inline(always)]
fn add_u32(counter: *mut u32, amount: u32) {
    // SAFETY: as in `add_u64`.
    unsafe { atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(counter, amount) };
}

/// A tally on this processor.
pub struct Tallied(NonNull<Tally>);

/// Adds to a field, unless the amount is zero.
macro_rules! add {
    ($tally:ident . $field:ident, $amount:expr) => {{
        let amount: u64 = $amount;
        if amount != 0 {
            // SAFETY: the field of a value that is there, as in `add_u64`; only its address.
            add_u64(unsafe { &raw mut (*$tally.0.as_ptr()).$field }, amount);
        }
    }};
}

impl Tallied {
    #[inline(always)]
    pub fn opened(&self) {
        add!(self.opened, 1);
    }

    #[inline(always)]
    pub fn closed(&self, is_reset: bool) {
        add!(self.closed, 1);
        add!(self.reset, u64::from(is_reset));
    }

    #[inline(always)]
    pub fn moved(&self) {
        add!(self.moved, 1);
    }

    #[inline(always)]
    pub fn received(&self, bytes: u64) {
        add!(self.bytes_in, bytes);
    }

    #[inline(always)]
    pub fn sent(&self, bytes: u64) {
        add!(self.bytes_out, bytes);
    }

    #[inline(always)]
    pub fn segments(&self, received: u32, sent: u32, retransmits: u32) {
        add!(self.segments_in, u64::from(received));
        add!(self.segments_out, u64::from(sent));
        add!(self.retransmits, u64::from(retransmits));
    }

    /// One sample of a smoothed round-trip time; 0 is that there is none yet.
    #[inline(always)]
    pub fn sample(&self, rtt_us: u32) {
        if rtt_us == 0 {
            return;
        }
        let rtt_us = rtt_us.min(RTT_US_MAX);
        let tally = self.0.as_ptr();
        // SAFETY: the fields of a value that is there, as in `add_u64`. The two times are written
        // without care for who else writes them: either is a sample of the same moment.
        let read_back = unsafe {
            let least = (*tally).rtt_min_us;
            if least == 0 || rtt_us < least {
                (*tally).rtt_min_us = rtt_us;
            }
            ptr::write_volatile(&raw mut (*tally).rtt_smoothed_us, rtt_us);
            ptr::read_volatile(&raw const (*tally).rtt_smoothed_us)
        };
        // Without CAP_PERFMON the verifier refuses an instruction that adds a variable to a pointer
        // on one path and a constant on another, which is what becomes of a minimum. Of what is
        // read from a map it knows nothing.
        let bucket = (read_back | 1).ilog2() as usize;
        if bucket < RTT_BUCKETS {
            // SAFETY: as above, and the bucket exists.
            let bucket = unsafe { (&raw mut (*tally).rtt_histogram).cast::<u32>().add(bucket) };
            add_u32(bucket, 1);
        }
    }
}

/// A socket whose lock is held.
#[derive(Clone, Copy)]
pub struct Sock(NonNull<bpf_sock>);

impl Sock {
    /// None before it is established, and for what is not TCP.
    #[inline(always)]
    pub fn tcp(self) -> Option<Tcp> {
        // SAFETY: the kernel gave the socket, and keeps it for as long as the program runs.
        NonNull::new(unsafe { tcp_sock_of(self.0.as_ptr()) }).map(Tcp)
    }

    #[inline(always)]
    pub fn storage<'a>(self) -> Option<&'a mut Socket> {
        self.storage_with(0)
    }

    #[inline(always)]
    pub fn create_storage<'a>(self) -> Option<&'a mut Socket> {
        self.storage_with(BPF_SK_STORAGE_GET_F_CREATE as u64)
    }

    #[inline(always)]
    fn storage_with<'a>(self, flags: u64) -> Option<&'a mut Socket> {
        let map = (&raw const SOCKETS).cast_mut().cast();
        // SAFETY: map and socket are the kernel's; it makes a value all zero, which is a valid
        // `Socket`. The socket's lock is held, and an entry point asks once: this is the only
        // reference.
        unsafe {
            let value = bpf_sk_storage_get(map, self.0.as_ptr().cast(), ptr::null_mut(), flags);
            value.cast::<Socket>().as_mut()
        }
    }
}

/// The counters of a TCP socket. The verifier turns each read into one of the kernel's own.
pub struct Tcp(NonNull<bpf_tcp_sock>);

macro_rules! counters {
    ($($name:ident: $field:ident -> $type:ty;)*) => {
        impl Tcp {
            $(
                #[inline(always)]
                pub fn $name(&self) -> $type {
                    // SAFETY: the kernel gave the structure, and the field is read as it is
                    // declared; volatile so that reads are not joined into one of another size.
                    unsafe { ptr::read_volatile(&raw const (*self.0.as_ptr()).$field) }
                }
            )*
        }
    };
}

counters! {
    bytes_received: bytes_received -> u64;
    bytes_acked: bytes_acked -> u64;
    segments_in: segs_in -> u32;
    segments_out: segs_out -> u32;
    retransmits: total_retrans -> u32;
    srtt_eighths_us: srtt_us -> u32;
    sent_next: snd_nxt -> u32;
    sent_unacknowledged: snd_una -> u32;
}

impl Tcp {
    #[inline(always)]
    pub fn srtt_us(&self) -> u32 {
        self.srtt_eighths_us() >> 3
    }

    #[inline(always)]
    pub fn all_acknowledged(&self) -> bool {
        self.sent_next() == self.sent_unacknowledged()
    }
}

/// The flag in a segment's header (RFC 9293 section 3.1).
const FIN: u32 = 1;

/// What the kernel calls about.
pub enum Interest {
    /// Changes of state.
    Life,
    /// Every segment that comes.
    Segments,
}

/// A call of `sock_ops`.
pub struct Callback(*mut bpf_sock_ops);

impl Callback {
    #[inline(always)]
    pub fn new(context: &SockOpsContext) -> Self {
        Self(context.ops)
    }

    #[inline(always)]
    pub fn what(&self) -> u32 {
        // SAFETY: the context that the kernel called with, its field read as it is declared.
        unsafe { ptr::read_volatile(&raw const (*self.0).op) }
    }

    #[inline(always)]
    pub fn argument(&self, index: usize) -> u32 {
        // SAFETY: as in `what`; the kernel sets the arguments of every call.
        unsafe { ptr::read_volatile(&raw const (*self.0).__bindgen_anon_1.args[index]) }
    }

    #[inline(always)]
    pub fn sock(&self) -> Option<Sock> {
        // SAFETY: as in `what`; it is null for what is not a full socket.
        NonNull::new(unsafe { ptr::read_volatile(&raw const (*self.0).__bindgen_anon_2.sk) })
            .map(Sock)
    }

    /// Whether the segment that this is about carries a FIN.
    #[inline(always)]
    pub fn has_fin(&self) -> bool {
        // SAFETY: as in `what`.
        unsafe { ptr::read_volatile(&raw const (*self.0).skb_tcp_flags) & FIN != 0 }
    }

    /// Asks to be called; others may have asked for more.
    #[inline(always)]
    pub fn subscribe(&self, interest: Interest) -> Result<(), Fault> {
        let ours = match interest {
            Interest::Life => BPF_SOCK_OPS_STATE_CB_FLAG,
            Interest::Segments => BPF_SOCK_OPS_PARSE_ALL_HDR_OPT_CB_FLAG,
        };
        // SAFETY: as in `what`.
        let flags = unsafe { ptr::read_volatile(&raw const (*self.0).bpf_sock_ops_cb_flags) };
        // SAFETY: the context that the kernel called with.
        match unsafe { bpf_sock_ops_cb_flags_set(self.0, (flags | ours) as i32) } {
            0 => Ok(()),
            _ => Err(Fault::NoCallbacks),
        }
    }
}

/// A call of `setsockopt`.
pub struct SocketOption(*mut bpf_sockopt);

impl SocketOption {
    #[inline(always)]
    pub fn new(context: &SockoptContext) -> Self {
        Self(context.sockopt)
    }

    #[inline(always)]
    pub fn level(&self) -> i32 {
        // SAFETY: the context that the kernel called with, its field read as it is declared.
        unsafe { ptr::read_volatile(&raw const (*self.0).level) }
    }

    #[inline(always)]
    pub fn name(&self) -> i32 {
        // SAFETY: as in `level`.
        unsafe { ptr::read_volatile(&raw const (*self.0).optname) }
    }

    #[inline(always)]
    pub fn sock(&self) -> Option<Sock> {
        // SAFETY: as in `level`.
        NonNull::new(unsafe { ptr::read_volatile(&raw const (*self.0).__bindgen_anon_1.sk) })
            .map(Sock)
    }

    /// The value of the option, if it is long enough for a `Value`.
    #[inline(always)]
    pub fn value<Value: Copy>(&self) -> Option<Value> {
        // SAFETY: as in `level`; the comparison with the end is what the verifier asks for. The
        // kernel keeps the value in a buffer of its own.
        unsafe {
            let start = ptr::read_volatile(&raw const (*self.0).__bindgen_anon_2.optval);
            let end = ptr::read_volatile(&raw const (*self.0).__bindgen_anon_3.optval_end);
            if start.cast::<u8>().wrapping_add(size_of::<Value>()) > end.cast::<u8>() {
                return None;
            }
            Some(start.cast::<Value>().read())
        }
    }

    /// The option is for others, as the caller made it.
    ///
    /// Programs are shown a page of a longer option. Up to Linux 6.4 one that leaves its length as
    /// it is fails the call with EFAULT; a length of 0 says that the kernel takes the caller's own
    /// bytes (`__cgroup_bpf_run_filter_setsockopt()`, kernel/bpf/cgroup.c;
    /// Documentation/bpf/prog_cgroup_sockopt.rst, "Large optval"). One that another program has
    /// claimed or shortened is shorter.
    #[inline(always)]
    pub fn pass_on(&self) {
        // SAFETY: as in `level`, and as in `claim`.
        unsafe {
            if ptr::read_volatile(&raw const (*self.0).optlen) > PAGE_BYTES_MIN {
                ptr::write_volatile(&raw mut (*self.0).optlen, 0);
            }
        }
    }

    /// The kernel does not look at the option, and the call returns 0.
    #[inline(always)]
    pub fn claim(&self) {
        // SAFETY: as in `level`; for this field the verifier allows a write.
        unsafe { ptr::write_volatile(&raw mut (*self.0).optlen, -1) };
    }
}
