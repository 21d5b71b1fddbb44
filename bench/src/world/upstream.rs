//! The session's side: a tool played by a script, connection by connection, so that a test can send
//! what no real tool would. Scripts may assert: a failed one fails the test that owns the upstream.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::json;

use super::client::reset_on_close;
use super::wire::{Message, Wire};

type Script = dyn Fn(&mut Connection) + Send + Sync;

#[derive(Debug)]
pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicUsize,
    stopped: AtomicBool,
    failed: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    requests: Mutex<Vec<Request>>,
}

/// One connection from Portico.
#[derive(Debug)]
pub struct Connection {
    wire: Wire<TcpStream>,
    /// 0 for the first connection of this upstream.
    pub number: usize,
    shared: Arc<Shared>,
    reset: bool,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub message: Message,
}

impl Upstream {
    /// Runs `script` for each connection, which is closed when the script returns.
    pub fn scripted(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared::default());
        let (script, seen): (Arc<Script>, _) = (Arc::new(script), shared.clone());
        let acceptor = std::thread::spawn(move || accept(&listener, &script, &seen));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Answers every request with a JSON account of what arrived.
    pub fn echo() -> Self {
        Self::scripted(|connection| {
            while let Some(request) = connection.request() {
                let number = connection.number;
                connection.answer("application/json", &account(&request, number));
            }
        })
    }

    /// Answers every request with the same bytes.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::scripted(move |connection| {
            while connection.request().is_some() {
                connection.send(&bytes);
            }
        })
    }

    /// How many connections Portico has made.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The requests read so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Breaks every open connection, as a tool that was killed does.
    pub fn break_connections(&self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it is over.
        drop(TcpStream::connect(self.address));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.break_connections();
        if self.shared.failed.load(Ordering::SeqCst) && !std::thread::panicking() {
            panic!("an upstream's script failed; its message is above");
        }
    }
}

fn accept(listener: &TcpListener, script: &Arc<Script>, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        if let Ok(copy) = stream.try_clone() {
            shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(copy);
        }
        let (script, shared) = (script.clone(), shared.clone());
        // Thousands of connections have a thread each: a small stack is enough for a script.
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        let run = move || {
            let failed = FailureIsSeen(shared.clone());
            let mut connection =
                Connection { wire: Wire::new(stream), number, shared, reset: false };
            script(&mut connection);
            if !connection.reset {
                let _ = connection.wire.stream.shutdown(Shutdown::Both);
            }
            drop(failed);
        };
        thread.spawn(run).expect("a thread for the connection");
    }
}

/// Remembers that a script panicked.
struct FailureIsSeen(Arc<Shared>);

impl Drop for FailureIsSeen {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::SeqCst);
        }
    }
}

impl Connection {
    /// The next request with its body; None when Portico closed or broke the connection.
    pub fn request(&mut self) -> Option<Request> {
        let mut request = self.head()?;
        self.wire.body(&mut request.message, false).ok()?;
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        Some(request)
    }

    /// The next request's head; its body is left to the script.
    pub fn head(&mut self) -> Option<Request> {
        let message = self.wire.head().ok()??;
        let mut words = message.first_line.split(' ').map(str::to_owned);
        let (method, target) = (words.next()?, words.next()?);
        Some(Request { method, target, message })
    }

    /// The body that a head announced.
    pub fn body(&mut self, request: &mut Request) -> Option<()> {
        self.wire.body(&mut request.message, false).ok()
    }

    /// A broken connection is seen by the next read, not here.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.wire.stream.write_all(bytes.as_ref());
    }

    /// Like `send`, and tells whether the connection took it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn answer(&mut self, content_type: &str, body: &str) {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
    }

    pub fn read_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        self.wire.read_exactly(count).ok()
    }

    /// Everything until Portico closes; None when it broke the connection instead.
    pub fn read_to_close(&mut self) -> Option<Vec<u8>> {
        self.wire.read_to_end().ok()
    }

    pub fn close_write(&mut self) {
        let _ = self.wire.stream.shutdown(Shutdown::Write);
    }

    /// The connection is to end with a reset when the script returns, as after a crash.
    pub fn reset(&mut self) {
        let peer = self.wire.stream.peer_addr().ok();
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| other.peer_addr().ok() != peer);
        reset_on_close(&self.wire.stream);
        self.reset = true;
    }

    /// Answers an upgrade with 101 and sends every byte back until Portico closes.
    pub fn upgrade_and_echo(&mut self) {
        self.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        let early = self.wire.take_pending();
        self.send(early);
        while self.wire.fill().unwrap_or(false) {
            let bytes = self.wire.take_pending();
            self.send(bytes);
        }
    }

    pub fn wire(&mut self) -> &mut Wire<TcpStream> {
        &mut self.wire
    }
}

impl Deref for Request {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

fn account(request: &Request, connection: usize) -> String {
    json!({
        "connection": connection,
        "method": request.method,
        "target": request.target,
        "fields": request.fields,
        "body": request.text(),
        "trailers": request.trailers,
    })
    .to_string()
}
