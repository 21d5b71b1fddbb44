//! The browser's side: a blocking connection to Portico, with or without TLS, that sends the very
//! bytes that a test says and reads answers back.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Deref;
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;
use super::wire::{Message, Wire};

#[derive(Debug)]
pub struct Client {
    wire: Wire<Stream>,
}

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// An answer: the message, and its status as a number.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub message: Message,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self { wire: Wire::new(Stream::Plain(connected(address))) }
    }

    pub fn connect_tls(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Self {
        Self::try_connect_tls(address, name, config).expect("a TLS handshake")
    }

    /// The handshake is completed here, so that its failure is seen here.
    pub fn try_connect_tls(
        address: SocketAddr,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        Self::tls_over(connected(address), name, config)
    }

    /// TLS on a connection that may have sent something before (a PROXY header).
    pub fn tls_over(tcp: TcpStream, name: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { wire: Wire::new(Stream::Tls(Box::new(stream))) })
    }

    pub fn tls(&self) -> &ClientConnection {
        match &self.wire.stream {
            Stream::Tls(stream) => &stream.conn,
            Stream::Plain(_) => panic!("this connection is not TLS"),
        }
    }

    pub fn tcp(&self) -> &TcpStream {
        match &self.wire.stream {
            Stream::Tls(stream) => &stream.sock,
            Stream::Plain(tcp) => tcp,
        }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection takes what the client sends");
    }

    /// For messages that are refused while they are still being sent.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write_all(bytes.as_ref())?;
        self.wire.flush()
    }

    /// A GET on this connection, which stays open.
    #[track_caller]
    pub fn get(&mut self, host: &str, target: &str) -> Response {
        self.exchange(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.send(bytes);
        self.response()
    }

    /// The next final answer; interim ones before it are skipped.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response().expect("an answer")
    }

    /// The next final answer to a HEAD request: a head only.
    #[track_caller]
    pub fn response_to_head(&mut self) -> Response {
        self.head()
    }

    pub fn try_response(&mut self) -> io::Result<Response> {
        loop {
            let mut response = self.try_head()?;
            match response.status {
                101 => return Ok(response),
                100..=199 => continue,
                204 | 304 => return Ok(response),
                _ => {
                    self.wire.body(&mut response.message, true)?;
                    return Ok(response);
                }
            }
        }
    }

    /// The next head, interim or final, without a body.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        self.try_head().expect("the head of an answer")
    }

    fn try_head(&mut self) -> io::Result<Response> {
        let message = self.wire.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = message.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(message.first_line.clone()))?;
        Ok(Response { status, message })
    }

    /// The body that the fields of a head announce.
    #[track_caller]
    pub fn body(&mut self, response: &mut Response) {
        self.wire.body(&mut response.message, true).expect("the whole body");
    }

    #[track_caller]
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        self.wire.read_exactly(count).expect("the bytes that were expected")
    }

    /// Everything until the server closes; a reset counts as a close.
    #[track_caller]
    pub fn read_to_close(&mut self) -> Vec<u8> {
        match self.wire.read_to_end() {
            Ok(bytes) => bytes,
            Err(e) if is_close(&e) => self.wire.take_pending(),
            Err(e) => panic!("the connection was not closed: {e}"),
        }
    }

    /// The server closes now, without another byte.
    #[track_caller]
    pub fn expect_close(&mut self) {
        let rest = self.read_to_close();
        assert!(rest.is_empty(), "before the close came {:?}", String::from_utf8_lossy(&rest));
    }

    /// Ends this side's sending: close_notify under TLS, then FIN.
    pub fn close_write(&mut self) {
        if let Stream::Tls(stream) = &mut self.wire.stream {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.tcp().shutdown(Shutdown::Write);
    }

    /// Leaves with a reset, as a program that is killed with unread bytes does.
    pub fn reset(self) {
        reset_on_close(self.tcp());
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire.read(buffer)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wire.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Deref for Response {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

pub fn connected(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("the listener accepts");
    tcp.set_nodelay(true).expect("TCP_NODELAY can be set");
    // Every read of a test ends: by data, by a close or as a failure.
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    tcp.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    tcp
}

/// The last close of this socket sends RST instead of FIN.
pub fn reset_on_close(tcp: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(tcp, sockopt::Linger, &at_once).expect("SO_LINGER can be set");
}

/// How the end of a connection looks to a reader.
fn is_close(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}
