//! Accepting connections. A wait for the next one is a poll, and the accept itself does not wait:
//! so there is never an accept in flight that could swallow a connection when the listener is
//! stopped.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::driver::{Driver, Kind};
use super::socket::Socket;
use super::uring::{self, Ring};

/// A listening socket of this worker (SO_REUSEPORT: each worker has its own).
pub(crate) struct Acceptor {
    driver: Driver,
    listener: Waiting,
    stopped: Cell<bool>,
    stop: tokio::sync::Notify,
}

enum Waiting {
    Uring(Rc<Ring>, TcpListener),
    Epoll(AsyncFd<TcpListener>),
}

impl Acceptor {
    pub(crate) fn new(driver: Driver, listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = match &driver.0 {
            Kind::Uring(ring) => Waiting::Uring(ring.clone(), listener),
            Kind::Epoll => {
                // SAFETY: a listener owns its descriptor and always names the same one; it is owned
                // by the registration, which ends before it is closed.
                let registered =
                    unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) };
                Waiting::Epoll(registered?)
            }
        };
        Ok(Self { driver, listener, stopped: Cell::new(false), stop: tokio::sync::Notify::new() })
    }

    /// The next connection. `None` once stopped and all that had been queued are handed out.
    pub(crate) async fn accept(&self) -> io::Result<Option<(Socket, SocketAddr)>> {
        loop {
            match self.listener().accept() {
                Ok((stream, address)) => {
                    // Waiting is the ring's business: in non-blocking mode it would not do it.
                    stream.set_nonblocking(matches!(self.driver.0, Kind::Epoll))?;
                    let socket = Socket::new(&self.driver, stream.into())?;
                    socket.set_options();
                    return Ok(Some((socket, address)));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.stopped.get() {
                        return Ok(None);
                    }
                    self.wait().await?;
                }
                // Gone before it was accepted: nobody's fault, and not the listener's end.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Makes `accept` hand out what is queued and then end.
    pub(crate) async fn stop(&self) {
        self.stopped.set(true);
        match &self.listener {
            Waiting::Uring(ring, listener) => uring::cancel(ring, listener.as_fd()).await,
            Waiting::Epoll(_) => self.stop.notify_one(),
        }
    }

    async fn wait(&self) -> io::Result<()> {
        match &self.listener {
            Waiting::Uring(ring, listener) => match uring::readable(ring, listener.as_fd()).await {
                Err(e) if e.raw_os_error() == Some(libc::ECANCELED) => Ok(()),
                result => result,
            },
            // Readiness may be raced: nothing is lost when the wait for it is dropped.
            Waiting::Epoll(listener) => tokio::select! {
                ready = listener.readable() => {
                    // Cleared always: `accept` runs until it would block before it waits again.
                    ready?.clear_ready();
                    Ok(())
                }
                () = self.stop.notified() => Ok(()),
            },
        }
    }

    fn listener(&self) -> &TcpListener {
        match &self.listener {
            Waiting::Uring(_, listener) => listener,
            Waiting::Epoll(listener) => listener.get_ref(),
        }
    }
}
