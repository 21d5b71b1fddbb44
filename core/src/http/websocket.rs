//! Where frames of a WebSocket end (RFC 6455 §5.2), in one direction, as its bytes go by: a frame
//! of the edge's own may be put only between two of them. Nothing is changed, unmasked or kept.

/// The position in a stream of frames.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frames {
    /// Of the frame's head, while that is not complete.
    head: [u8; Frames::HEAD_BYTES_MAX],
    have: u8,
    /// Of the frame's payload that is still to come.
    left: u64,
    closed: bool,
}

/// The edge has taken back what the connection was opened with: 4000–4999 are for applications, and
/// 4403 says what 403 says, so that a page does not try again (RFC 6455 §7.4.2).
pub const CLOSE_FORBIDDEN: u16 = 4403;

const CLOSE: u8 = 0x8;

impl Frames {
    const HEAD_BYTES_MAX: usize = 14;

    #[inline]
    pub fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = self.left.min(bytes.len() as u64);
            self.left -= skipped;
            bytes = &bytes[skipped as usize..];
            let Some((&byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.head[usize::from(self.have)] = byte;
            self.have += 1;
            self.end_head();
        }
    }

    /// The same up to the end of the frame under way, if it ends in these bytes: how many of them
    /// that takes.
    pub fn pass_to_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut passed = 0;
        while !self.is_between() {
            // A payload at once, a head byte by byte.
            let step = usize::try_from(self.left).unwrap_or(usize::MAX).max(1);
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
        self.have == 0 && self.left == 0
    }

    /// The head's length is in its second byte.
    fn end_head(&mut self) {
        if self.have < 2 {
            return;
        }
        let mask = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        let extended = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.have < 2 + extended + mask {
            return;
        }
        self.left = match extended {
            0 => u64::from(self.head[1] & 0x7f),
            length => self.head[2..2 + usize::from(length)]
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        self.closed |= self.head[0] & 0xf == CLOSE;
        self.have = 0;
    }

    /// Between two frames, and not behind the last one.
    pub fn may_insert(&self) -> bool {
        self.is_between() && !self.closed
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
                    rest.chunks(cut).for_each(|piece| frames.pass(piece));
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
