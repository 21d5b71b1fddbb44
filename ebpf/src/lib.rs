//! What the kernel programs and user space share: the private socket option by which user space
//! talks to the programs, the layouts of the maps, and the built programs themselves. It must not
//! know how sockets or maps are reached; that differs on both sides.
//!
//! A *key* names whom a socket is counted for. User space makes keys and never uses one twice.

#![no_std]
#![forbid(unsafe_code)]

/// The level of the private socket option. No protocol of the kernel has it, so without the
/// programs a call fails with `ENOPROTOOPT`.
pub const LEVEL: i32 = 0x504F_5254;

/// The option that says for whom a socket is counted from here on; its value is a [`Tag`].
pub const TAG: i32 = 1;

/// The option that has everything up to now counted at once, and the smoothed round-trip time
/// sampled, ten times a second at most; its value may be anything. Without it a socket is counted
/// when it gets another key and when it closes.
pub const LOOK: i32 = 2;

/// The key of accepted sockets that closed without a tag.
pub const UNROUTED_ACCEPTED: u64 = 0;

/// The key of connected sockets that closed without a tag.
pub const UNROUTED_CONNECTED: u64 = 1;

/// The least number that user space may take for a key of its own.
pub const KEY_MIN: u64 = 2;

/// The map of tallies by key: a hash of one [`Tally`] per processor.
pub const TALLIES: &str = "TALLIES";

/// The map of faults: an array, by [`Fault`], of one `u64` per processor.
pub const FAULTS: &str = "FAULTS";

/// The constant that the loader sets: only tags with this [`Tag::owner`] are obeyed.
pub const OWNER: &str = "OWNER";

/// The program that the kernel calls about the life of a socket.
pub const SOCK_OPS: &str = "sock_ops";

/// The program that catches the private socket option.
pub const SETSOCKOPT: &str = "setsockopt";

/// For whom a socket is counted from here on.
///
/// The first tag of a socket gives all that it has carried to its key. Any later one gives to the
/// old key what lies before the boundary, and all that follows to the new one. `received` and
/// `sent` are the boundary: bytes of payload since the connection began, as 32 bits that wrap
/// around like sequence numbers; they may lie at most 2 GiB from what the kernel has counted.
/// The first tag ignores them.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Tells the programs of several processes in one cgroup apart: a random number of each.
    pub owner: u64,
    pub key: u64,
    /// How many bytes had been read from the socket where the new key begins.
    pub received: u32,
    /// How many bytes had been written to the socket where the new key begins.
    pub sent: u32,
}

/// The place nearest to `here` whose lower half is `low`: where a 32-bit count that wraps around
/// stands among 64-bit ones.
#[inline(always)]
pub const fn nearest(here: u64, low: u32) -> u64 {
    let distance = low.wrapping_sub(here as u32) as i32;
    here.wrapping_add(distance as i64 as u64)
}

/// How many buckets a round-trip histogram has.
pub const RTT_BUCKETS: usize = 24;

/// What was counted for one key, on one processor or summed over all.
///
/// Bytes are payload as TCP carries it (with the bytes of TLS, without headers, SYN and FIN):
/// received means arrived in order, sent means acknowledged. A sum may go down a little where a
/// later tag shows that bytes which had arrived already belong to the next key.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sockets that began to be counted for this key.
    pub opened: u64,
    /// Sockets that closed while they were counted for this key.
    pub closed: u64,
    /// Sockets that went on to be counted for another key.
    pub moved: u64,
    /// Those of `closed` that were cut: by a reset or a timeout before our side ended its stream.
    pub reset: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub segments_in: u64,
    pub segments_out: u64,
    pub retransmits: u64,
    /// The least of the sampled smoothed round-trip times; 0 is none. A socket is sampled by looks,
    /// or when it closes if it never was.
    pub rtt_min_us: u32,
    /// The sample that was taken last, at most `2^24 - 1` (17 seconds); 0 is none.
    pub rtt_smoothed_us: u32,
    /// Samples of the smoothed round-trip time by its binary logarithm: bucket `n` has those from
    /// `2^n` µs to below `2^(n+1)` µs, the first those of 0, too, and the last all that are longer.
    pub rtt_histogram: [u32; RTT_BUCKETS],
}

/// A [`Tally`] in words of 64 bits.
pub const TALLY_WORDS: usize = size_of::<Tally>() / 8;

// No padding: user space reads a tally as words, and padding would hold bytes of the kernel's.
const _: () = assert!(size_of::<Tally>() == 9 * 8 + 2 * 4 + RTT_BUCKETS * 4);
const _: () = assert!(size_of::<Tally>() == TALLY_WORDS * 8 && align_of::<Tally>() == 8);
// The kernel copies the value of an option onto its stack up to 32 bytes, and allocates beyond.
const _: () = assert!(size_of::<Tag>() == 24);

impl Tally {
    /// A tally as it lies in the map.
    pub fn from_words(words: &[u64; TALLY_WORDS]) -> Self {
        let half = |index: usize| {
            let bytes = words[9 + index / 2].to_ne_bytes();
            let at = index % 2 * 4;
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            opened: words[0],
            closed: words[1],
            moved: words[2],
            reset: words[3],
            bytes_in: words[4],
            bytes_out: words[5],
            segments_in: words[6],
            segments_out: words[7],
            retransmits: words[8],
            rtt_min_us: half(0),
            rtt_smoothed_us: half(1),
            rtt_histogram: core::array::from_fn(|bucket| half(2 + bucket)),
        }
    }

    /// Adds what another processor has counted for the same key.
    pub fn add(&mut self, other: &Self) {
        // A part may be below zero where bytes were given back on another processor than they had
        // been counted on; the sum is right because it wraps around, too.
        let sums = [
            (&mut self.opened, other.opened),
            (&mut self.closed, other.closed),
            (&mut self.moved, other.moved),
            (&mut self.reset, other.reset),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.segments_in, other.segments_in),
            (&mut self.segments_out, other.segments_out),
            (&mut self.retransmits, other.retransmits),
        ];
        for (sum, part) in sums {
            *sum = sum.wrapping_add(part);
        }
        if self.rtt_min_us == 0 || other.rtt_min_us != 0 && other.rtt_min_us < self.rtt_min_us {
            self.rtt_min_us = other.rtt_min_us;
        }
        if other.rtt_smoothed_us != 0 {
            self.rtt_smoothed_us = other.rtt_smoothed_us;
        }
        for (sum, part) in self.rtt_histogram.iter_mut().zip(other.rtt_histogram) {
            *sum = sum.wrapping_add(part);
        }
    }
}

/// What could not be counted, and why: indexes of the map [`FAULTS`].
#[repr(u32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A key had no tally when something was to be added to it: its entry was removed before its
    /// last socket closed, or never made. A socket may bring several, one with each look.
    Late = 0,
    /// The kernel had no memory for what is kept of a socket: the socket is not counted.
    NoStorage = 1,
    /// A tag came for a socket that is not counted: it was established before the programs were
    /// attached, is not yet established, or is no TCP socket. The call failed.
    Unknown = 2,
    /// The kernel refused to call the programs about a socket: it is not counted.
    NoCallbacks = 3,
    /// A tag's `received` lay beyond what the kernel had received; the boundary was set there.
    Beyond = 4,
    /// The kernel showed no socket where it always does.
    NoSocket = 5,
}

/// How many kinds of [`Fault`] there are.
pub const FAULTS_LEN: usize = 6;

impl Fault {
    pub const ALL: [Self; FAULTS_LEN] = [
        Self::Late,
        Self::NoStorage,
        Self::Unknown,
        Self::NoCallbacks,
        Self::Beyond,
        Self::NoSocket,
    ];

    /// As the value of a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::NoStorage => "no_storage",
            Self::Unknown => "unknown_socket",
            Self::NoCallbacks => "no_callbacks",
            Self::Beyond => "beyond",
            Self::NoSocket => "no_socket",
        }
    }
}

/// The built programs, an ELF object: made by `make ebpf` from `program/`.
#[cfg(feature = "object")]
pub static OBJECT: &[u8] = &ALIGNED.bytes;

// ELF readers want the file's tables at their natural places.
#[cfg(feature = "object")]
#[repr(C, align(8))]
struct Aligned<Bytes: ?Sized> {
    bytes: Bytes,
}

#[cfg(feature = "object")]
static ALIGNED: &Aligned<[u8]> = &Aligned { bytes: *include_bytes!("../portico.bpf.o") };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_as_it_lies_in_the_map() {
        let words = core::array::from_fn(|index| index as u64 + 1);
        let tally = Tally::from_words(&words);
        assert_eq!((tally.opened, tally.retransmits), (1, 9));
        let low = |word: u64| u32::from_ne_bytes(word.to_ne_bytes()[..4].try_into().expect("4"));
        assert_eq!(tally.rtt_min_us, low(10));
        assert_eq!(tally.rtt_histogram[0], low(11));
        assert_eq!(tally.rtt_histogram[22], low(22));
    }

    #[test]
    fn a_sum_keeps_the_least_round_trip_and_wraps_around() {
        let mut sum = Tally { bytes_in: 10, rtt_min_us: 0, ..Tally::default() };
        sum.add(&Tally { bytes_in: 3u64.wrapping_neg(), rtt_min_us: 8, ..Tally::default() });
        sum.add(&Tally { rtt_min_us: 9, rtt_smoothed_us: 4, ..Tally::default() });
        sum.add(&Tally::default());
        assert_eq!((sum.bytes_in, sum.rtt_min_us, sum.rtt_smoothed_us), (7, 8, 4));
    }

    #[test]
    fn a_count_that_wraps_around_is_found_on_both_sides() {
        let whole = 1u64 << 32;
        assert_eq!(nearest(100, 70), 70);
        assert_eq!(nearest(100, 170), 170);
        assert_eq!(nearest(whole + 5, u32::MAX), whole - 1);
        assert_eq!(nearest(whole - 5, 3), whole + 3);
        assert_eq!(nearest(7 * whole + 5, 5), 7 * whole + 5);
    }

    #[test]
    fn faults_are_listed_in_the_order_of_their_indexes() {
        for (index, fault) in Fault::ALL.iter().enumerate() {
            assert_eq!(*fault as usize, index, "{}", fault.as_str());
        }
    }

    #[cfg(feature = "object")]
    #[test]
    fn the_object_is_an_elf_file_at_an_even_place() {
        assert_eq!(&OBJECT[..4], b"\x7fELF");
        assert!(OBJECT.as_ptr().cast::<u64>().is_aligned());
    }
}
