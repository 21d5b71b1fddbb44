//! The handshake of a stream, and the ways in which it fails. Most failures are the internet's
//! weather (scanners, health checks, plain HTTP on the wrong port), so each has its own kind.

use std::io;
use std::sync::Arc;

use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use super::{feed, take_records};
use crate::io::{Chunk, Socket};
use crate::metrics::labels::HandshakeResult;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the client closed the connection during the handshake")]
    Closed,
    /// Nothing was sent yet: the caller may answer in plain HTTP.
    #[error("the client speaks plain HTTP on a port with TLS")]
    PlainHttp,
    #[error("the TLS handshake failed")]
    Tls(#[source] rustls::Error),
    #[error("the connection failed during the handshake")]
    Io(#[source] io::Error),
}

impl HandshakeError {
    /// As it is counted. A deadline is the caller's, who then counts a timeout in place of
    /// `closed`.
    pub fn result(&self) -> HandshakeResult {
        match self {
            Self::Closed => HandshakeResult::Closed,
            Self::PlainHttp => HandshakeResult::PlainHttp,
            Self::Tls(rustls::Error::AlertReceived(_)) => HandshakeResult::Alert,
            Self::Tls(
                rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol,
            ) => HandshakeResult::NothingShared,
            Self::Tls(_) => HandshakeResult::Malformed,
            Self::Io(_) => HandshakeResult::Io,
        }
    }
}

/// A connection whose handshake is done.
pub(super) struct Done {
    pub(super) connection: ServerConnection,
    /// The session ticket. Nobody waits for it, so it goes with what is sent first.
    pub(super) unsent: Vec<u8>,
    /// The ciphertext that the client sent right behind its last message.
    pub(super) held: Chunk,
    /// The client has ended its stream already: all that it says came in one packet with the end of
    /// the handshake.
    pub(super) read_closed: bool,
}

/// Until both sides are done.
pub(super) async fn run(
    socket: &Socket,
    config: Arc<ServerConfig>,
    first: Chunk,
) -> Result<Done, HandshakeError> {
    let mut connection = ServerConnection::new(config).map_err(HandshakeError::Tls)?;
    let mut records = first;
    let mut begun = false;
    loop {
        if records.is_empty() {
            records = socket.recv().await.map_err(io_error)?;
            if records.is_empty() {
                return Err(HandshakeError::Closed);
            }
        }
        if !begun && is_plain_http(&records) {
            return Err(HandshakeError::PlainHttp);
        }
        begun = true;
        let done = advance(&mut connection, &mut records);
        let mut answer = Vec::new();
        take_records(&mut connection, &mut answer);
        // A client of TLS 1.2 waits for our last words.
        let is_waited_for = !matches!(
            (&done, connection.protocol_version()),
            (Ok(Some(_)), Some(ProtocolVersion::TLSv1_3))
        );
        if is_waited_for && !answer.is_empty() {
            let answer = std::mem::take(&mut answer);
            let sent = socket.send_at_once(answer).await.0;
            // What the client did wrong explains more than that it did not wait for the alert.
            if done.is_ok() {
                sent.map_err(io_error)?;
            }
        }
        if let Some(read_closed) = done.map_err(HandshakeError::Tls)? {
            return Ok(Done { connection, unsent: answer, held: records, read_closed });
        }
    }
}

/// Uses up `records`, but no further than the end of the handshake: what follows is data, and the
/// library's buffer for it is small. When the handshake is done: whether the client's stream is,
/// too.
fn advance(
    connection: &mut ServerConnection,
    records: &mut Chunk,
) -> Result<Option<bool>, rustls::Error> {
    let mut closed = false;
    while !records.is_empty() && connection.is_handshaking() {
        closed = feed(connection, records)?;
        if closed && connection.is_handshaking() {
            return Err(rustls::Error::AlertReceived(rustls::AlertDescription::CloseNotify));
        }
    }
    Ok((!connection.is_handshaking()).then_some(closed))
}

/// A TLS record begins with its type, 20 to 23; a request with its method.
fn is_plain_http(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

fn io_error(error: io::Error) -> HandshakeError {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => HandshakeError::Closed,
        _ => HandshakeError::Io(error),
    }
}
