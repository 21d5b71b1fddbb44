//! A connection of the load, plain or with TLS, that never blocks. It must not know what is said.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrStorage, bind, connect, setsockopt,
    socket, sockopt,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind};

use super::Target;

/// A proxy that needs longer to take a connection on loopback is not working.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that come and go leave from so many loopback addresses in turn: their ports wait
/// for a minute (TIME_WAIT), and one address has 28,000 of them.
const SOURCES: usize = 200;

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the proxy closed the connection")]
    Closed,
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    #[error("wrong answer: {0}")]
    Answer(String),
}

pub struct Stream {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Stream {
    /// Waits until the connection is there.
    pub fn open(target: &Target) -> io::Result<Stream> {
        let socket = TcpStream::connect_timeout(&target.address, CONNECT_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Stream::over(socket, target)
    }

    /// Waits for nothing: the socket becomes writable when the connection is there. `number`
    /// chooses the address that it comes from.
    pub fn begin(target: &Target, number: usize) -> io::Result<Stream> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let family = match target.address {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let descriptor: OwnedFd = socket(family, SockType::Stream, flags, None)?;
        if target.address.is_ipv4() && target.address.ip().is_loopback() {
            // The port is chosen by connect(), which knows both ends and so has far more of them.
            setsockopt(&descriptor, sockopt::IpBindAddressNoPort, &true)?;
            bind(descriptor.as_raw_fd(), &SockaddrIn::from(source(number)))?;
        }
        match connect(descriptor.as_raw_fd(), &SockaddrStorage::from(target.address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(descriptor);
        socket.set_nodelay(true)?;
        Stream::over(socket, target)
    }

    fn over(socket: TcpStream, target: &Target) -> io::Result<Stream> {
        let Some(config) = &target.tls else { return Ok(Stream { socket, tls: None }) };
        let tls = ClientConnection::new(config.clone(), server_name(target)?);
        let tls = tls.map_err(io::Error::other)?;
        Ok(Stream { socket, tls: Some(Box::new(tls)) })
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// How the handshake went, once it did; a plain connection has none.
    pub fn handshake(&self) -> Option<HandshakeKind> {
        self.tls.as_ref()?.handshake_kind()
    }

    /// Sends as much as is taken now.
    pub fn send_some(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.tls {
            None => send_some(&self.socket, bytes),
            Some(tls) => {
                let taken = tls.writer().write(bytes)?;
                flush(tls, &self.socket)?;
                Ok(taken)
            }
        }
    }

    /// For what has to fit, because nothing else is on its way.
    pub fn send_all(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self.send_some(bytes)? {
            sent if sent == bytes.len() => Ok(()),
            sent => Err(Fault::Answer(format!("only {sent} bytes of a request could be sent"))),
        }
    }

    /// What TLS has to say by itself. Called on every event.
    pub fn flush(&mut self) -> Result<(), Fault> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => flush(tls, &self.socket),
        }
    }

    /// One read: `None` when nothing is there now, a fault when the other side is gone.
    pub fn receive_some(&mut self, scratch: &mut [u8]) -> Result<Option<usize>, Fault> {
        let Some(tls) = &mut self.tls else { return receive_some(&self.socket, scratch) };
        loop {
            match tls.reader().read(scratch) {
                Ok(0) => return Err(Fault::Closed),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            match tls.read_tls(&mut &self.socket) {
                Ok(0) => return Err(Fault::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            tls.process_new_packets().map_err(|error| Fault::Answer(error.to_string()))?;
            flush(tls, &self.socket)?;
        }
    }

    /// Whether a read of `count` bytes has emptied the socket: what comes later makes a new event.
    pub fn is_drained(&self, count: usize, scratch: &[u8]) -> bool {
        self.tls.is_none() && count < scratch.len()
    }

    /// Says goodbye where the protocol has a word for it; the socket is closed by the drop.
    pub fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Whoever is gone already has nothing to be told.
            let _ = flush(tls, &self.socket);
        }
    }
}

pub fn server_name(target: &Target) -> io::Result<ServerName<'static>> {
    let name = target.host.split(':').next().unwrap_or_default().to_owned();
    ServerName::try_from(name).map_err(io::Error::other)
}

fn flush(tls: &mut ClientConnection, socket: &TcpStream) -> Result<(), Fault> {
    while tls.wants_write() {
        match tls.write_tls(&mut &*socket) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn source(number: usize) -> std::net::SocketAddrV4 {
    let last = (2 + number % SOURCES) as u8;
    std::net::SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0)
}

/// Sends as much as the socket takes now.
pub fn send_some(mut socket: &TcpStream, bytes: &[u8]) -> Result<usize, Fault> {
    match socket.write(bytes) {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// One read: `None` when the socket is empty, a fault when the other side is gone.
pub fn receive_some(mut socket: &TcpStream, scratch: &mut [u8]) -> Result<Option<usize>, Fault> {
    match socket.read(scratch) {
        Ok(0) => Err(Fault::Closed),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_from_addresses_of_loopback_other_than_the_proxys() {
        for number in [0, 1, SOURCES - 1, SOURCES, 123_456] {
            let address = source(number);
            assert!(address.ip().is_loopback() && *address.ip() != Ipv4Addr::LOCALHOST);
        }
        assert_eq!(source(0), source(SOURCES));
    }

    #[test]
    fn the_name_in_the_handshake_has_no_port() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let target = Target {
            address,
            host: "a.connect.localhost:8443".into(),
            cookie: String::new(),
            tls: None,
        };
        assert_eq!(server_name(&target).unwrap().to_str(), "a.connect.localhost");
    }
}
