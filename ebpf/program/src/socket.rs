//! What is kept of a socket, and how the kernel's counters of it become payload counted for keys.
//! It must not know how the kernel is asked.

use aya_ebpf::bindings::{
    BPF_TCP_CLOSE_WAIT, BPF_TCP_CLOSING, BPF_TCP_ESTABLISHED, BPF_TCP_FIN_WAIT2, BPF_TCP_LAST_ACK,
};
use portico_ebpf::{Fault, Tag, nearest};

use crate::kernel::{self, Tallied, Tcp, store};

/// How long a socket is left alone after a sample of its round-trip time.
const SAMPLE_INTERVAL_NS: u64 = 100_000_000;

/// Whether and for whom a socket is counted.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not before it is established and not after it is closed; the kernel makes storage all zero.
    Closed = 0,
    /// For nobody yet. If no tag comes, all of it is counted at the end.
    Unrouted = 1,
    Routed = 2,
    /// By the programs of another process.
    Disowned = 3,
}

/// What is kept of a socket.
#[repr(C)]
pub struct Socket {
    key: u64,
    /// When the round-trip time was last sampled, or 0.
    sampled_at: u64,
    /// What of `bytes_received` is no payload: what was counted before, and then the peer's FIN.
    in_base: u64,
    /// What of `bytes_acked` is no payload: the SYN, and then our FIN.
    out_base: u64,
    /// Up to where the received payload has been credited to some key.
    in_credited: u64,
    /// Up to where the sent payload has been credited; by a tag, ahead of its acknowledgement.
    out_credited: u64,
    /// `bytes_received` when FIN_WAIT2 was entered.
    fin_wait2_received: u64,
    /// The kernel's counters when they were last credited; they wrap around.
    segments_in: u32,
    segments_out: u32,
    retransmits: u32,
    phase: Phase,
    /// Whether a FIN of the peer has come since our own was sent.
    fin_seen: u32,
    _padding: u32,
}

impl Socket {
    /// Also for a descriptor that has been connected before.
    #[inline(always)]
    pub fn begin(&mut self, key: u64, tcp: &Tcp) {
        // One by one: zeros side by side would become a call of a function that loops over them,
        // which the verifier lets only processes with CAP_PERFMON load.
        store(&mut self.key, key);
        store(&mut self.sampled_at, 0);
        store(&mut self.in_base, tcp.bytes_received());
        store(&mut self.out_base, tcp.bytes_acked());
        store(&mut self.in_credited, 0);
        store(&mut self.out_credited, 0);
        store(&mut self.fin_wait2_received, 0);
        self.skip_segments(tcp);
        store(&mut self.phase, Phase::Unrouted);
        store(&mut self.fin_seen, 0);
    }

    #[inline(always)]
    pub fn fin_received(&mut self) {
        self.in_base += 1;
    }

    #[inline(always)]
    pub fn fin_acknowledged(&mut self, tcp: &Tcp) {
        self.out_base += 1;
        self.fin_wait2_received = tcp.bytes_received();
    }

    #[inline(always)]
    pub fn fin_seen(&mut self) {
        self.fin_seen = 1;
    }

    #[inline(always)]
    pub fn disown(&mut self) {
        if self.phase == Phase::Unrouted {
            self.phase = Phase::Disowned;
        }
    }

    #[inline(always)]
    pub fn tag(&mut self, tag: &Tag, tcp: &Tcp) {
        match self.phase {
            // Closed in the meantime: it has been counted to its end.
            Phase::Closed => return,
            Phase::Routed if self.key == tag.key => return,
            Phase::Routed => {
                self.leave(tag, tcp);
                self.key = tag.key;
            }
            Phase::Unrouted | Phase::Disowned => {
                self.key = tag.key;
                self.phase = Phase::Routed;
            }
        }
        match kernel::tally(self.key) {
            Some(new) => new.opened(),
            None => kernel::count(Fault::Late),
        }
    }

    #[inline(always)]
    pub fn look(&mut self, tcp: &Tcp) {
        if self.phase != Phase::Routed {
            return;
        }
        match kernel::tally(self.key) {
            Some(tally) => {
                self.sample(tcp, &tally);
                self.credit(tcp, &tally);
            }
            None => kernel::count(Fault::Late),
        }
    }

    /// Samples the round-trip time, if there is one and the last sample is not of just now.
    #[inline(always)]
    fn sample(&mut self, tcp: &Tcp, tally: &Tallied) {
        let (rtt_us, now) = (tcp.srtt_us(), kernel::now_ns());
        if rtt_us != 0 && now.wrapping_sub(self.sampled_at) >= SAMPLE_INTERVAL_NS {
            self.sampled_at = now;
            tally.sample(rtt_us);
        }
    }

    /// Credits all that came since it was last credited.
    #[inline(always)]
    fn credit(&mut self, tcp: &Tcp, tally: &Tallied) {
        let (received, acknowledged) = self.payload(tcp);
        if received > self.in_credited {
            tally.received(received - self.in_credited);
            self.in_credited = received;
        }
        // Less where a tag has credited what was yet to be acknowledged.
        if acknowledged > self.out_credited {
            tally.sent(acknowledged - self.out_credited);
            self.out_credited = acknowledged;
        }
        self.credit_segments(tcp, tally);
    }

    /// Credits the rest, from which state `old` it was closed.
    #[inline(always)]
    pub fn close(&mut self, old: u32, tcp: &Tcp) -> Result<(), Fault> {
        let phase = core::mem::replace(&mut self.phase, Phase::Closed);
        if phase == Phase::Closed || phase == Phase::Disowned {
            return Ok(());
        }
        self.fins_at_close(old, tcp);
        let tally = kernel::tally(self.key).ok_or(Fault::Late)?;
        if phase == Phase::Unrouted {
            tally.opened();
        }
        if self.sampled_at == 0 {
            tally.sample(tcp.srtt_us());
        }
        self.credit(tcp, &tally);
        tally.closed(old == BPF_TCP_ESTABLISHED || old == BPF_TCP_CLOSE_WAIT);
        Ok(())
    }

    /// Which FINs were counted without a transition of their own.
    ///
    /// From CLOSING and LAST_ACK a socket closes once our FIN is acknowledged, and also by a reset
    /// or a timeout: then something that was sent is not acknowledged. (Unless a closed window has
    /// kept all of the rest unsent: the payload is then one byte short.) From FIN_WAIT2 it closes
    /// with the peer's FIN, and also when our side gives up on it: a FIN was received if one came
    /// and if bytes have been counted since our own was acknowledged. From
    /// FIN_WAIT1 it closes only by a reset or a timeout, because an acknowledgement leads to
    /// FIN_WAIT2 first (`tcp_rcv_state_process()`, Linux 6.18).
    #[inline(always)]
    fn fins_at_close(&mut self, old: u32, tcp: &Tcp) {
        let ours = (old == BPF_TCP_CLOSING || old == BPF_TCP_LAST_ACK) && tcp.all_acknowledged();
        let theirs = old == BPF_TCP_FIN_WAIT2
            && self.fin_seen != 0
            && tcp.bytes_received() > self.fin_wait2_received;
        // Both are stored, always: one addition to either of two places would be refused by the
        // verifier without CAP_PERFMON.
        let (in_base, out_base) = (self.in_base + theirs as u64, self.out_base + ours as u64);
        store(&mut self.in_base, in_base);
        store(&mut self.out_base, out_base);
    }

    /// Credits the old key with what lies before the boundary, and takes back what lies behind.
    #[inline(always)]
    fn leave(&mut self, tag: &Tag, tcp: &Tcp) {
        let (received, acknowledged) = self.payload(tcp);
        let in_boundary = nearest(received, tag.received);
        let beyond = in_boundary > received;
        let in_boundary = if beyond { received } else { in_boundary };
        let out_boundary = nearest(acknowledged, tag.sent);
        let in_delta = in_boundary.wrapping_sub(self.in_credited);
        let out_delta = out_boundary.wrapping_sub(self.out_credited);
        self.in_credited = in_boundary;
        self.out_credited = out_boundary;
        // Its tally may be gone: the new key begins at the boundary all the same.
        match kernel::tally(self.key) {
            Some(old) => {
                old.received(in_delta);
                old.sent(out_delta);
                self.credit_segments(tcp, &old);
                old.moved();
            }
            None => {
                self.skip_segments(tcp);
                kernel::count(Fault::Late);
            }
        }
        if beyond {
            kernel::count(Fault::Beyond);
        }
    }

    /// Received and acknowledged payload since the connection began.
    #[inline(always)]
    fn payload(&self, tcp: &Tcp) -> (u64, u64) {
        (
            tcp.bytes_received().wrapping_sub(self.in_base),
            tcp.bytes_acked().wrapping_sub(self.out_base),
        )
    }

    #[inline(always)]
    fn credit_segments(&mut self, tcp: &Tcp, tally: &Tallied) {
        tally.segments(
            tcp.segments_in().wrapping_sub(self.segments_in),
            tcp.segments_out().wrapping_sub(self.segments_out),
            tcp.retransmits().wrapping_sub(self.retransmits),
        );
        self.skip_segments(tcp);
    }

    #[inline(always)]
    fn skip_segments(&mut self, tcp: &Tcp) {
        self.segments_in = tcp.segments_in();
        self.segments_out = tcp.segments_out();
        self.retransmits = tcp.retransmits();
    }
}
