//! The client's side of a connection, plain or TLS: one set of operations for both.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::io::{Chunk, Recv, Send, Socket, StableBytes};
use crate::tls::TlsStream;

#[derive(Clone)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(TlsStream),
}

/// A receive in flight.
pub(crate) enum StreamRecv<'a> {
    Plain(Recv<'a>),
    /// On the heap, so that a plain connection's task is not as large as a TLS one's.
    Tls(Pin<Box<dyn Future<Output = io::Result<Chunk>> + 'a>>),
}

/// A send in flight.
pub(crate) enum StreamSend<'a, B: StableBytes> {
    Plain(Send<'a, B>),
    Tls(Pin<Box<dyn Future<Output = (io::Result<()>, B)> + 'a>>),
}

impl Future for StreamRecv<'_> {
    type Output = io::Result<Chunk>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            StreamRecv::Plain(recv) => Pin::new(recv).poll(context),
            StreamRecv::Tls(recv) => recv.as_mut().poll(context),
        }
    }
}

impl<B: StableBytes> Future for StreamSend<'_, B> {
    type Output = (io::Result<()>, B);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            StreamSend::Plain(send) => Pin::new(send).poll(context),
            StreamSend::Tls(send) => send.as_mut().poll(context),
        }
    }
}

impl Stream {
    /// An empty chunk is the end of the stream.
    pub(crate) fn recv(&self) -> StreamRecv<'_> {
        match self {
            Stream::Plain(socket) => StreamRecv::Plain(socket.recv()),
            Stream::Tls(tls) => StreamRecv::Tls(Box::pin(tls.recv())),
        }
    }

    pub(crate) fn send<B: StableBytes>(&self, bytes: B) -> StreamSend<'_, B> {
        match self {
            Stream::Plain(socket) => StreamSend::Plain(socket.send(bytes)),
            Stream::Tls(tls) => StreamSend::Tls(Box::pin(tls.send(bytes))),
        }
    }

    /// More follows at once: a plain socket fills its segments.
    pub(crate) fn send_more<B: StableBytes>(&self, bytes: B) -> StreamSend<'_, B> {
        match self {
            Stream::Plain(socket) => StreamSend::Plain(socket.send_more(bytes)),
            Stream::Tls(tls) => StreamSend::Tls(Box::pin(tls.send(bytes))),
        }
    }

    /// Ends our direction properly: close_notify where there is TLS, then FIN.
    pub(crate) async fn close_write(&self) {
        match self {
            Stream::Plain(socket) => socket.shutdown(Shutdown::Write),
            // Who no longer reads gets no goodbye; the socket is shut down either way.
            Stream::Tls(tls) => drop(Box::pin(tls.close_write()).await),
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.socket(),
        }
    }
}
