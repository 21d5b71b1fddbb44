//! A connection's bytes, encrypted over a socket of `io`. Same shape as the socket itself: a
//! receive and a send may be awaited side by side, neither may be dropped in flight, and an idle
//! stream holds no buffer of ours (the TLS library keeps 4 KiB).
//!
//! Records must leave in the order in which they were encrypted. So whoever encrypts also sends,
//! and holds `sending` meanwhile. A receive that has something to say (a key update, an alert)
//! leaves it in the library's queue when a send is under way; the sender looks there before it lets
//! go.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::Arc;

use portico_core::limits::TLS_SEND_BYTES;
use rustls::{ServerConfig, ServerConnection};
use tokio::sync::Mutex;

use crate::io::{Chunk, Socket, StableBytes};

mod handshake;

pub(crate) use handshake::HandshakeError;

/// A handle; clones are the same stream.
#[derive(Clone)]
pub(crate) struct TlsStream(Rc<Inner>);

struct Inner {
    socket: Socket,
    /// Borrowed between awaits only, never over one.
    connection: RefCell<ServerConnection>,
    /// Held from encrypting until the records are sent.
    sending: Mutex<()>,
    /// Records that were encrypted before all others.
    unsent: Cell<Vec<u8>>,
    write_closed: Cell<bool>,
    /// The client has said `close_notify`, maybe in one receive with data before it.
    read_closed: Cell<bool>,
    /// What came in one receive with the end of the handshake.
    held: Cell<Chunk>,
}

/// The library's queue of records to send: what one send may encrypt, and room for what a receive
/// may add to it.
const QUEUE_BYTES: usize = TLS_SEND_BYTES + 16 * 1024;
/// More than this in one receive can have made the library's buffer grow.
const LIBRARY_BUFFER_BYTES: usize = 4096;

impl TlsStream {
    /// The handshake. `first` is what was received before, behind a PROXY header. There is no
    /// deadline here: shutting the socket down ends it with [`HandshakeError::Closed`].
    pub async fn accept(
        socket: Socket,
        config: Arc<ServerConfig>,
        first: Option<Chunk>,
    ) -> Result<Self, HandshakeError> {
        let first = first.unwrap_or(Chunk::EMPTY);
        let handshake::Done { mut connection, unsent, held, read_closed } =
            handshake::run(&socket, config, first).await?;
        connection.set_buffer_limit(Some(QUEUE_BYTES));
        Ok(Self(Rc::new(Inner {
            socket,
            connection: RefCell::new(connection),
            sending: Mutex::new(()),
            unsent: Cell::new(unsent),
            write_closed: Cell::new(false),
            read_closed: Cell::new(read_closed),
            held: Cell::new(held),
        })))
    }

    /// Waits for plaintext. An empty chunk is the client's orderly end (`close_notify`). An end of
    /// the connection without it is an error, `UnexpectedEof`: a body that lasts until the end
    /// could otherwise be cut short by anyone on the way (RFC 8446 §6.1).
    pub async fn recv(&self) -> io::Result<Chunk> {
        let inner = &*self.0;
        let mut records = inner.held.replace(Chunk::EMPTY);
        loop {
            let decrypted = inner.decrypt(records);
            // Also after an error: the library has queued the alert that explains it.
            let flushed = inner.flush_unless_sending().await;
            let plaintext = decrypted.map_err(broken)?;
            if !plaintext.is_empty() {
                return Ok(Chunk::from(plaintext));
            }
            if inner.read_closed.get() {
                return Ok(Chunk::EMPTY);
            }
            flushed?;
            records = inner.socket.recv().await?;
            if records.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Encrypts and sends all of `bytes`, and gives them back.
    pub async fn send<B: StableBytes>(&self, bytes: B) -> (io::Result<()>, B) {
        let result = self.0.send_all(bytes.bytes()).await;
        (result, bytes)
    }

    /// Says that nothing more will be sent, first in TLS and then in TCP. Receiving goes on.
    pub async fn close_write(&self) -> io::Result<()> {
        let inner = &*self.0;
        let _turn = inner.sending.lock().await;
        inner.write_closed.set(true);
        inner.connection.borrow_mut().send_close_notify();
        let flushed = inner.flush().await;
        inner.socket.shutdown(Shutdown::Write);
        flushed
    }

    /// The socket below, for what has nothing to do with TLS: its peer, a reset, a shutdown, which
    /// makes operations in flight complete. To a client that is a truncation; the orderly end is
    /// [`TlsStream::close_write`].
    pub fn socket(&self) -> &Socket {
        &self.0.socket
    }

    /// The name that the client asked for (SNI), in lower case.
    #[cfg(test)]
    pub fn server_name(&self) -> Option<String> {
        self.0.connection.borrow().server_name().map(str::to_owned)
    }

    #[cfg(test)]
    pub fn protocol_version(&self) -> Option<rustls::ProtocolVersion> {
        self.0.connection.borrow().protocol_version()
    }
}

impl Inner {
    /// All the plaintext in one receive and what was left of the one before, which bounds it to a
    /// receive buffer and a record.
    fn decrypt(&self, mut records: Chunk) -> Result<Vec<u8>, rustls::Error> {
        let mut connection = self.connection.borrow_mut();
        let grown = records.len() > LIBRARY_BUFFER_BYTES;
        let mut plaintext = Vec::new();
        take_plaintext(&mut connection, records.len(), &mut plaintext);
        while !records.is_empty() && !self.read_closed.get() {
            self.read_closed.set(feed(&mut connection, &mut records)?);
            take_plaintext(&mut connection, records.len(), &mut plaintext);
        }
        if grown {
            give_back_memory(&mut connection);
        }
        Ok(plaintext)
    }

    async fn send_all(&self, mut plaintext: &[u8]) -> io::Result<()> {
        let _turn = self.sending.lock().await;
        while !plaintext.is_empty() {
            let piece = &plaintext[..plaintext.len().min(TLS_SEND_BYTES)];
            let encrypted = self.encrypt(piece)?;
            plaintext = &plaintext[encrypted..];
            self.flush().await?;
        }
        Ok(())
    }

    fn encrypt(&self, plaintext: &[u8]) -> io::Result<usize> {
        if self.write_closed.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match self.connection.borrow_mut().writer().write(plaintext)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            encrypted => Ok(encrypted),
        }
    }

    /// To be called with `sending` held. Between the last look at the queue and the caller's
    /// letting go there is no await, so nothing that a receive adds is left behind.
    async fn flush(&self) -> io::Result<()> {
        loop {
            let mut records = self.unsent.take();
            take_records(&mut self.connection.borrow_mut(), &mut records);
            if records.is_empty() {
                return Ok(());
            }
            self.socket.send(records).await.0?;
        }
    }

    async fn flush_unless_sending(&self) -> io::Result<()> {
        if !self.connection.borrow().wants_write() {
            return Ok(());
        }
        match self.sending.try_lock() {
            Ok(_turn) => self.flush().await,
            Err(_) => Ok(()),
        }
    }
}

/// Gives the library one bite of `records`. True when the client has ended its stream, and what
/// follows means nothing.
fn feed(connection: &mut ServerConnection, records: &mut Chunk) -> Result<bool, rustls::Error> {
    let read = connection.read_tls(&mut &**records);
    let read = read.map_err(|error| rustls::Error::General(error.to_string()))?;
    records.advance(read);
    let state = connection.process_new_packets()?;
    Ok(state.peer_has_closed() || read == 0)
}

/// `follows` is how much ciphertext is still to be decrypted, and so an upper bound of what else
/// will be appended.
fn take_plaintext(connection: &mut ServerConnection, follows: usize, plaintext: &mut Vec<u8>) {
    let mut reader = connection.reader();
    // An error says that there is nothing now, or nothing ever again; `feed` tells the two apart.
    while let Ok(decrypted) = reader.fill_buf() {
        if decrypted.is_empty() {
            return;
        }
        if plaintext.capacity() == 0 {
            plaintext.reserve_exact(decrypted.len() + follows);
        }
        plaintext.extend_from_slice(decrypted);
        let taken = decrypted.len();
        reader.consume(taken);
    }
}

/// All records that are ready, one after the other.
fn take_records(connection: &mut ServerConnection, records: &mut Vec<u8>) {
    while connection.wants_write() {
        connection.write_tls(records).expect("writing to a vector does not fail");
    }
}

/// The library shrinks its buffer at the beginning of a read. This is a read that brings nothing.
fn give_back_memory(connection: &mut ServerConnection) {
    struct Nothing;
    impl Read for Nothing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
    let _ = connection.read_tls(&mut Nothing);
}

fn broken(error: rustls::Error) -> io::Error {
    let kind = match error {
        rustls::Error::AlertReceived(_) => io::ErrorKind::ConnectionAborted,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests;
