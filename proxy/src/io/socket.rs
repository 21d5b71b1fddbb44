//! A TCP socket on whichever driver this worker runs: the operations that the data plane has.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use portico_core::limits;
use socket2::{Domain, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use super::chunk::{Chunk, StableBytes};
use super::counted::Counting;
use super::driver::{Driver, Kind};
use super::epoll::EpollSocket;
use super::uring::{How, Receiving, Sending, UringSocket};
use crate::accounting::{Means, Side, Slot, Use};

/// A handle; clones are the same socket. One receive and one send may be in flight at a time.
#[derive(Clone)]
pub(crate) struct Socket(Rc<Inner>);

struct Inner {
    counting: Counting,
    kind: InnerKind,
}

enum InnerKind {
    Uring(UringSocket),
    Epoll(EpollSocket),
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Its descriptor is closed after this.
        self.counting.close(self.kind.fd());
    }
}

impl InnerKind {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            InnerKind::Uring(socket) => socket.as_fd(),
            InnerKind::Epoll(socket) => socket.as_fd(),
        }
    }
}

/// A receive as far as it has come, apart from its socket: for who keeps both in one place.
#[must_use]
#[derive(Default)]
pub(crate) struct RecvState(Receiving);

/// The same of a send; it owns the bytes.
#[must_use]
pub(crate) struct SendState<B: StableBytes> {
    state: Sending<B>,
    sent: usize,
    how: How,
}

impl<B: StableBytes> SendState<B> {
    pub(crate) fn new(bytes: B) -> Self {
        Self { state: Sending::Begin(bytes), sent: 0, how: How::default() }
    }

    /// Tells the kernel that more follows at once, so that it fills its segments.
    pub(crate) fn more_follows(bytes: B) -> Self {
        Self { how: How { flags: libc::MSG_MORE, at_once: false }, ..Self::new(bytes) }
    }
}

/// A receive in flight; to be awaited to its end.
#[must_use]
pub(crate) struct Recv<'a> {
    socket: &'a Socket,
    state: RecvState,
}

/// A send in flight; to be awaited to its end.
#[must_use]
pub(crate) struct Send<'a, B: StableBytes> {
    socket: &'a Socket,
    state: SendState<B>,
}

impl Future for Recv<'_> {
    type Output = io::Result<Chunk>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.socket.poll_recv(&mut this.state, context)
    }
}

impl<B: StableBytes> Future for Send<'_, B> {
    type Output = (io::Result<()>, B);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.socket.poll_send(&mut this.state, context)
    }
}

/// What lies in the receive queue of a socket that nobody is reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peek {
    Nothing,
    Bytes,
    /// The other side ended its stream, or the connection failed.
    End,
}

/// Whether the other side is still there, as far as it has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Whole,
    /// It ended its stream, and may or may not read ours.
    HalfClosed,
    /// The connection failed or was reset, or both directions have ended.
    Gone,
}

impl Socket {
    pub(super) fn new(driver: &Driver, fd: OwnedFd) -> io::Result<Self> {
        let kind = match &driver.0 {
            Kind::Uring(ring) => InnerKind::Uring(UringSocket::new(ring.clone(), fd)),
            Kind::Epoll => InnerKind::Epoll(EpollSocket::new(fd)?),
        };
        Ok(Self(Rc::new(Inner { counting: Counting::default(), kind })))
    }

    /// Starts a connection to `address`; it is there once [`Socket::connected`] says so. The socket
    /// is given out before that, so that a deadline can shut it down.
    pub(crate) fn connect(driver: &Driver, address: SocketAddr) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(address), Type::STREAM.cloexec(), None)?;
        raw.set_nonblocking(true)?;
        match raw.connect(&address.into()) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(e) => return Err(e),
        }
        // io_uring waits by itself only on a socket in blocking mode; with the flag set it answers
        // EAGAIN at once.
        raw.set_nonblocking(matches!(driver.0, Kind::Epoll))?;
        let socket = Self::new(driver, raw.into())?;
        socket.set_options();
        Ok(socket)
    }

    /// Waits for the end of the attempt to connect.
    pub(crate) async fn connected(&self) -> io::Result<()> {
        match &self.0.kind {
            InnerKind::Uring(socket) => socket.writable().await?,
            InnerKind::Epoll(socket) => socket.writable().await?,
        }
        match SockRef::from(&self.fd()).take_error()? {
            Some(error) => Err(error),
            // After a shutdown of the attempt there is neither an error nor a peer.
            None => self.peer().map(|_| ()),
        }
    }

    /// Waits for bytes without holding a buffer. An empty chunk is the end of the stream.
    pub(crate) fn recv(&self) -> Recv<'_> {
        Recv { socket: self, state: RecvState::default() }
    }

    /// Sends all of `bytes`, and gives them back.
    pub(crate) fn send<B: StableBytes>(&self, bytes: B) -> Send<'_, B> {
        Send { socket: self, state: SendState::new(bytes) }
    }

    /// As `send`, when more follows at once.
    pub(crate) fn send_more<B: StableBytes>(&self, bytes: B) -> Send<'_, B> {
        Send { socket: self, state: SendState::more_follows(bytes) }
    }

    /// As `send`, not with what others send: the other side has work to do with it.
    pub(crate) fn send_at_once<B: StableBytes>(&self, bytes: B) -> Send<'_, B> {
        let how = How { flags: 0, at_once: true };
        Send { socket: self, state: SendState { how, ..SendState::new(bytes) } }
    }

    /// [`Socket::recv`] for who keeps its state; with one state until it is done.
    pub(crate) fn poll_recv(
        &self,
        RecvState(state): &mut RecvState,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Chunk>> {
        let received = ready!(match &self.0.kind {
            InnerKind::Uring(socket) => socket.poll_recv(state, context),
            InnerKind::Epoll(socket) => socket.poll_recv(context),
        });
        if let Ok(chunk) = &received {
            self.0.counting.received(chunk.len());
        }
        Poll::Ready(received)
    }

    /// [`Socket::send`] in the same way.
    pub(crate) fn poll_send<B: StableBytes>(
        &self,
        SendState { state, sent, how }: &mut SendState<B>,
        context: &mut Context<'_>,
    ) -> Poll<(io::Result<()>, B)> {
        let Inner { counting, kind } = &*self.0;
        let socket = match kind {
            InnerKind::Uring(socket) => {
                let done = ready!(socket.poll_send(state, sent, *how, context));
                counting.sent(*sent);
                return Poll::Ready(done);
            }
            InnerKind::Epoll(socket) => socket,
        };
        let Sending::Begin(bytes) = &*state else {
            panic!("a send was polled after it was done");
        };
        let result = ready!(socket.poll_send(bytes.bytes(), sent, how.flags, context));
        counting.sent(*sent);
        match std::mem::replace(state, Sending::Done) {
            Sending::Begin(bytes) => Poll::Ready((result, bytes)),
            Sending::InFlight(_) | Sending::Done => unreachable!("epoll has nothing in flight"),
        }
    }

    /// Ends one or both directions. Operations in flight in that direction complete.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Read {
            self.0.counting.end(self.fd());
        }
        // Fails only where there is nothing left to shut down.
        let _ = SockRef::from(&self.fd()).shutdown(how);
    }

    /// Ends the connection with a reset, now: for what was cut short, so that the other side cannot
    /// take its part for the whole. Operations in flight complete with an error.
    ///
    /// The lingering close that is often used for this (SO_LINGER 0) resets only at the last close
    /// of the descriptor, and a shutdown before it would send the very FIN that must not be sent.
    pub(crate) fn reset(&self) {
        self.0.counting.reset(self.fd());
        if disconnect(self.fd()).is_err() {
            // Linux 6.4 and 6.5 refuse it while a thread sleeps in the socket, which none of ours
            // does. Should it fail all the same, the end comes a little later.
            let _ = SockRef::from(&self.fd()).set_linger(Some(std::time::Duration::ZERO));
            self.shutdown(Shutdown::Both);
        }
    }

    /// Looks without taking and without waiting.
    pub(crate) fn peek(&self) -> Peek {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        match SockRef::from(&self.fd()).recv_with_flags(&mut byte, flags) {
            Ok(0) => Peek::End,
            Ok(_) => Peek::Bytes,
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Peek::End,
            Err(_) => match &self.0.kind {
                InnerKind::Uring(socket) if socket.has_arrived() => Peek::Bytes,
                InnerKind::Uring(_) | InnerKind::Epoll(_) => Peek::Nothing,
            },
        }
    }

    /// Looks whether the other side has left, whatever lies in the receive queue: a peek does not
    /// see the end behind a pipelined byte or a `close_notify`.
    pub(crate) fn presence(&self) -> Presence {
        let events = libc::POLLRDHUP;
        let mut poll = libc::pollfd { fd: self.fd().as_raw_fd(), events, revents: 0 };
        // SAFETY: one valid structure, for the duration of a call that does not wait.
        let ready = unsafe { libc::poll(&raw mut poll, 1, 0) };
        match poll.revents {
            // Failed or interrupted: the next look will tell.
            _ if ready < 0 => Presence::Whole,
            0 => Presence::Whole,
            libc::POLLRDHUP => Presence::HalfClosed,
            _ => Presence::Gone,
        }
    }

    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        SockRef::from(&self.fd())
            .peer_addr()?
            .as_socket()
            .ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Latency over segment size, and an end for peers that vanished without a FIN.
    pub(super) fn set_options(&self) {
        let fd = self.fd();
        let socket = SockRef::from(&fd);
        let keepalive = TcpKeepalive::new()
            .with_time(limits::TCP_KEEPALIVE_IDLE)
            .with_interval(limits::TCP_KEEPALIVE_INTERVAL);
        // None of these can stop a connection from working; a closed one fails at its next use.
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_tcp_keepalive(&keepalive);
        let _ = socket.set_tcp_user_timeout(Some(limits::TCP_USER_TIMEOUT));
    }

    /// How far the client's stream was read, as far as 32 bits go.
    pub(crate) fn position(&self) -> u32 {
        self.0.counting.position()
    }

    /// How much was sent to it, in the same way.
    pub(crate) fn sent_position(&self) -> u32 {
        self.0.counting.sent_position()
    }

    /// How many bytes a second it sends at most; none: as fast as it can.
    pub(crate) fn pace(&self, bytes_per_second: Option<NonZeroU64>) {
        super::pace::set(self.fd(), bytes_per_second);
    }

    /// From now on it is counted for `slot`, or by these means for no session. What was received up
    /// to `boundary` belongs to what it was counted for before, and so does all that was sent.
    pub(crate) fn count_for(
        &self,
        slot: Option<&Arc<Slot>>,
        means: Means,
        side: Side,
        boundary: u32,
    ) {
        self.0.counting.count_for(self.fd(), slot, means, side, boundary);
    }

    /// Of a client: one more request of the session that it is counted for.
    pub(crate) fn note_request(&self) {
        self.0.counting.note_request();
    }

    /// Of an upstream: counts for the same session as a client's socket.
    pub(crate) fn count_with(&self, client: &Socket) {
        let other = client.slot(|slot| match self.0.counting.is_for(slot) {
            true => None,
            false => Some(slot.clone()),
        });
        if let Some(Some(slot)) = other {
            self.count_for(Some(&slot), slot.means, Side::Upstream, self.position());
        }
    }

    /// What it is counted for; none where it is counted for no session.
    pub(crate) fn slot<T>(&self, read: impl FnOnce(&Arc<Slot>) -> T) -> Option<T> {
        self.0.counting.slot(read)
    }

    pub(crate) fn is_counted_for(&self, slot: &Arc<Slot>) -> bool {
        self.0.counting.is_for(slot)
    }

    pub(crate) fn is_used_as(&self, what: Use) {
        self.0.counting.is_used_as(what);
    }

    /// Counts what went through since the last look; whether something did.
    pub(crate) fn look(&self) -> bool {
        self.0.counting.look(self.fd())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.kind.fd()
    }
}

/// Ends the connection of a socket with a reset, whatever is unsent or unread.
pub(crate) fn disconnect(fd: BorrowedFd<'_>) -> io::Result<()> {
    let nowhere = libc::sockaddr { sa_family: libc::AF_UNSPEC as u16, sa_data: [0; 14] };
    // SAFETY: the address is valid for reads of its size for the duration of the call, and the
    // descriptor is open because it is borrowed.
    let result = unsafe {
        let length = size_of::<libc::sockaddr>() as libc::socklen_t;
        libc::connect(fd.as_raw_fd(), &raw const nowhere, length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
