//! A socket driven by readiness, through tokio. A buffer is taken when bytes are there, from the
//! thread's pool.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::chunk::{self, Chunk};

pub(super) struct EpollSocket(TcpStream);

impl EpollSocket {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let stream = std::net::TcpStream::from(fd);
        stream.set_nonblocking(true)?;
        Ok(Self(TcpStream::from_std(stream)?))
    }

    pub(super) fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<Chunk>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            let mut buffer = chunk::pool_buffer();
            match self.recv_now(&mut buffer) {
                // The buffer of an empty chunk goes back to the pool with it.
                Ok(length) => return Poll::Ready(Ok(Chunk::from_pool(buffer, length))),
                Err(e) => {
                    chunk::return_to_pool(buffer);
                    if !is_transient(&e) {
                        return Poll::Ready(Err(e));
                    }
                }
            }
        }
    }

    fn recv_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut partial = None;
        let result = self.0.try_io(Interest::READABLE, || {
            let length = io::Read::read(&mut &*SockRef::from(&self.0), buffer)?;
            if length == 0 || length == buffer.len() {
                return Ok(length);
            }
            // A short read emptied the queue: saying "would block" makes tokio wait for the next
            // edge instead of spending a system call to find nothing. An end of stream that came
            // with the bytes is remembered apart from that.
            partial = Some(length);
            Err(io::ErrorKind::WouldBlock.into())
        });
        partial.map_or(result, Ok)
    }

    /// Sends from `sent` on, which it moves.
    pub(super) fn poll_send(
        &self,
        bytes: &[u8],
        sent: &mut usize,
        flags: i32,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while *sent < bytes.len() {
            let attempt = self.0.try_io(Interest::WRITABLE, || {
                SockRef::from(&self.0).send_with_flags(&bytes[*sent..], flags | libc::MSG_NOSIGNAL)
            });
            match attempt {
                Ok(count) => *sent += count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.poll_write_ready(context))?;
                }
                Err(e) if is_transient(&e) => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.0.writable().await
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
