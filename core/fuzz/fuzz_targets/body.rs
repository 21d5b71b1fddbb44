//! Any bytes as a body, in any pieces: where it ends, where it goes wrong and what is in it does
//! not depend on the pieces, nor on which of the two ways of reading is taken; and a plain decoder
//! that shares no code finds the same content.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico_core::http::body::BodyReader;
use portico_core::http::request::BodyLength;

fuzz_target!(|data: &[u8]| {
    let half = data.len() as u64 / 2;
    for length in [
        BodyLength::None,
        BodyLength::Bytes(half),
        BodyLength::Bytes(u64::MAX),
        BodyLength::Chunked,
        BodyLength::UntilClose,
    ] {
        let bytewise = passed(data, length, |_| 1);
        assert_eq!(passed(data, length, |rest| rest), bytewise, "all at once");
        let hash = data.iter().fold(7, |sum: usize, b| sum.wrapping_mul(31) ^ usize::from(*b));
        let pieces = |rest: usize| 1 + hash.wrapping_mul(rest) % rest.min(19);
        assert_eq!(passed(data, length, pieces), bytewise, "in pieces");
        for piece in [|_| 1, |rest| rest] {
            let (outcome, content) = read(data, length, piece);
            assert_eq!(outcome, bytewise, "read");
            if let Outcome::Done(end) = outcome {
                assert_eq!(content, plainly(&data[..end], length).expect("it has an end"));
            }
        }
    }
});

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// After so many bytes.
    Done(usize),
    More,
    Bad,
}

/// `pass` on pieces of the sizes that `piece` gives for what is left.
fn passed(data: &[u8], length: BodyLength, piece: impl Fn(usize) -> usize) -> Outcome {
    let mut reader = BodyReader::new(length);
    let mut at = 0;
    while at < data.len() && !reader.is_done() {
        let size = piece(data.len() - at);
        let Ok(consumed) = reader.pass(&data[at..at + size]) else { return Outcome::Bad };
        assert!(consumed == size || reader.is_done(), "bytes were left without an end");
        at += consumed;
    }
    let ends = length == BodyLength::UntilClose;
    assert_eq!(reader.may_end_now(), reader.is_done() || ends);
    if reader.is_done() { Outcome::Done(at) } else { Outcome::More }
}

/// The same with `read`, and the content.
fn read(data: &[u8], length: BodyLength, piece: fn(usize) -> usize) -> (Outcome, Vec<u8>) {
    let mut reader = BodyReader::new(length);
    let mut content = Vec::new();
    let mut at = 0;
    while at < data.len() && !reader.is_done() {
        let input = &data[at..at + piece(data.len() - at)];
        let Ok(progress) = reader.read(input) else { return (Outcome::Bad, content) };
        assert!(progress.consumed > 0 && progress.consumed <= input.len(), "no progress");
        let (start, end) = progress.content;
        assert!(start <= end && end <= progress.consumed);
        content.extend_from_slice(&input[start..end]);
        assert_eq!(progress.done, reader.is_done());
        at += progress.consumed;
    }
    (if reader.is_done() { Outcome::Done(at) } else { Outcome::More }, content)
}

/// The content of a whole body, read as plainly as can be.
fn plainly(body: &[u8], length: BodyLength) -> Option<Vec<u8>> {
    if length != BodyLength::Chunked {
        return Some(body.to_vec());
    }
    let (mut rest, mut content) = (body, Vec::new());
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(rest[..end].split(|b| *b == b';').next()?).ok()?;
        let size = usize::from_str_radix(line, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            // Nothing but trailer fields and the empty line is left.
            return rest.ends_with(b"\r\n").then_some(content);
        }
        content.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
}
