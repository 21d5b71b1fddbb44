//! The cheapest upstream that we can write: one thread that answers GET with 64 bytes, `/bytes/N`
//! with N bytes, a POST with the 64 bytes once it has its body, and any Upgrade with 101 and an
//! echo. It must not know that a proxy is in front.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::socket::Backlog;

use crate::load::connection::SCRATCH_BYTES;
use crate::load::head;
use crate::load::kernel::{self, Poll};
use crate::load::stream::{Fault, receive_some, send_some};

/// What a plain GET gets.
pub const BODY: &[u8; 64] = b"portico-bench: these are the 64 bytes of a small upstream answer";

const SMALL_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n\
    portico-bench: these are the 64 bytes of a small upstream answer";
const HEAD_END: &[u8] = b"\r\n\r\n";
/// What long bodies are made of, in both directions.
pub const FILLER_BYTE: u8 = b'x';
pub static FILLER: [u8; 256 * 1024] = [FILLER_BYTE; 256 * 1024];

/// Under this key the listener is polled; connections are indices.
const LISTENER: u64 = u64::MAX;
/// Requests of the load tool are far smaller; more without an empty line is a mistake.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const BACKLOG: i32 = 4096;
const TICK: Duration = Duration::from_millis(200);

/// Serves until the process is interrupted.
pub fn serve(listener: &TcpListener) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    // A proxy may open thousands of connections at once; the library's backlog is 128, and whoever
    // does not fit into it tries again after a second.
    nix::sys::socket::listen(listener, Backlog::new(BACKLOG)?)?;
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    let mut server = Server::default();
    let mut keys = Vec::new();
    let mut scratch = vec![0; SCRATCH_BYTES];
    while !kernel::interrupted() {
        poll.wait(TICK, &mut keys)?;
        for key in &keys {
            if *key == LISTENER {
                server.accept(listener, &poll)?;
            } else {
                server.turn(*key as usize, &mut scratch);
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Server {
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
}

impl Server {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // The client gave up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or(self.connections.len());
            if index == self.connections.len() {
                self.connections.push(None);
            }
            poll.add(&socket, index as u64)?;
            self.connections[index] = Some(Connection::new(socket));
        }
    }

    fn turn(&mut self, index: usize, scratch: &mut [u8]) {
        let Some(connection) = &mut self.connections[index] else { return };
        if connection.turn(scratch).is_err() {
            self.connections[index] = None;
            self.free.push(index);
        }
    }
}

struct Connection {
    socket: TcpStream,
    stage: Stage,
    /// Bytes that the socket did not take; nothing is read while there are some.
    unsent: Vec<u8>,
    /// Requests that are not complete or not yet answered; empty nearly always.
    waiting: Vec<u8>,
}

enum Stage {
    Http,
    /// This much of the body of `/bytes/N` is to be sent.
    Filling(u64),
    /// This much of the body of a POST is to come.
    Taking(u64),
    Echo,
}

impl Connection {
    fn new(socket: TcpStream) -> Connection {
        Connection { socket, stage: Stage::Http, unsent: Vec::new(), waiting: Vec::new() }
    }

    /// Sends what is due, then reads until the socket is empty or does not take the answers.
    fn turn(&mut self, scratch: &mut [u8]) -> Result<(), Fault> {
        while self.flush()? {
            let Some(count) = receive_some(&self.socket, scratch)? else { return Ok(()) };
            self.received(&scratch[..count])?;
            let drained = count < scratch.len();
            if drained && self.unsent.is_empty() && !matches!(self.stage, Stage::Filling(_)) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self.stage {
            Stage::Echo => self.send(bytes),
            Stage::Taking(left) => {
                let taken = left.min(bytes.len() as u64);
                self.take(taken)?;
                match &bytes[taken as usize..] {
                    [] => Ok(()),
                    rest => self.received(rest),
                }
            }
            // The usual case, without a copy: one whole request.
            Stage::Http if self.waiting.is_empty() && whole_request(bytes) => self.answer(bytes),
            Stage::Http | Stage::Filling(_) => {
                self.waiting.extend_from_slice(bytes);
                self.answer_waiting()
            }
        }
    }

    fn answer_waiting(&mut self) -> Result<(), Fault> {
        while matches!(self.stage, Stage::Http)
            && let Some(end) = memchr::memmem::find(&self.waiting, HEAD_END)
        {
            let rest = self.waiting.split_off(end + HEAD_END.len());
            let request = std::mem::replace(&mut self.waiting, rest);
            self.answer(&request)?;
            if let Stage::Taking(left) = self.stage {
                let taken = left.min(self.waiting.len() as u64);
                self.waiting.drain(..taken as usize);
                self.take(taken)?;
            }
        }
        if self.waiting.len() > HEAD_BYTES_MAX {
            return Err(Fault::Answer("a request without an end".into()));
        }
        if matches!(self.stage, Stage::Echo) {
            let early = std::mem::take(&mut self.waiting);
            self.send(&early)?;
        }
        Ok(())
    }

    /// So much of the body came; the last of it is answered.
    fn take(&mut self, bytes: u64) -> Result<(), Fault> {
        let Stage::Taking(left) = &mut self.stage else { return Ok(()) };
        *left -= bytes;
        if *left == 0 {
            self.stage = Stage::Http;
            self.send(SMALL_ANSWER)?;
        }
        Ok(())
    }

    fn answer(&mut self, request: &[u8]) -> Result<(), Fault> {
        if request.starts_with(b"POST ") {
            let length = head::field(request, b"content-length")
                .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let Some(length) = length else {
                return Err(Fault::Answer("a POST has a length".into()));
            };
            self.stage = Stage::Taking(length);
            return self.take(0);
        }
        let target =
            request.strip_prefix(b"GET ").and_then(|rest| rest.split(|b| *b == b' ').next());
        let Some(target) = target else {
            return Err(Fault::Answer("only GET and POST are served".into()));
        };
        if let Some(protocol) = head::field(request, b"upgrade") {
            self.stage = Stage::Echo;
            let protocol = String::from_utf8_lossy(protocol);
            return self.send(
                format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                     Upgrade: {protocol}\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                    head::SAMPLE_ACCEPT
                )
                .as_bytes(),
            );
        }
        let length = target
            .strip_prefix(b"/bytes/")
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match length {
            Some(length) => {
                self.stage = Stage::Filling(length);
                self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())
            }
            None => self.send(SMALL_ANSWER),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sent = match self.unsent.is_empty() {
            true => send_some(&self.socket, bytes)?,
            false => 0,
        };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    /// True once nothing is left to send.
    fn flush(&mut self) -> Result<bool, Fault> {
        if !self.unsent.is_empty() {
            let sent = send_some(&self.socket, &self.unsent)?;
            self.unsent.drain(..sent);
        }
        while self.unsent.is_empty()
            && let Stage::Filling(left) = self.stage
        {
            if left == 0 {
                self.stage = Stage::Http;
                self.answer_waiting()?;
                continue;
            }
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(FILLER.len());
            let sent = send_some(&self.socket, &FILLER[..piece])?;
            if sent == 0 {
                return Ok(false);
            }
            self.stage = Stage::Filling(left - sent as u64);
        }
        Ok(self.unsent.is_empty())
    }
}

fn whole_request(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, HEAD_END).is_some_and(|end| end + HEAD_END.len() == bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use crate::load::Target;

    fn target(address: SocketAddr) -> Target {
        Target { address, host: "a".into(), cookie: String::new(), tls: None }
    }

    fn get(path: &str) -> Vec<u8> {
        head::request(&target(([127, 0, 0, 1], 1).into()), path)
    }

    fn started() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the test process.
        std::thread::spawn(move || serve(&listener).unwrap());
        address
    }

    fn connected() -> TcpStream {
        let socket = TcpStream::connect(started()).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    #[test]
    fn requests_in_pieces_and_together_are_all_answered() {
        let mut socket = connected();
        let request = get("/");
        let three = [&request[..], &request[..], &request[..]].concat();
        let mut answers = vec![0; 3 * SMALL_ANSWER.len()];
        for pieces in [1, 7, three.len()] {
            for piece in three.chunks(pieces) {
                socket.write_all(piece).unwrap();
            }
            socket.read_exact(&mut answers).unwrap();
            assert_eq!(answers, SMALL_ANSWER.repeat(3));
        }
        let head = head::parse(SMALL_ANSWER).unwrap().unwrap();
        assert_eq!(head.content_length, Some(BODY.len() as u64));
        assert!(SMALL_ANSWER.ends_with(BODY));
    }

    #[test]
    fn a_long_body_has_its_length_and_the_next_request_is_served() {
        let mut socket = connected();
        socket.write_all(&get("/bytes/5000000")).unwrap();
        socket.write_all(&get("/")).unwrap();
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n";
        let mut answer = vec![0; head.len() + 5_000_000 + SMALL_ANSWER.len()];
        socket.read_exact(&mut answer).unwrap();
        assert!(answer.starts_with(head));
        assert!(answer.ends_with(SMALL_ANSWER));
    }

    #[test]
    fn a_body_is_taken_whole_and_what_follows_is_the_next_request() {
        let mut socket = connected();
        let head = head::upload_request(&target(([127, 0, 0, 1], 1).into()), "/", 300_000);
        let request = [&head[..], &vec![b'x'; 300_000], &get("/")].concat();
        for piece in [request.len(), 70_000] {
            for bytes in request.chunks(piece) {
                socket.write_all(bytes).unwrap();
            }
            let mut answers = vec![0; 2 * SMALL_ANSWER.len()];
            socket.read_exact(&mut answers).unwrap();
            assert_eq!(answers, SMALL_ANSWER.repeat(2));
        }
    }

    #[test]
    fn an_upgrade_echoes_and_a_reader_that_is_late_gets_everything() {
        let mut socket = connected();
        let mut bytes = head::upgrade_request(&target(([127, 0, 0, 1], 1).into()), "/echo");
        let sent = crate::load::echo::pattern(4_000_000);
        bytes.extend_from_slice(&sent);
        let mut writer = socket.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let mut received = Vec::new();
        let mut piece = vec![0; 8192];
        let body_start = loop {
            let count = socket.read(&mut piece).unwrap();
            received.extend_from_slice(&piece[..count]);
            if let Some(head) = head::parse(&received).unwrap() {
                assert_eq!(head.status, 101);
                break head.head_bytes;
            }
        };
        received.drain(..body_start);
        let mut rest = vec![0; sent.len() - received.len()];
        socket.read_exact(&mut rest).unwrap();
        received.extend_from_slice(&rest);
        assert!(received == sent);
        writing.join().unwrap();
    }
}
