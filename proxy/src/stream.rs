//! The client's side of a connection, plain or TLS: one set of operations for both.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::io::{Chunk, RecvState, SendState, Socket, StableBytes};
use crate::tls::TlsStream;

#[derive(Clone)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(TlsStream),
}

/// A receive in flight.
#[must_use]
pub(crate) struct StreamRecv<'a> {
    stream: &'a Stream,
    state: StreamRecvState,
}

/// A send in flight.
#[must_use]
pub(crate) struct StreamSend<'a, B: StableBytes> {
    stream: &'a Stream,
    state: StreamSendState<B>,
}

/// A receive as far as it has come, apart from its stream.
#[must_use]
pub(crate) enum StreamRecvState {
    Plain(RecvState),
    /// On the heap, so that a plain connection's task is not as large as a TLS one's.
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
        let this = self.get_mut();
        this.stream.poll_recv(&mut this.state, context)
    }
}

impl<B: StableBytes> Future for StreamSend<'_, B> {
    type Output = (io::Result<()>, B);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.stream.poll_send(&mut this.state, context)
    }
}

impl Stream {
    /// An empty chunk is the end of the stream.
    pub(crate) fn recv(&self) -> StreamRecv<'_> {
        StreamRecv { stream: self, state: self.recv_state() }
    }

    pub(crate) fn send<B: StableBytes>(&self, bytes: B) -> StreamSend<'_, B> {
        StreamSend { stream: self, state: self.send_state(bytes) }
    }

    /// More follows at once: a plain socket fills its segments.
    pub(crate) fn send_more<B: StableBytes>(&self, bytes: B) -> StreamSend<'_, B> {
        let state = match self {
            Stream::Plain(_) => StreamSendState::Plain(SendState::more_follows(bytes)),
            Stream::Tls(_) => self.send_state(bytes),
        };
        StreamSend { stream: self, state }
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
