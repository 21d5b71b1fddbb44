//! The stream against a rustls client over real sockets, each case on both io back ends.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use super::*;
use crate::io::{Acceptor, Driver, EventLoop};
use crate::metrics::labels::HandshakeResult;
use crate::tls::{Certificates, server_config};

#[derive(Debug, Clone, Copy)]
enum Backend {
    Uring,
    Epoll,
}

const BACKENDS: [Backend; 2] = [Backend::Uring, Backend::Epoll];
const NAME: &str = "a.example.com";
const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts one connection and hands its socket to `handler`, on a thread with a driver of its own.
fn serve<T: Send + 'static, F: Future<Output = T>>(
    backend: Backend,
    handler: impl FnOnce(Socket) -> F + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let main = move |driver: Driver| async move {
        let acceptor = Acceptor::new(driver, listener).unwrap();
        let (socket, _) = acceptor.accept().await.unwrap().unwrap();
        handler(socket).await
    };
    let thread = std::thread::spawn(move || match backend {
        Backend::Uring => EventLoop::uring().expect("this machine allows io_uring").run(main),
        Backend::Epoll => EventLoop::epoll().unwrap().run(main),
    });
    (address, thread)
}

struct World {
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

fn world() -> World {
    world_with(&[&rustls::version::TLS13, &rustls::version::TLS12])
}

fn world_with(versions: &[&'static rustls::SupportedProtocolVersion]) -> World {
    let certificates = Arc::new(Certificates::for_tests(&[NAME]));
    let mut roots = RootCertStore::empty();
    roots.add(certificates.default_der()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(versions)
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    World { server: server_config(certificates).unwrap(), client }
}

impl World {
    /// A server that accepts TLS and then does what `handler` says.
    fn serve<T: Send + 'static, F: Future<Output = T>>(
        &self,
        backend: Backend,
        handler: impl FnOnce(TlsStream) -> F + Send + 'static,
    ) -> (SocketAddr, JoinHandle<T>) {
        let config = self.server.clone();
        serve(backend, async move |socket| {
            handler(TlsStream::accept(socket, config, None).await.unwrap()).await
        })
    }

    fn connection(&self) -> ClientConnection {
        let name = ServerName::try_from(NAME).unwrap();
        ClientConnection::new(Arc::new(self.client.clone()), name).unwrap()
    }

    fn connect(&self, address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        StreamOwned::new(self.connection(), connect(address))
    }

    /// A client that says `bytes` and its end together with the end of its handshake.
    fn all_in_one_packet(
        &self,
        address: SocketAddr,
        bytes: &[u8],
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let (mut tls, mut socket) = (self.connection(), connect(address));
        tls.write_tls(&mut socket).unwrap();
        while tls.is_handshaking() {
            tls.read_tls(&mut socket).unwrap();
            tls.process_new_packets().unwrap();
        }
        tls.writer().write_all(bytes).unwrap();
        tls.send_close_notify();
        let mut last_flight_and_data = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut last_flight_and_data).unwrap();
        }
        socket.write_all(&last_flight_and_data).unwrap();
        StreamOwned::new(tls, socket)
    }

    /// How a handshake ends that the client begins by sending `bytes` and then a FIN.
    fn refused(&self, backend: Backend, bytes: &[u8]) -> HandshakeError {
        let config = self.server.clone();
        let (address, server) = serve(backend, async move |socket| {
            TlsStream::accept(socket, config, None).await.map(|_| ()).unwrap_err()
        });
        let mut client = connect(address);
        client.write_all(bytes).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.join().unwrap()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 253) as u8).collect()
}

async fn echo(stream: TlsStream) -> io::Result<()> {
    loop {
        let chunk = stream.recv().await?;
        if chunk.is_empty() {
            return stream.close_write().await;
        }
        stream.send(chunk).await.0?;
    }
}

#[test]
fn bytes_come_back_as_they_were_in_both_versions() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for backend in BACKENDS {
            let world = world_with(&[version]);
            let (address, server) = world.serve(backend, async |stream| {
                assert_eq!(stream.server_name().as_deref(), Some(NAME));
                let version = stream.protocol_version();
                echo(stream).await.map(|()| version)
            });
            let mut client = world.connect(address);
            for length in [1, 2, 16_383, 16_384, 16_398, 65_536, 100_000] {
                let sent = pattern(length);
                client.write_all(&sent).unwrap();
                let mut received = vec![0; length];
                client.read_exact(&mut received).unwrap();
                assert!(sent == received, "{length} bytes on {backend:?}");
            }
            client.conn.send_close_notify();
            client.flush().unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0, "an orderly end");
            assert_eq!(server.join().unwrap().unwrap(), Some(version.version));
        }
    }
}

/// The client side of a full-duplex exchange, in one thread: sends and receives `length` bytes at
/// once, and asks for new keys on the way, which the server must answer between its own records.
fn exchange(mut tls: ClientConnection, socket: &mut TcpStream, length: usize) -> Vec<u8> {
    let (outgoing, mut sent, mut received) = (pattern(length), 0, Vec::new());
    let (deadline, mut next_refresh) = (Instant::now() + PATIENCE, length / 8);
    socket.set_nonblocking(true).unwrap();
    while received.len() < length || sent < length || tls.wants_write() {
        assert!(Instant::now() < deadline, "stuck at {sent} sent, {} received", received.len());
        // The server reads no further than the last byte, and would end with a reset.
        if !tls.is_handshaking() && (next_refresh..length).contains(&sent) {
            tls.refresh_traffic_keys().unwrap();
            next_refresh += length / 8;
        }
        if !tls.is_handshaking() && !tls.wants_write() && sent < length {
            let end = length.min(sent + 20_000);
            sent += tls.writer().write(&outgoing[sent..end]).unwrap();
        }
        let would_block = |result: io::Result<usize>| match result {
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            Ok(count) => assert_ne!(count, 0, "the server ended the connection"),
        };
        if tls.wants_write() {
            would_block(tls.write_tls(socket));
        }
        if tls.wants_read() {
            would_block(tls.read_tls(socket));
            tls.process_new_packets().unwrap();
        }
        let mut plaintext = [0; 32 * 1024];
        while let Ok(count) = tls.reader().read(&mut plaintext) {
            received.extend_from_slice(&plaintext[..count]);
        }
    }
    received
}

#[test]
fn both_directions_run_at_once_with_key_updates_between() {
    const LENGTH: usize = 6 * 1024 * 1024;
    for backend in BACKENDS {
        let world = world();
        let (address, server) = world.serve(backend, async |stream| {
            let receive = async {
                let mut received = Vec::new();
                while received.len() < LENGTH {
                    received.extend_from_slice(&stream.recv().await.unwrap());
                }
                received
            };
            let send = async {
                for piece in pattern(LENGTH).chunks(150_001) {
                    stream.send(piece.to_vec()).await.0.unwrap();
                }
            };
            tokio::join!(receive, send).0
        });
        let mut socket = connect(address);
        let received = exchange(world.connection(), &mut socket, LENGTH);
        assert!(received == pattern(LENGTH), "what the server sent, on {backend:?}");
        assert!(server.join().unwrap() == pattern(LENGTH), "what the client sent, on {backend:?}");
    }
}

#[test]
fn an_end_without_close_notify_is_no_end() {
    for backend in BACKENDS {
        let world = world();
        let (address, server) = world.serve(backend, async |stream| {
            let first = stream.recv().await.unwrap();
            (first.to_vec(), stream.recv().await.map(|chunk| chunk.len()))
        });
        let mut client = world.connect(address);
        client.write_all(b"half of it").unwrap();
        client.sock.shutdown(Shutdown::Write).unwrap();
        let (first, end) = server.join().unwrap();
        assert_eq!(first, b"half of it");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{backend:?}");
    }
}

#[test]
fn each_direction_ends_by_itself() {
    for backend in BACKENDS {
        let world = world();
        let (address, server) = world.serve(backend, async |stream| {
            assert_eq!(&*stream.recv().await.unwrap(), b"question");
            assert!(stream.recv().await.unwrap().is_empty());
            stream.send(&b"answer"[..]).await.0.unwrap();
            stream.close_write().await.unwrap();
            let (refused, bytes) = stream.send(vec![1]).await;
            assert_eq!((refused.unwrap_err().kind(), bytes), (io::ErrorKind::BrokenPipe, vec![1]));
            stream.recv().await.unwrap().len()
        });
        let mut client = world.connect(address);
        client.write_all(b"question").unwrap();
        client.conn.send_close_notify();
        client.flush().unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((answer.as_str(), server.join().unwrap()), ("answer", 0), "{backend:?}");
    }
}

#[test]
fn shutting_down_ends_a_send_that_nobody_reads() {
    for backend in BACKENDS {
        let world = world();
        let (address, server) = world.serve(backend, async |stream| {
            let send = async { stream.send(vec![7; 64 * 1024 * 1024]).await.0 };
            let deadline = async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                stream.socket().shutdown(Shutdown::Both);
            };
            tokio::join!(send, deadline).0
        });
        let mut client = world.connect(address);
        client.flush().unwrap();
        assert!(server.join().unwrap().is_err(), "{backend:?}");
    }
}

#[test]
fn bytes_in_one_packet_with_the_handshake_are_kept() {
    for backend in BACKENDS {
        let world = world();
        let config = world.server.clone();
        let (address, server) = serve(backend, async move |socket: Socket| {
            let first = socket.recv().await.unwrap();
            let stream = TlsStream::accept(socket, config, Some(first)).await.unwrap();
            let mut received = Vec::new();
            while received.len() < 30_000 {
                received.extend_from_slice(&stream.recv().await.unwrap());
            }
            assert!(stream.recv().await.unwrap().is_empty());
            received
        });
        let _client = world.all_in_one_packet(address, &pattern(30_000));
        assert!(server.join().unwrap() == pattern(30_000), "{backend:?}");
    }
}

/// A small request and the client's end, which fit one packet with the end of the handshake.
#[test]
fn an_end_in_one_packet_with_the_handshake_is_no_failure() {
    for backend in BACKENDS {
        let world = world();
        let (address, server) = world.serve(backend, async |stream| {
            let question = stream.recv().await.unwrap().to_vec();
            stream.send(&b"answer"[..]).await.0.unwrap();
            stream.close_write().await.unwrap();
            question
        });
        let mut answer = String::new();
        world.all_in_one_packet(address, b"question").read_to_string(&mut answer).unwrap();
        assert_eq!((server.join().unwrap().len(), answer.as_str()), (8, "answer"));
    }
}

#[test]
fn a_second_visit_resumes_with_a_ticket() {
    let mut world = world();
    world.client.resumption = Resumption::in_memory_sessions(4);
    for (backend, expected) in
        BACKENDS.into_iter().zip([HandshakeKind::Full, HandshakeKind::Resumed])
    {
        let (address, server) = world.serve(backend, echo);
        let mut client = world.connect(address);
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        assert_eq!(client.conn.handshake_kind(), Some(expected));
        client.conn.send_close_notify();
        client.flush().unwrap();
        // To its end: a socket that is closed with a ticket unread in it resets the connection.
        assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), 0);
        server.join().unwrap().unwrap();
    }
}

#[test]
fn failed_handshakes_are_told_apart() {
    let world = world();
    for backend in BACKENDS {
        for (bytes, expected) in [
            (&b""[..], HandshakeResult::Closed),
            (b"\x16\x03\x01\x02\x00\x01", HandshakeResult::Closed),
            (b"GET / HTTP/1.1\r\n\r\n", HandshakeResult::PlainHttp),
            (b"\x16\x03\x01\x00\x05hello", HandshakeResult::Malformed),
            (b"\x00\x01\x02\x03\x04\x05", HandshakeResult::Malformed),
            (b"\x15\x03\x01\x00\x02\x02\x28", HandshakeResult::Alert),
        ] {
            let error = world.refused(backend, bytes);
            assert_eq!(error.result(), expected, "{bytes:?} on {backend:?}: {error:?}");
        }
    }
}

#[test]
fn a_client_with_nothing_in_common_hears_why() {
    for backend in BACKENDS {
        for (change, expected) in [
            (
                (|config| config.alpn_protocols = vec![b"h2".to_vec()]) as fn(&mut ClientConfig),
                HandshakeResult::NothingShared,
            ),
            (|config| *config = trusting_nobody(), HandshakeResult::Alert),
        ] {
            let mut world = world();
            change(&mut world.client);
            let config = world.server.clone();
            let (address, server) = serve(backend, async move |socket| {
                TlsStream::accept(socket, config, None).await.map(|_| ()).unwrap_err()
            });
            let failure = world.connect(address).read(&mut [0]).unwrap_err();
            assert_eq!(failure.kind(), io::ErrorKind::InvalidData, "not a mere end: {failure}");
            assert_eq!(server.join().unwrap().result(), expected, "{backend:?}");
        }
    }
}

fn trusting_nobody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}
