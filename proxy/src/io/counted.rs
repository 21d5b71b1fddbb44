//! What a socket is counted for: the slot of a session, and which side of it. The kernel is told by
//! a tag, or the socket is asked from time to time and a last time before it closes.

use std::cell::{Cell, RefCell};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::tcp_info::{STATE_CLOSE, TcpInfo};
use crate::accounting::{Means, Side, Slot, Use};

/// One socket's part in accounting.
#[derive(Default)]
pub(super) struct Counting {
    /// Bytes that were received from and sent to the kernel, as far as 32 bits go: positions in the
    /// two streams, as TCP has them.
    received: Cell<u32>,
    sent: Cell<u32>,
    /// How our side of the stream came to its end, as far as it has.
    end: Cell<End>,
    counted: RefCell<Option<Counted>>,
    /// Where the socket is asked: what it said the last time.
    told: RefCell<Option<Box<Told>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum End {
    #[default]
    Open,
    /// Our FIN was sent.
    Ended,
    /// When it should have been, the connection was gone.
    Reset,
}

struct Counted {
    slot: Arc<Slot>,
    side: Side,
    what: Use,
    /// Since they were added to the slot.
    requests: u32,
    /// The positions at the last look, and whether there was one since they were reached: what was
    /// sent just before a look is acknowledged after it.
    looked: (u32, u32),
    settled: bool,
}

/// Counters of the socket, bytes with neither SYN nor FIN.
#[derive(Clone, Copy, Default)]
struct Told {
    received: u64,
    sent: u64,
    segments_in: u32,
    segments_out: u32,
    retransmits: u32,
}

impl Counting {
    pub(super) fn received(&self, bytes: usize) {
        self.received.set(self.received.get().wrapping_add(bytes as u32));
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get().wrapping_add(bytes as u32));
    }

    pub(super) fn position(&self) -> u32 {
        self.received.get()
    }

    pub(super) fn sent_position(&self) -> u32 {
        self.sent.get()
    }

    /// Before our FIN is sent.
    pub(super) fn end(&self, fd: BorrowedFd<'_>) {
        if self.end.get() != End::Open {
            return;
        }
        let is_gone = self.told.borrow().is_some()
            && TcpInfo::of(fd).is_ok_and(|info| info.state == STATE_CLOSE);
        self.end.set(if is_gone { End::Reset } else { End::Ended });
    }

    pub(super) fn is_for(&self, slot: &Arc<Slot>) -> bool {
        self.counted.borrow().as_ref().is_some_and(|counted| Arc::ptr_eq(&counted.slot, slot))
    }

    pub(super) fn slot<T>(&self, read: impl FnOnce(&Arc<Slot>) -> T) -> Option<T> {
        self.counted.borrow().as_ref().map(|counted| read(&counted.slot))
    }

    pub(super) fn note_request(&self) {
        if let Some(counted) = &mut *self.counted.borrow_mut() {
            counted.requests = counted.requests.wrapping_add(1);
        }
    }

    pub(super) fn is_used_as(&self, what: Use) {
        if let Some(counted) = &mut *self.counted.borrow_mut() {
            counted.slot.end(counted.what);
            counted.slot.begin(what);
            counted.what = what;
        }
    }

    /// From now on it is counted for `slot`, or by these means for nobody. What was received up to
    /// `boundary` belongs to what it was counted for before, and so does all that was sent; on a
    /// socket that was counted for nothing yet, the handshake and all else are of the first.
    pub(super) fn count_for(
        &self,
        fd: BorrowedFd<'_>,
        slot: Option<&Arc<Slot>>,
        means: Means,
        side: Side,
        boundary: u32,
    ) {
        let before = self.counted.borrow_mut().take();
        let means = slot.map_or(means, |slot| slot.means);
        let was_tagged = before.as_ref().and_then(|before| before.slot.means.owner());
        if let Some(owner) = means.owner().or(was_tagged) {
            // What is asked from here on is nobody's for the kernel.
            let of_kernel = slot.filter(|slot| slot.means.owner().is_some());
            let key = side.key(of_kernel.map_or(0, |slot| slot.number));
            let tag = portico_ebpf::Tag { owner, key, received: boundary, sent: self.sent.get() };
            // Fails only on a socket that is already gone.
            let _ = super::tag::tag(fd, &tag);
        }
        if let Some(before) = &before {
            let _ = self.ask(fd, before, Some(boundary));
        } else if slot.is_none() && means == Means::Ask {
            let told = TcpInfo::of(fd).map(|info| self.told_by(&info, boundary));
            *self.told.borrow_mut() = told.ok().map(Box::new);
        }
        if let Some(before) = before {
            before.leave();
        }
        let Some(slot) = slot else { return };
        if slot.means == Means::Ask {
            add(&slot.asked(side).connections, 1);
            self.told.borrow_mut().get_or_insert_default();
        }
        let counted = Counted {
            slot: slot.clone(),
            side,
            what: Use::Requests,
            requests: 0,
            looked: (boundary, self.sent.get()),
            settled: false,
        };
        counted.enter();
        *self.counted.borrow_mut() = Some(counted);
    }

    /// Counts what went through since the last look; whether something did.
    pub(super) fn look(&self, fd: BorrowedFd<'_>) -> bool {
        let mut counted = self.counted.borrow_mut();
        let Some(counted) = &mut *counted else { return false };
        counted.add_requests();
        let positions = (self.received.get(), self.sent.get());
        let moved = std::mem::replace(&mut counted.looked, positions) != positions;
        if std::mem::replace(&mut counted.settled, !moved) && !moved {
            return false;
        }
        match counted.slot.means {
            Means::Tag { .. } => drop(super::tag::look(fd)),
            Means::Ask => drop(self.ask(fd, counted, None)),
            Means::Nothing => {}
        }
        moved
    }

    /// The last look, before the socket is closed or reset: after that it has nothing to tell.
    pub(super) fn close(&self, fd: BorrowedFd<'_>) {
        if let Some(counted) = self.counted.borrow_mut().take() {
            if self.ask(fd, &counted, None) == Some(STATE_CLOSE) && self.end.get() != End::Ended {
                // A normal end has our FIN.
                add(&counted.slot.asked(counted.side).resets, 1);
            }
            counted.leave();
        }
    }

    /// The last look before our reset, which a socket that is asked would forget everything with.
    pub(super) fn reset(&self, fd: BorrowedFd<'_>) {
        let counted = self.counted.borrow();
        let Some(counted) = &*counted else { return };
        if self.ask(fd, counted, None).is_some() {
            add(&counted.slot.asked(counted.side).resets, 1);
            *self.told.borrow_mut() = None;
        }
    }

    /// Adds to the slot what the socket counted since it was asked the last time, and answers its
    /// state; none where it is not asked.
    fn ask(&self, fd: BorrowedFd<'_>, counted: &Counted, boundary: Option<u32>) -> Option<u8> {
        let mut told = self.told.borrow_mut();
        let told = told.as_deref_mut().filter(|_| counted.slot.means == Means::Ask)?;
        let info = TcpInfo::of(fd).ok()?;
        let mut now = self.told_by(&info, boundary.unwrap_or(self.received.get()));
        // One byte that nobody read is the FIN.
        let unread = info.bytes_received.saturating_sub(now.received);
        if boundary.is_none() && info.state == STATE_CLOSE && unread > 1 {
            now.received = info.bytes_received;
        }
        let sums = counted.slot.asked(counted.side);
        add(&sums.bytes_in, now.received.saturating_sub(told.received));
        add(&sums.bytes_out, now.sent.saturating_sub(told.sent));
        add(&sums.segments_in, now.segments_in.wrapping_sub(told.segments_in).into());
        add(&sums.segments_out, now.segments_out.wrapping_sub(told.segments_out).into());
        add(&sums.retransmits, now.retransmits.wrapping_sub(told.retransmits).into());
        sums.sample_rtt(info.rtt_us, info.rtt_minimum_us);
        *told = now;
        Some(info.state)
    }

    fn told_by(&self, info: &TcpInfo, received: u32) -> Told {
        Told {
            received: extended(info.bytes_received, received),
            sent: extended(info.bytes_acked, self.sent.get()),
            segments_in: info.segments_in,
            segments_out: info.segments_out,
            retransmits: info.retransmits,
        }
    }
}

/// `near` moved by at most 2³¹ to where its low half is `low`.
fn extended(near: u64, low: u32) -> u64 {
    near.saturating_add_signed(i64::from(low.wrapping_sub(near as u32).cast_signed()))
}

fn add(sum: &AtomicU64, more: u64) {
    sum.fetch_add(more, Relaxed);
}

impl Counted {
    fn enter(&self) {
        if self.side == Side::Client {
            self.slot.begin(self.what);
        }
    }

    fn leave(mut self) {
        self.add_requests();
        if self.side == Side::Client {
            self.slot.end(self.what);
        }
    }

    fn add_requests(&mut self) {
        self.slot.add_requests(std::mem::take(&mut self.requests).into());
    }
}

#[cfg(test)]
mod tests {
    use super::extended;

    #[test]
    fn a_position_is_found_near_the_kernels() {
        for (near, low, expected) in [
            (10, 10, 10),
            (11, 10, 10),
            (0x1_0000_0001, 0xffff_ffff, 0xffff_ffff),
            (0xffff_fffe, 3, 0x1_0000_0003),
            (0, u32::MAX, 0),
        ] {
            assert_eq!(extended(near, low), expected, "{near:x} {low:x}");
        }
    }
}
