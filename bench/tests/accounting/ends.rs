//! Both ends of a connection, that count every byte on the wire.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use portico_bench::world::client::connected;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Bytes through one end, from its own point of view.
#[derive(Debug, Default)]
pub struct Bytes {
    pub received: AtomicU64,
    pub sent: AtomicU64,
}

/// A stream whose bytes are counted.
pub struct Counted<S> {
    inner: S,
    bytes: Arc<Bytes>,
}

impl<S: Read> Read for Counted<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes.received.fetch_add(count as u64, SeqCst);
        Ok(count)
    }
}

impl<S: Write> Write for Counted<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes.sent.fetch_add(count as u64, SeqCst);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Bytes {
    pub fn now(&self) -> (u64, u64) {
        (self.received.load(SeqCst), self.sent.load(SeqCst))
    }
}

/// A client, plain or TLS.
pub struct Browser<S> {
    stream: S,
    pub tcp: TcpStream,
    pub bytes: Arc<Bytes>,
}

pub type Plain = Browser<Counted<TcpStream>>;
pub type Tls = Browser<StreamOwned<ClientConnection, Counted<TcpStream>>>;

impl Plain {
    pub fn connect(address: SocketAddr) -> Self {
        let tcp = connected(address);
        let bytes = Arc::new(Bytes::default());
        let inner = tcp.try_clone().expect("a second handle");
        Self { stream: Counted { inner, bytes: bytes.clone() }, tcp, bytes }
    }
}

impl Tls {
    pub fn connect(address: SocketAddr, name: &str, config: Arc<ClientConfig>) -> Self {
        let Plain { stream, tcp, bytes } = Plain::connect(address);
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let tls = ClientConnection::new(config, name).expect("a configuration that works");
        Self { stream: StreamOwned::new(tls, stream), tcp, bytes }
    }

    pub fn say_goodbye(&mut self) {
        self.stream.conn.send_close_notify();
        self.stream.flush().expect("the connection takes a goodbye");
    }
}

impl<S: Read + Write> Browser<S> {
    /// A request with a body of so many bytes.
    pub fn exchange(&mut self, host: &str, target: &str, body: usize) {
        self.exchange_with(host, target, body, "");
    }

    /// The last request of the connection, which the other side closes first.
    pub fn last_exchange(&mut self, host: &str, target: &str) {
        self.exchange_with(host, target, 0, "Connection: close\r\n");
        let rest = self.stream.read(&mut [0]);
        assert_eq!(rest.expect("an orderly end"), 0);
    }

    fn exchange_with(&mut self, host: &str, target: &str, body: usize, fields: &str) {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {body}\r\n{fields}\r\n"
        );
        self.send(head.as_bytes());
        let piece = vec![b'u'; 64 * 1024];
        let mut left = body;
        while left > 0 {
            let count = left.min(piece.len());
            self.send(&piece[..count]);
            left -= count;
        }
        let length = content_length(&read_head(&mut self.stream).expect("an answer"));
        self.receive(length);
    }

    /// A relay from here on.
    pub fn upgrade(&mut self, host: &str) {
        self.send(
            format!(
                "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
            )
            .as_bytes(),
        );
        let head = read_head(&mut self.stream).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection takes it");
    }

    /// There and back; false where the connection has failed.
    pub fn try_echo(&mut self, message: &[u8]) -> bool {
        let mut back = vec![0; message.len()];
        self.stream.write_all(message).is_ok() && self.stream.read_exact(&mut back).is_ok()
    }

    /// Until the other side has ended.
    pub fn read_to_end(&mut self) {
        io::copy(&mut self.stream, &mut io::sink()).expect("an orderly end");
    }

    pub fn receive(&mut self, count: usize) {
        let read =
            io::copy(&mut Read::by_ref(&mut self.stream).take(count as u64), &mut io::sink());
        assert_eq!(read.expect("bytes come"), count as u64);
    }
}

/// A tool that answers each request with the number of bytes that its target names, and echoes
/// after an upgrade.
pub struct Tool {
    pub address: SocketAddr,
    pub bytes: Arc<Bytes>,
}

impl Tool {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let bytes = Arc::new(Bytes::default());
        let counted = bytes.clone();
        thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let stream = Counted { inner: tcp, bytes: counted.clone() };
                thread::spawn(move || serve(stream));
            }
        });
        Self { address, bytes }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(mut stream: Counted<TcpStream>) -> Option<()> {
    stream.inner.set_nodelay(true).ok()?;
    loop {
        let head = read_head(&mut stream)?;
        if head.to_ascii_lowercase().contains("\r\nupgrade: ") {
            let switched = "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
            stream.write_all(switched.as_bytes()).ok()?;
            let mut piece = vec![0; 64 * 1024];
            loop {
                match stream.read(&mut piece).ok()? {
                    0 => return None,
                    count => stream.write_all(&piece[..count]).ok()?,
                }
            }
        }
        let length = content_length(&head) as u64;
        io::copy(&mut Read::by_ref(&mut stream).take(length), &mut io::sink()).ok()?;
        let target = head.split(' ').nth(1)?;
        let answer: usize = target.rsplit('/').next()?.parse().unwrap_or(0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {answer}\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let piece = vec![b'd'; 64 * 1024];
        let mut left = answer;
        while left > 0 {
            let count = left.min(piece.len());
            stream.write_all(&piece[..count]).ok()?;
            left -= count;
        }
    }
}

/// Byte by byte, so that nothing behind it is taken; a body follows at another time.
fn read_head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

fn content_length(head: &str) -> usize {
    let lower = head.to_ascii_lowercase();
    let value = lower.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    value.map_or(0, |value| value.trim().parse().expect("a length"))
}
