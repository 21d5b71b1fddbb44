//! The client's side of a connection, plain or TLS: one set of operations for both.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::io::{Chunk, Recv, RecvState, Send, SendState, Socket, StableBytes};
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

/// A receive as far as it has come, apart from its stream.
#[must_use]
pub(crate) enum StreamRecvState {
    Plain(RecvState),
    Tls(Pin<Box<dyn Future<Output = io::Result<Chunk>>>>),
}

/// The same of a send.
#[must_use]
pub(crate) enum StreamSendState<B: StableBytes> {
    Plain(SendState<B>),
    Tls(Pin<Box<dyn Future<Output = (io::Result<()>, B)>>>),
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

    /// For [`Stream::poll_recv`], with this one until it is done.
    pub(crate) fn recv_state(&self) -> StreamRecvState {
        match self {
            Stream::Plain(_) => StreamRecvState::Plain(RecvState::default()),
            Stream::Tls(tls) => {
                let tls = tls.clone();
                StreamRecvState::Tls(Box::pin(async move { tls.recv().await }))
            }
        }
    }

    pub(crate) fn poll_recv(
        &self,
        state: &mut StreamRecvState,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Chunk>> {
        match state {
            StreamRecvState::Plain(state) => self.socket().poll_recv(state, context),
            StreamRecvState::Tls(recv) => recv.as_mut().poll(context),
        }
    }

    /// For [`Stream::poll_send`], with this one until it is done.
    pub(crate) fn send_state<B: StableBytes>(&self, bytes: B) -> StreamSendState<B> {
        match self {
            Stream::Plain(_) => StreamSendState::Plain(SendState::new(bytes)),
            Stream::Tls(tls) => {
                let tls = tls.clone();
                StreamSendState::Tls(Box::pin(async move { tls.send(bytes).await }))
            }
        }
    }

    pub(crate) fn poll_send<B: StableBytes>(
        &self,
        state: &mut StreamSendState<B>,
        context: &mut Context<'_>,
    ) -> Poll<(io::Result<()>, B)> {
        match state {
            StreamSendState::Plain(state) => self.socket().poll_send(state, context),
            StreamSendState::Tls(send) => send.as_mut().poll(context),
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
