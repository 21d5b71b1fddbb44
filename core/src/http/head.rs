//! Where a head ends, and its lines: shared by requests and responses. Finds what `httparse` would
//! forgive (bare line feeds) before it is asked, and bounds the work done on a head that never
//! ends.

use std::mem::MaybeUninit;

use crate::limits;

/// Room for the fields of one head, on the caller's stack.
pub type FieldSpace<'b> = [MaybeUninit<httparse::Header<'b>>; limits::HEAD_FIELDS_MAX];

pub fn field_space<'b>() -> FieldSpace<'b> {
    [const { MaybeUninit::uninit() }; limits::HEAD_FIELDS_MAX]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The head is the first so many bytes, the empty line included.
    Complete(usize),
    Incomplete,
    FirstLineTooLong,
    TooLarge,
    BareLineFeed,
}

/// Looks for the empty line that ends a head. `scanned` bytes were looked at before without finding
/// it, so that a head that arrives byte by byte is not scanned from its start each time.
pub fn extent(buffer: &[u8], scanned: usize) -> Extent {
    // Three bytes of the ending may lie in what was scanned: CR LF CR.
    let from = scanned.saturating_sub(3);
    for offset in memchr::memchr_iter(b'\n', &buffer[from..]) {
        let line_feed = from + offset;
        if line_feed == 0 || buffer[line_feed - 1] != b'\r' {
            return Extent::BareLineFeed;
        }
        if buffer[..line_feed - 1].ends_with(b"\r\n") {
            let end = line_feed + 1;
            return if end > limits::HEAD_BYTES_MAX {
                too_large(buffer)
            } else if end > limits::REQUEST_LINE_BYTES_MAX && first_line_is_too_long(buffer) {
                Extent::FirstLineTooLong
            } else {
                Extent::Complete(end)
            };
        }
    }
    if buffer.len() >= limits::HEAD_BYTES_MAX {
        return too_large(buffer);
    }
    if buffer.len() > limits::REQUEST_LINE_BYTES_MAX && first_line_is_too_long(buffer) {
        return Extent::FirstLineTooLong;
    }
    Extent::Incomplete
}

/// Appends a field of a head to another. Nearly all are written as we would write them, and such a
/// line is copied whole.
pub(super) fn copy_field(head: &[u8], field: &httparse::Header<'_>, out: &mut Vec<u8>) {
    match line(head, field) {
        Some(line) => out.extend_from_slice(line),
        None => write_field(out, field.name, field.value),
    }
}

/// `name: value` and its end, where it stands in `head` just so.
fn line<'h>(head: &'h [u8], field: &httparse::Header<'_>) -> Option<&'h [u8]> {
    let at = |part: &[u8]| (part.as_ptr() as usize).checked_sub(head.as_ptr() as usize);
    let (name, value) = (at(field.name.as_bytes())?, at(field.value)?);
    let (colon, end) = (name + field.name.len(), value + field.value.len());
    let is_so = value == colon + 2
        && head.get(colon..value)? == b": "
        && head.get(end..end + 2)? == b"\r\n";
    is_so.then(|| &head[name..end + 2])
}

/// Appends a field of our own.
pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn too_large(buffer: &[u8]) -> Extent {
    if first_line_is_too_long(buffer) { Extent::FirstLineTooLong } else { Extent::TooLarge }
}

/// Asked of a head that came in one piece too, so that the answer does not depend on the pieces.
fn first_line_is_too_long(buffer: &[u8]) -> bool {
    let bound = buffer.len().min(limits::REQUEST_LINE_BYTES_MAX + 1);
    memchr::memchr(b'\n', &buffer[..bound]).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_empty_line() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        assert_eq!(extent(head, 0), Extent::Complete(head.len() - 4));
        for cut in 0..head.len() - 4 {
            assert_eq!(extent(&head[..cut], 0), Extent::Incomplete, "{cut}");
            // However much was scanned before, the end is found.
            assert_eq!(extent(head, cut), Extent::Complete(head.len() - 4), "{cut}");
        }
    }

    #[test]
    fn a_line_must_end_in_both() {
        assert_eq!(extent(b"GET / HTTP/1.1\n", 0), Extent::BareLineFeed);
        assert_eq!(extent(b"\n", 0), Extent::BareLineFeed);
        assert_eq!(extent(b"GET / HTTP/1.1\r\nA: b\n\r\n", 0), Extent::BareLineFeed);
    }

    #[test]
    fn a_field_is_copied_as_it_would_be_written() {
        for (given, copied) in [
            (&b"GET / HTTP/1.1\r\nA: b\r\n\r\n"[..], &b"A: b\r\n"[..]),
            (b"GET / HTTP/1.1\r\nA:b\r\n\r\n", b"A: b\r\n"),
            (b"GET / HTTP/1.1\r\nA:  b c\t \r\n\r\n", b"A: b c\r\n"),
            (b"GET / HTTP/1.1\r\nA:\tb\r\n\r\n", b"A: b\r\n"),
            (b"GET / HTTP/1.1\r\nA:\r\n\r\n", b"A: \r\n"),
            (b"GET / HTTP/1.1\r\nA: \r\n\r\n", b"A: \r\n"),
        ] {
            let mut space = [httparse::EMPTY_HEADER; 1];
            let mut request = httparse::Request::new(&mut space);
            assert!(request.parse(given).unwrap().is_complete());
            let mut out = Vec::new();
            copy_field(given, &request.headers[0], &mut out);
            assert_eq!(out, copied);
            // What is no part of the head is written all the same.
            let foreign = httparse::Header { name: "A", value: b"b" };
            out.clear();
            copy_field(given, &foreign, &mut out);
            assert_eq!(out, b"A: b\r\n");
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let long_line = vec![b'a'; limits::REQUEST_LINE_BYTES_MAX + 1];
        assert_eq!(extent(&long_line, 0), Extent::FirstLineTooLong);
        let mut long_head = b"GET / HTTP/1.1\r\n".to_vec();
        long_head.resize(limits::HEAD_BYTES_MAX, b'a');
        assert_eq!(extent(&long_head, 0), Extent::TooLarge);
    }
}
