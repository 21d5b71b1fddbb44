//! Server-sent events (HTML Living Standard §9.2.6) from bytes as they come. It opens nothing and
//! waits for nothing.

use std::time::Duration;

use thiserror::Error;

/// One session with all the labels that it may have is far below.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub data: String,
}

#[derive(Debug, PartialEq, Eq, Error)]
#[error("an event has more than {EVENT_BYTES_MAX} bytes")]
pub struct TooLarge;

/// What a stream says besides its events outlives them: the newest id, and the pause that a client
/// makes before it comes back.
#[derive(Debug, Default)]
pub struct Parser {
    pub last_id: Option<String>,
    pub retry: Option<Duration>,
    /// Counts with the end of its event: half of one must come again.
    next_id: Option<String>,
    line: Vec<u8>,
    /// The byte before was CR: an LF that follows belongs to it.
    after_return: bool,
    is_begun: bool,
    name: String,
    data: String,
}

impl Parser {
    /// A stream that goes on where this one was.
    pub fn begin_anew(&mut self) {
        let last_id = self.last_id.take();
        *self = Self { next_id: last_id.clone(), last_id, retry: self.retry, ..Self::default() };
    }

    /// The events that these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<(Event, Option<String>)>, TooLarge> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => self.after_return = false,
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.take(&line).map(|event| (event, self.last_id.clone())));
                }
                byte => {
                    self.after_return = false;
                    if self.line.len() + self.data.len() >= EVENT_BYTES_MAX {
                        return Err(TooLarge);
                    }
                    self.line.push(*byte);
                }
            }
        }
        Ok(events)
    }

    fn take(&mut self, line: &[u8]) -> Option<Event> {
        let text = String::from_utf8_lossy(line);
        let text = match std::mem::replace(&mut self.is_begun, true) {
            true => &text,
            false => text.trim_start_matches('\u{feff}'),
        };
        if text.is_empty() {
            return self.complete();
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.next_id = Some(value.to_owned()),
            "retry" => {
                let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                if let (true, Ok(milliseconds)) = (is_number, value.parse()) {
                    self.retry = Some(Duration::from_millis(milliseconds));
                }
            }
            // A comment has an empty name; others are to be ignored.
            _ => {}
        }
        None
    }

    /// Without data it is no event.
    fn complete(&mut self) -> Option<Event> {
        self.last_id.clone_from(&self.next_id);
        let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        data.pop()?;
        let name = if name.is_empty() { "message".to_owned() } else { name };
        Some(Event { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned() }
    }

    const STREAM: &[u8] =
        "\u{feff}: listening\n\nid: 7\nevent: session.created\ndata: {\"a\":1}\n\n\
        data: one\r\ndata:two\r\n\r\nid: 8\rdata\r\rretry: 1500\nid\nevent: none\n\nunknown: x\n\
        data: last"
            .as_bytes();

    fn check(parser: &Parser, events: &[(Event, Option<String>)]) {
        let id = |id: &str| Some(id.to_owned());
        let wanted = [
            (event("session.created", "{\"a\":1}"), id("7")),
            (event("message", "one\ntwo"), id("7")),
            (event("message", ""), id("8")),
        ];
        assert_eq!(events, wanted);
        assert_eq!(parser.retry, Some(Duration::from_millis(1_500)));
        assert_eq!(parser.last_id.as_deref(), Some(""), "an id without a value takes it back");
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let mut whole = Parser::default();
        let events = whole.push(STREAM).unwrap();
        check(&whole, &events);
        let (mut cut, mut events) = (Parser::default(), Vec::new());
        for byte in STREAM {
            events.extend(cut.push(&[*byte]).unwrap());
        }
        check(&cut, &events);
    }

    #[test]
    fn half_an_event_is_forgotten_with_its_id() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(b"id: 8\n\nid: 9\ndata: half"), Ok(vec![]));
        parser.begin_anew();
        assert_eq!(parser.last_id.as_deref(), Some("8"), "an id counts without data, too");
        let events = parser.push(b"data: whole\n\n").unwrap();
        assert_eq!(events, [(event("message", "whole"), Some("8".to_owned()))]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; 1_000], b"\n"].concat();
        let all = (0..2_000).map(|_| parser.push(&line)).collect::<Result<Vec<_>, _>>();
        assert_eq!(all, Err(TooLarge));
    }
}
