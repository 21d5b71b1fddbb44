//! Whether a message of a WebSocket is use or only a sign of life, read as its bytes go by: no byte
//! is kept, and of a long message only the beginning is looked at. What cannot be read is data: to
//! take somebody for away who is there costs them their session.

use std::ops::{BitOr, BitOrAssign};

use super::protocol::{HeadByte, Protocol, Taken, VSCODE_CLIENT, VSCODE_SESSION, XPRA};
use crate::template::ToolKind;

/// What some bytes are: neither, as long as they do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Somebody, or the tool at work, had something to say.
    pub data: bool,
    /// A ping, keep-alive, acknowledgement or poll.
    pub ping: bool,
}

impl Seen {
    /// Also every byte of an upgrade to something else than WebSocket.
    pub const DATA: Self = Self { data: true, ping: false };
    pub const PING: Self = Self { data: false, ping: true };
}

impl BitOr for Seen {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self { data: self.data | other.data, ping: self.ping | other.ping }
    }
}

impl BitOrAssign for Seen {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// How the messages of one direction are read. Control frames are pings by every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// All are data.
    #[default]
    Data,
    /// None is: they repeat what is counted elsewhere.
    Background,
    VscodeClient,
    VscodeSession,
    Xpra,
}

/// Of the two directions of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub from_client: Rule,
    pub from_session: Rule,
}

impl Rules {
    /// Whether messages are looked into: then they must not be compressed, or nobody is ever away.
    pub fn read_messages(self) -> bool {
        self.from_client.whole().is_none() || self.from_session.whole().is_none()
    }

    /// `path` is the tool's own, without prefix and query.
    pub(super) fn of(tool: ToolKind, path: &[u8]) -> Self {
        let both = |rule| Self { from_client: rule, from_session: rule };
        match tool {
            // JupyterLab 4.6.6: the server tells the page of every file that it listed, and it
            // lists them all every 10 s because the page polls.
            ToolKind::Jupyter if path == b"/api/events/subscribe" => both(Rule::Background),
            ToolKind::Vscode => {
                Self { from_client: Rule::VscodeClient, from_session: Rule::VscodeSession }
            }
            ToolKind::Xpra => both(Rule::Xpra),
            ToolKind::Jupyter | ToolKind::Rstudio | ToolKind::Other => both(Rule::Data),
        }
    }
}

impl Rule {
    /// What all messages are, where that needs no look into them.
    #[inline]
    pub(crate) fn whole(self) -> Option<Seen> {
        match self {
            Self::Data => Some(Seen::DATA),
            Self::Background => Some(Seen::PING),
            Self::VscodeClient | Self::VscodeSession | Self::Xpra => None,
        }
    }

    fn protocol(self) -> &'static Protocol {
        match self {
            Self::Data | Self::Background | Self::Xpra => &XPRA,
            Self::VscodeClient => &VSCODE_CLIENT,
            Self::VscodeSession => &VSCODE_SESSION,
        }
    }
}

/// The position in a tool's own messages, which need not begin and end with those of the WebSocket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reader {
    /// Of the body that is still to come.
    left: u32,
    step: Step,
    /// Where the head leads.
    after_head: Step,
    /// Bytes passed of the head, or of the part of a pattern.
    at: u8,
    part: u8,
    /// The patterns that still fit, a bit each.
    fitting: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Step {
    #[default]
    Head,
    /// The beginning of a body.
    Body,
    /// The rest of a body, known for what it is.
    Ping,
    Data,
    /// Compressed, until a message is not.
    HiddenPing,
    HiddenData,
    /// This is not the protocol.
    Lost,
}

impl Reader {
    /// A message that cannot be read, of so many bytes.
    pub(crate) fn hide(&mut self, rule: Rule, length: u64) -> Seen {
        let is_ping = length <= rule.protocol().hidden_ping_bytes_max;
        self.step = if is_ping { Step::HiddenPing } else { Step::HiddenData };
        if is_ping { Seen::PING } else { Seen::DATA }
    }

    /// A message, or a part of one, that can be read.
    pub(crate) fn show(&mut self) {
        if matches!(self.step, Step::HiddenPing | Step::HiddenData) {
            *self = Self::default();
        }
    }

    pub(crate) fn pass(&mut self, rule: Rule, piece: &[u8], mask: [u8; 4]) -> Seen {
        let protocol = rule.protocol();
        let mut seen = Seen::default();
        let mut passed = 0;
        while passed < piece.len() {
            match self.step {
                Step::Lost | Step::HiddenData => return seen | Seen::DATA,
                Step::HiddenPing => return seen | Seen::PING,
                Step::Ping | Step::Data => {
                    seen |= self.verdict();
                    let rest = piece.len() - passed;
                    let step = u32::try_from(rest).map_or(self.left, |n| n.min(self.left));
                    self.left -= step;
                    passed += step as usize;
                    if self.left == 0 {
                        *self = Self::default();
                    }
                }
                Step::Head | Step::Body => {
                    let byte = piece[passed] ^ mask[passed % 4];
                    passed += 1;
                    match self.step {
                        Step::Head => self.pass_head(protocol, byte),
                        _ => self.pass_body(protocol, byte),
                    }
                    // Known at its last byte: there is no rest of it.
                    if self.left == 0 && self.step != Step::Head {
                        seen |= self.verdict();
                        *self = Self { step: self.kept(), ..Self::default() };
                    }
                }
            }
        }
        // What the last byte decided belongs to it.
        seen | self.verdict()
    }

    fn verdict(&self) -> Seen {
        match self.step {
            Step::Head | Step::Body => Seen::default(),
            Step::Ping | Step::HiddenPing => Seen::PING,
            Step::Data | Step::HiddenData | Step::Lost => Seen::DATA,
        }
    }

    fn kept(&self) -> Step {
        if self.step == Step::Lost { Step::Lost } else { Step::Head }
    }

    fn pass_head(&mut self, protocol: &Protocol, byte: u8) {
        if self.at == 0 {
            self.after_head = Step::Body;
        }
        let told = match self.at {
            at if at < protocol.telling_bytes => (protocol.head_byte)(at, byte),
            _ => HeadByte::Fits,
        };
        match told {
            HeadByte::Fits => {}
            HeadByte::Ping => self.after_head = Step::Ping,
            HeadByte::Data => self.after_head = Step::Data,
            HeadByte::Foreign => {
                self.step = Step::Lost;
                return;
            }
        }
        self.at += 1;
        // The length is the last of the head.
        if self.at + 4 > protocol.head_bytes {
            self.left = self.left << 8 | u32::from(byte);
        }
        if self.at == protocol.head_bytes {
            let patterns = protocol.pings.len();
            let fitting = u16::MAX >> (16 - patterns);
            *self = Self { left: self.left, step: self.after_head, fitting, ..Self::default() };
            if self.left == 0 && self.step == Step::Body {
                self.step = Step::Data;
            }
        }
    }

    fn pass_body(&mut self, protocol: &Protocol, byte: u8) {
        self.left -= 1;
        while self.step == Step::Body && !self.fits(protocol, byte) {}
        // Over before it was like a ping.
        if self.left == 0 && self.step == Step::Body {
            self.step = Step::Data;
        }
    }

    /// Whether the byte was used up: a number ends with the byte behind it.
    fn fits(&mut self, protocol: &Protocol, byte: u8) -> bool {
        let mut fitting = 0;
        let mut taken = Taken::Within;
        let mut untried = self.fitting;
        while untried != 0 {
            let number = untried.trailing_zeros() as usize;
            untried &= untried - 1;
            let pattern = protocol.pings[number];
            match pattern[usize::from(self.part)].take(self.at, byte) {
                Taken::Not => continue,
                Taken::Last if usize::from(self.part) + 1 == pattern.len() => {
                    self.step = Step::Ping;
                    return true;
                }
                other => taken = other,
            }
            fitting |= 1 << number;
        }
        self.fitting = fitting;
        if fitting == 0 {
            self.step = Step::Data;
            return true;
        }
        match taken {
            Taken::Within | Taken::Not => self.at = self.at.saturating_add(1),
            Taken::Last | Taken::Behind => {
                self.part += 1;
                self.at = 0;
            }
        }
        taken != Taken::Behind
    }
}

#[cfg(test)]
mod tests;
