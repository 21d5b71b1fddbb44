//! Where frames of a WebSocket end (RFC 6455 §5.2), in one direction, as its bytes go by: a frame
//! of the edge's own may be put only between two of them. And what they say of the session's use,
//! by a rule for the tool, in the same pass. Nothing is changed or kept.

use crate::activity::message::{Reader, Rule, Seen};

/// The position in a stream of frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frames {
    /// Of the frame's payload that is still to come, once its length is known.
    left: u64,
    /// As the next byte of the payload needs it; zeros are no mask.
    mask: [u8; 4],
    awaited: Awaited,
    /// The first byte of the frame under way.
    first: u8,
    /// Whether the message under way is compressed (RFC 7692 §6): only its first frame says so.
    compressed: bool,
    closed: bool,
    rule: Rule,
    reader: Reader,
}

/// An idle relay keeps two.
const _: () = assert!(size_of::<Frames>() <= 32);

/// What the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Awaited {
    /// A frame's first.
    #[default]
    First,
    /// The one with the length in it.
    Second,
    /// One of so many of the length's.
    Length(u8),
    /// One of so many of the mask's.
    Mask(u8),
    Payload,
}

/// The edge itself ends, and another may take over (RFC 6455 §7.4.1).
pub const CLOSE_GOING_AWAY: u16 = 1001;
/// The edge has taken back what the connection was opened with: 4000–4999 are for applications, and
/// 4403 says what 403 says, so that a page does not try again (RFC 6455 §7.4.2).
pub const CLOSE_FORBIDDEN: u16 = 4403;
/// The same for 429: whoever it is may come back later.
pub const CLOSE_OVER_QUOTA: u16 = 4429;

const CLOSE: u8 = 0x8;
const CONTINUATION: u8 = 0x0;
const COMPRESSED: u8 = 0x40;
const MASKED: u8 = 0x80;

impl Frames {
    /// For one direction; `Frames::default()` takes every message for data.
    pub fn new(rule: Rule) -> Self {
        Self { rule, ..Self::default() }
    }

    /// What these bytes, the next ones, are.
    #[inline]
    pub fn pass(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.awaited != Awaited::Payload {
                // Nearly all heads are short and come whole: that takes half the time.
                let (rest, head) = match self.pass_short_head(bytes) {
                    Some((rest, head)) => (rest, head),
                    None => (rest, self.pass_head(byte)),
                };
                bytes = rest;
                seen |= head;
                continue;
            }
            let length = usize::try_from(self.left).map_or(bytes.len(), |n| n.min(bytes.len()));
            let (piece, rest) = bytes.split_at(length);
            bytes = rest;
            seen |= self.pass_payload(piece);
        }
        seen
    }

    /// The same up to the end of the frame under way, if it ends in these bytes: how many of them
    /// that takes.
    pub fn pass_to_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut passed = 0;
        while !self.is_between() {
            // A payload at once, a head byte by byte.
            let step = match self.awaited {
                Awaited::Payload => usize::try_from(self.left).unwrap_or(usize::MAX),
                _ => 1,
            };
            let piece = bytes.get(passed..)?;
            let piece = &piece[..step.min(piece.len())];
            if piece.is_empty() {
                return None;
            }
            self.pass(piece);
            passed += piece.len();
        }
        Some(passed)
    }

    fn is_between(&self) -> bool {
        self.awaited == Awaited::First
    }

    /// Between two frames, and not behind the last one.
    pub fn may_insert(&self) -> bool {
        self.is_between() && !self.closed
    }

    /// At once, if it is whole and its length is in its second byte; with what follows.
    #[inline]
    fn pass_short_head<'a>(&mut self, bytes: &'a [u8]) -> Option<(&'a [u8], Seen)> {
        let [first, second, rest @ ..] = bytes else { return None };
        let length = second & 0x7f;
        if self.awaited != Awaited::First || length > 125 {
            return None;
        }
        let (mask, rest) = match second & MASKED {
            0 => ([0; 4], rest),
            _ => rest.split_first_chunk().map(|(mask, rest)| (*mask, rest))?,
        };
        self.first = *first;
        self.mask = mask;
        self.left = u64::from(length);
        Some((rest, self.begin()))
    }

    #[inline]
    fn pass_head(&mut self, byte: u8) -> Seen {
        self.awaited = match self.awaited {
            Awaited::First | Awaited::Payload => {
                self.first = byte;
                Awaited::Second
            }
            Awaited::Second => {
                self.mask = [0; 4];
                let mask = if byte & MASKED == 0 { 0 } else { 4 };
                // Until the mask, its own length stands in its place.
                self.mask[0] = mask;
                self.left = u64::from(byte & 0x7f);
                match self.left {
                    126 => self.length(2),
                    127 => self.length(8),
                    _ => Awaited::Mask(mask),
                }
            }
            Awaited::Length(more) => {
                self.left = self.left << 8 | u64::from(byte);
                if more == 1 { Awaited::Mask(self.mask[0]) } else { Awaited::Length(more - 1) }
            }
            Awaited::Mask(more) => {
                self.mask[usize::from(4 - more)] = byte;
                Awaited::Mask(more - 1)
            }
        };
        if self.awaited == Awaited::Mask(0) { self.begin() } else { Seen::default() }
    }

    fn length(&mut self, bytes: u8) -> Awaited {
        self.left = 0;
        Awaited::Length(bytes)
    }

    /// The head is complete.
    fn begin(&mut self) -> Seen {
        self.awaited = if self.left == 0 { Awaited::First } else { Awaited::Payload };
        let opcode = self.first & 0xf;
        if self.is_control() {
            self.closed |= opcode == CLOSE;
            return Seen::PING;
        }
        if opcode != CONTINUATION {
            self.compressed = self.first & COMPRESSED != 0;
        }
        match (self.rule.whole(), self.compressed) {
            (Some(seen), _) => seen,
            (None, true) => self.reader.hide(self.rule, self.left),
            (None, false) => {
                self.reader.show();
                Seen::default()
            }
        }
    }

    #[inline]
    fn pass_payload(&mut self, piece: &[u8]) -> Seen {
        let seen = match self.rule.whole() {
            _ if self.is_control() => Seen::PING,
            Some(seen) => seen,
            None => self.reader.pass(self.rule, piece, self.mask),
        };
        self.left -= piece.len() as u64;
        self.mask.rotate_left(piece.len() % 4);
        if self.left == 0 {
            self.awaited = Awaited::First;
        }
        seen
    }

    /// One that is no part of a message, and may stand between two parts (RFC 6455 §5.5).
    fn is_control(&self) -> bool {
        self.first & 0x8 != 0
    }
}

/// A server's close frame without words.
pub fn close_frame(code: u16) -> [u8; 4] {
    let [high, low] = code.to_be_bytes();
    [0x80 | CLOSE, 2, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..=125 => frame.push(mask | length as u8),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend_from_slice(&[1, 2, 3, 4]);
        }
        // Looks like heads, to whoever loses count.
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn a_frame_ends_where_its_head_says_however_it_is_cut() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            for masked in [false, true] {
                let bytes = frame(2, length, masked);
                for cut in [1, 2, 3, 9, 13, 1000, bytes.len()] {
                    let mut frames = Frames::default();
                    let (last, rest) = bytes.split_last().unwrap();
                    rest.chunks(cut).for_each(|piece| _ = frames.pass(piece));
                    assert!(!frames.may_insert(), "{length} {masked} {cut}");
                    frames.pass(&[*last]);
                    assert!(frames.may_insert(), "{length} {masked} {cut}");
                }
            }
        }
    }

    #[test]
    fn the_end_of_a_frame_under_way_is_found_wherever_it_is() {
        let bytes = [frame(2, 300, false), frame(1, 5, false)].concat();
        for cut in [1, 2, 3, 100, 303] {
            let mut frames = Frames::default();
            frames.pass(&bytes[..cut]);
            assert_eq!(frames.pass_to_end(&bytes[cut..]), Some(304 - cut), "{cut}");
            assert!(frames.may_insert());
            assert_eq!(frames.pass_to_end(&bytes[304..]), Some(0), "it is between two");
        }
        let mut frames = Frames::default();
        frames.pass(&bytes[..10]);
        assert_eq!(frames.pass_to_end(&bytes[10..200]), None);
        assert_eq!(frames.pass_to_end(&bytes[200..]), Some(104));
    }

    #[test]
    fn nothing_is_said_behind_a_close() {
        let mut frames = Frames::default();
        frames.pass(&[frame(1, 5, false), close_frame(1000).to_vec()].concat());
        assert!(!frames.may_insert());
        assert_eq!(close_frame(CLOSE_FORBIDDEN), [0x88, 2, 0x11, 0x33]);
    }
}
