//! Path routing: which session a path under `/_studio/` names, and that what follows stays below
//! it.

use crate::domain::{LabelText, PATH_PREFIX};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathSite {
    /// Not under `/_studio/`.
    Elsewhere,
    /// `/_studio/<label>`: answered by 308 to the same with a slash.
    WithoutSlash(LabelText),
    /// `/_studio/<label>/…`; `prefix` is the length of `/_studio/<label>`.
    Inside { label: LabelText, prefix: usize },
    /// Under `/_studio/`, but no label can be read from it.
    Malformed,
    /// A dot segment leads out of the session's prefix.
    Escapes,
}

/// `path` is the path of the request target, without its query.
pub fn path_site(path: &str) -> PathSite {
    let Some(rest) = path.strip_prefix(PATH_PREFIX) else {
        return PathSite::Elsewhere;
    };
    let (label, below) = match rest.find('/') {
        Some(slash) => (&rest[..slash], Some(&rest[slash + 1..])),
        None => (rest, None),
    };
    let Some(label_text) = LabelText::new(label.as_bytes()) else {
        return PathSite::Malformed;
    };
    match below {
        None => PathSite::WithoutSlash(label_text),
        Some(below) if leaves(below) => PathSite::Escapes,
        Some(_) => PathSite::Inside { label: label_text, prefix: PATH_PREFIX.len() + label.len() },
    }
}

/// Whether dot segments climb above where `below` starts, read the way the most generous tool would
/// read them: `%2e` is a dot, `%2f`, `%5c` and `\` are slashes.
fn leaves(below: &str) -> bool {
    // Without a dot, plain or encoded, there is no dot segment: the common case costs one scan.
    if !below.bytes().any(|b| matches!(b, b'.' | b'%' | b'\\')) {
        return false;
    }
    let mut depth = 0_i32;
    let mut segment = Segment::Empty;
    let mut bytes = below.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        let (byte, after) = match (first, rest) {
            (b'%', [b'2', b'e' | b'E', after @ ..]) => (b'.', after),
            (b'%', [b'2', b'f' | b'F', after @ ..]) => (b'/', after),
            (b'%', [b'5', b'c' | b'C', after @ ..]) => (b'/', after),
            (b'\\', _) => (b'/', rest),
            _ => (*first, rest),
        };
        bytes = after;
        if byte == b'/' {
            depth += segment.step();
            segment = Segment::Empty;
            if depth < 0 {
                return true;
            }
        } else {
            segment = segment.push(byte);
        }
    }
    depth + segment.step() < 0
}

#[derive(Clone, Copy)]
enum Segment {
    Empty,
    Dot,
    DotDot,
    Name,
}

impl Segment {
    fn push(self, byte: u8) -> Self {
        match (self, byte) {
            (Segment::Empty, b'.') => Segment::Dot,
            (Segment::Dot, b'.') => Segment::DotDot,
            (Segment::Empty | Segment::Dot | Segment::DotDot | Segment::Name, _) => Segment::Name,
        }
    }

    /// An empty segment does not count as one: a tool that merges slashes must not be led out
    /// either.
    fn step(self) -> i32 {
        match self {
            Segment::Empty | Segment::Dot => 0,
            Segment::DotDot => -1,
            Segment::Name => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_session() {
        let label = LabelText::new(b"a1").unwrap();
        assert_eq!(path_site("/"), PathSite::Elsewhere);
        assert_eq!(path_site("/_studio"), PathSite::Elsewhere);
        assert_eq!(path_site("/_studio/a1"), PathSite::WithoutSlash(label));
        assert_eq!(path_site("/_studio/A1/"), PathSite::Inside { label, prefix: 11 });
        assert_eq!(path_site("/_studio/a1/lab/tree"), PathSite::Inside { label, prefix: 11 });
        for bad in ["/_studio/", "/_studio//x", "/_studio/../x", "/_studio/a%31/", "/_studio/a.b/"]
        {
            assert_eq!(path_site(bad), PathSite::Malformed, "{bad}");
        }
    }

    #[test]
    fn dot_segments_cannot_leave_the_prefix() {
        for bad in [
            "..",
            "../",
            "../a2/",
            "x/../..",
            "./..",
            "%2e%2e/",
            "%2E.",
            ".%2e/x",
            "x/..%2f..",
            "..%2fa2",
            "..\\a2",
            "..%5ca2",
            "//../..",
            "x//../../..",
        ] {
            assert_eq!(path_site(&format!("/_studio/a1/{bad}")), PathSite::Escapes, "{bad}");
        }
        for good in ["", "x/..", "x/../y", "...", "..x", "x..", ".x/%2e", "a%2fb/..", "v1.2/x"] {
            let site = path_site(&format!("/_studio/a1/{good}"));
            assert!(matches!(site, PathSite::Inside { .. }), "{good}: {site:?}");
        }
    }
}
