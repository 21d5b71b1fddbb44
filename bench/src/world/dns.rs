//! A DNS server of a test's own, on an address of its own because its port is fixed. It knows IPv4
//! addresses by the end of a name, and nothing else.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Debug)]
pub struct Dns {
    pub address: Ipv4Addr,
}

/// Of processes of one test binary; several binaries do not run at once.
static NEXT: AtomicU8 = AtomicU8::new(1);

/// Flags of an answer (RFC 1035 §4.1.1): with recursion, without and with `NXDOMAIN`.
const FOUND: [u8; 2] = [0x81, 0x80];
const UNKNOWN: [u8; 2] = [0x81, 0x83];
const HEAD_BYTES: usize = 12;
const TYPE_A: [u8; 2] = [0, 1];

impl Dns {
    /// The first name that the asked one is, or, with a dot before it, ends with. It serves until
    /// the test's process ends.
    pub fn start(names: &[(&str, [u8; 4])]) -> Self {
        let names: Vec<_> =
            names.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
        let address = Ipv4Addr::new(127, 53, 7, NEXT.fetch_add(1, Ordering::Relaxed));
        let socket = UdpSocket::bind((address, 53)).expect("port 53, which root may have");
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                if let Some(answer) = answer(&query[..length], &names) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { address }
    }

    /// The beginning of a command for which this is the only DNS.
    pub fn launcher(&self) -> Vec<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/with-dns.sh");
        vec![script.display().to_string(), self.address.to_string()]
    }
}

fn answer(query: &[u8], names: &[(String, [u8; 4])]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut at = HEAD_BYTES;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.extend(query.get(at..at + length)?.iter().map(u8::to_ascii_lowercase));
        name.push(b'.');
        at += length;
    }
    name.pop();
    let name = String::from_utf8_lossy(&name).into_owned();
    let question = query.get(HEAD_BYTES..at + 4)?;
    let known = names.iter().find(|(known, _)| match known.starts_with('.') {
        true => name.ends_with(known.as_str()),
        false => name == *known,
    });
    let is_a = question.ends_with(&[TYPE_A[0], TYPE_A[1], 0, 1]);
    let answers = u8::from(known.is_some() && is_a);
    let mut answer = query[..2].to_vec();
    answer.extend(if known.is_some() { FOUND } else { UNKNOWN });
    answer.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if let (Some((_, address)), true) = (known, is_a) {
        // The name is that of the question; class IN, a minute, four bytes.
        answer.extend([0xc0, HEAD_BYTES as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address);
    }
    Some(answer)
}
