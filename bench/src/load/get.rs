//! Keep-alive GETs in a closed loop; every answer must be 200 with the length that the backend
//! sends. It must not know who answers.

use std::net::TcpStream;
use std::rc::Rc;
use std::time::Instant;

use super::connection::{Dialogue, Fault, Tally, send_some};
use super::engine::{self, Outcome};
use super::{Edge, Plan, head};
use crate::backend::BODY;

pub fn run(plan: &Plan, edge: impl FnMut(Edge) -> anyhow::Result<()>) -> anyhow::Result<Outcome> {
    let request: Rc<[u8]> = head::request(&plan.target.host, "/").into();
    let make = |_| Get { request: request.clone(), partial: Vec::new(), started: Instant::now() };
    engine::run(plan, make, edge)
}

struct Get {
    request: Rc<[u8]>,
    /// What came of an answer that is not complete; empty nearly always.
    partial: Vec<u8>,
    started: Instant,
}

impl Get {
    fn ask(&self, socket: &TcpStream) -> Result<(), Fault> {
        // The socket's buffer is empty, because the last request was answered.
        match send_some(socket, &self.request)? {
            sent if sent == self.request.len() => Ok(()),
            sent => Err(Fault::Answer(format!("only {sent} bytes of a request could be sent"))),
        }
    }
}

impl Dialogue for Get {
    fn begin(&mut self, socket: &TcpStream) -> Result<(), Fault> {
        self.started = Instant::now();
        self.ask(socket)
    }

    fn received(
        &mut self,
        socket: &TcpStream,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        let complete = if self.partial.is_empty() {
            let complete = is_complete(bytes)?;
            if !complete {
                self.partial.extend_from_slice(bytes);
            }
            complete
        } else {
            self.partial.extend_from_slice(bytes);
            is_complete(&self.partial)?
        };
        if complete {
            self.partial.clear();
            self.started = tally.round_trip(self.started);
            self.ask(socket)?;
        }
        Ok(())
    }

    fn writable(&mut self, _socket: &TcpStream) -> Result<(), Fault> {
        Ok(())
    }
}

fn is_complete(bytes: &[u8]) -> Result<bool, Fault> {
    let Some(head) = head::parse(bytes).map_err(Fault::Answer)? else { return Ok(false) };
    if head.status != 200 || head.content_length != Some(BODY.len() as u64) {
        return Err(Fault::Answer(format!("{head:?}")));
    }
    let body = &bytes[head.head_bytes..];
    if body.len() > BODY.len() || !BODY.starts_with(body) {
        return Err(Fault::Answer(format!("body {:?}", String::from_utf8_lossy(body))));
    }
    Ok(body.len() == BODY.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_expected_answer_counts() {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n".to_vec();
        answer.extend_from_slice(BODY);
        for cut in 0..answer.len() {
            assert!(!is_complete(&answer[..cut]).unwrap());
        }
        assert!(is_complete(&answer).unwrap());
        *answer.last_mut().unwrap() ^= 1;
        assert!(is_complete(&answer).is_err());
        assert!(is_complete(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
