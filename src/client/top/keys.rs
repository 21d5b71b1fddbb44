//! Keys from the bytes that a terminal sends for them, and what each does to the view.

use super::view::{Pane, Sort, View};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Character(char),
    Tab,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    Interrupt,
    Suspend,
}

/// What is left to do after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// Other rows are shown.
    Look,
    /// It is time to ask again.
    Refresh,
    Suspend,
    Quit,
}

/// What is on the last line of the window.
pub const HINT: &str = "s sessions  w workspaces  u users  r replicas  < > order  - reverse  \
                        up down more rows  space refresh  q quit";

/// A sequence that nothing here is for is passed over as a whole.
pub fn read(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        match first {
            0x1b if matches!(rest.first(), Some(b'[' | b'O')) => {
                // ECMA-48 §5.4: parameters, and a final byte from 0x40 on.
                let end = rest.iter().skip(1).position(|byte| (0x40..0x7f).contains(byte));
                let Some(end) = end.map(|end| end + 1) else { return keys };
                keys.extend(sequence(&rest[1..=end]));
                bytes = &rest[end + 1..];
            }
            0x03 => keys.push(Key::Interrupt),
            0x09 => keys.push(Key::Tab),
            0x1a => keys.push(Key::Suspend),
            0x20..0x7f => keys.push(Key::Character(char::from(*first))),
            _ => {}
        }
    }
    keys
}

fn sequence(of: &[u8]) -> Option<Key> {
    match of {
        b"A" => Some(Key::Up),
        b"B" => Some(Key::Down),
        b"C" => Some(Key::Right),
        b"D" => Some(Key::Left),
        b"H" | b"1~" | b"7~" => Some(Key::Home),
        b"5~" => Some(Key::PageUp),
        b"6~" => Some(Key::PageDown),
        _ => None,
    }
}

impl View {
    /// `length` is how many rows there are.
    pub fn press(&mut self, key: Key, length: usize) -> Effect {
        let page = self.rows_max.max(1);
        // From where the rows are that are seen, not from where they were asked for.
        let from = self.range(length).start;
        match key {
            Key::Character('q' | 'Q') | Key::Interrupt => return Effect::Quit,
            Key::Suspend => return Effect::Suspend,
            Key::Character(' ') => return Effect::Refresh,
            Key::Character('s') => self.turn_to(Pane::Session),
            Key::Character('w') => self.turn_to(Pane::Workspace),
            Key::Character('u') => self.turn_to(Pane::User),
            Key::Character('r') => self.turn_to(Pane::Replica),
            Key::Tab => self.turn_to(self.pane.next()),
            Key::Character('<') | Key::Left => self.sort_by(self.sort.previous()),
            Key::Character('>') | Key::Right => self.sort_by(self.sort.next()),
            Key::Character('-') => self.reversed = !self.reversed,
            Key::Character('k') | Key::Up => self.skipped = from.saturating_sub(1),
            Key::Character('j') | Key::Down => self.skipped = from + 1,
            Key::PageUp => self.skipped = from.saturating_sub(page),
            Key::PageDown => self.skipped = from.saturating_add(page),
            Key::Home => self.skipped = 0,
            Key::Character(_) => return Effect::Nothing,
        }
        self.skipped = self.range(length).start;
        Effect::Look
    }

    fn turn_to(&mut self, pane: Pane) {
        (self.pane, self.skipped) = (pane, 0);
    }

    fn sort_by(&mut self, sort: Sort) {
        (self.sort, self.skipped) = (sort, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_keys_and_the_others_are_passed_over() {
        let bytes = b"q\x1b[A\x1bOB\x1b[6~\x1b[1;5C\x03\x1a\t\xc3\xa4w\x1b[";
        let wanted = [
            Key::Character('q'),
            Key::Up,
            Key::Down,
            Key::PageDown,
            Key::Interrupt,
            Key::Suspend,
            Key::Tab,
            Key::Character('w'),
        ];
        assert_eq!(read(bytes), wanted);
        assert_eq!(read(b"\x1b"), []);
    }

    #[test]
    fn keys_change_the_view() {
        let mut view = View {
            pane: Pane::Session,
            sort: Sort::Bytes,
            reversed: false,
            skipped: 0,
            rows_max: 10,
        };
        assert_eq!(view.press(Key::PageDown, 25), Effect::Look);
        assert_eq!(view.press(Key::PageDown, 25), Effect::Look);
        assert_eq!(view.skipped, 15, "the last ones");
        view.press(Key::Up, 25);
        assert_eq!(view.skipped, 14);
        view.press(Key::Character('w'), 25);
        assert_eq!((view.pane, view.skipped), (Pane::Workspace, 0));
        view.press(Key::Right, 25);
        assert_eq!(view.sort, Sort::Rtt);
        view.press(Key::Character('-'), 25);
        assert!(view.reversed);
        for (key, effect) in [
            (Key::Character('x'), Effect::Nothing),
            (Key::Character(' '), Effect::Refresh),
            (Key::Suspend, Effect::Suspend),
            (Key::Character('q'), Effect::Quit),
            (Key::Interrupt, Effect::Quit),
        ] {
            assert_eq!(view.press(key, 25), effect);
        }
    }
}
