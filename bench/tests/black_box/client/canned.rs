//! An API that says what a test wants it to say: one connection after the other, one answer each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub struct Canned {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    /// The last answer is for all who come later.
    pub fn start(answers: &[&str]) -> Self {
        Self::begin(answers, None)
    }

    pub fn start_tls(answers: &[&str], tls: ServerConfig) -> Self {
        Self::begin(answers, Some(Arc::new(tls)))
    }

    fn begin(answers: &[&str], tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (kept, answers) = (heads.clone(), answers.join("\u{0}"));
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            let answers: Vec<_> = answers.split('\u{0}').collect();
            for (index, stream) in listener.incoming().flatten().enumerate() {
                let answer = answers[index.min(answers.len() - 1)];
                let heads = &kept;
                // A client that goes away early is a test's own business.
                let _ = match &tls {
                    None => answer_one(stream, answer, heads),
                    Some(config) => secure(stream, config).and_then(|mut stream| {
                        answer_one(&mut stream, answer, heads)?;
                        stream.conn.send_close_notify();
                        stream.flush()
                    }),
                };
            }
        });
        Self { address, heads }
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no thread panicked with it").clone()
    }
}

fn secure(
    tcp: TcpStream,
    config: &Arc<ServerConfig>,
) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let connection = ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
    Ok(StreamOwned::new(connection, tcp))
}

fn answer_one(
    mut stream: impl Read + Write,
    answer: &str,
    heads: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    heads.lock().expect("no thread panicked with it").push(head);
    stream.write_all(answer.as_bytes())?;
    stream.flush()
}

/// An answer with a body of a known length.
pub fn answer(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
