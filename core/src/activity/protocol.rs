//! Signs of life in the tools' own protocols, as they were seen on the wire, or where not seen
//! here, as the public source has them. A tool's new version may say new things while nobody is
//! there: these are then data, the session looks used, and a pattern is to be added here.

/// Messages with a head of fixed length, of which the last four bytes are the body's length.
pub(super) struct Protocol {
    pub(super) head_bytes: u8,
    /// The first of them, which say what the message is.
    pub(super) telling_bytes: u8,
    pub(super) head_byte: fn(at: u8, byte: u8) -> HeadByte,
    /// The beginnings of bodies that are pings, sixteen at most. Two that are alike so far have the
    /// same parts so far.
    pub(super) pings: &'static [&'static [Part]],
    /// A compressed message this short can only be a ping.
    pub(super) hidden_ping_bytes_max: u64,
}

pub(super) enum HeadByte {
    Fits,
    Ping,
    Data,
    /// This is another protocol.
    Foreign,
}

pub(super) enum Part {
    Bytes(&'static [u8]),
    OneOf(&'static [u8]),
    Any(u8),
    /// Seven bits a byte, the last byte below 0x80.
    Varint,
    /// In decimal.
    Digits,
}

/// Whether a byte fits a part, and where in it that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Not,
    Within,
    Last,
    /// The part had ended.
    Behind,
}

use Part::{Any, Bytes, Digits, OneOf, Varint};

/// Longer numbers are none.
const NUMBER_BYTES_MAX: u8 = 20;

impl Part {
    /// `at` bytes of it have been taken.
    #[inline]
    pub(super) fn take(&self, at: u8, byte: u8) -> Taken {
        let (fits, is_last) = match self {
            Bytes(bytes) => {
                let at = usize::from(at);
                (bytes.get(at) == Some(&byte), at + 1 == bytes.len())
            }
            OneOf(bytes) => (bytes.contains(&byte), true),
            Any(length) => (true, at + 1 == *length),
            Varint => (at < NUMBER_BYTES_MAX, byte < 0x80),
            Digits if at > 0 && !byte.is_ascii_digit() => return Taken::Behind,
            Digits => (byte.is_ascii_digit() && at < NUMBER_BYTES_MAX, false),
        };
        match (fits, is_last) {
            (false, _) => Taken::Not,
            (true, false) => Taken::Within,
            (true, true) => Taken::Last,
        }
    }
}

/// What a page of VS Code says; code-server 4.139.1, which has no rule of its own on top.
///
/// A page has two WebSockets of the same URL. One is of the workbench with the server (terminals,
/// files): a call is `04 04`, `06` and 100, `06` and its number, `01` and the channel's name.
/// The other is of the workbench with extensions: a call's kind (5 and above are answers), four
/// bytes of its number, the object, the method's name.
///
/// While nobody is there, every 5 s: a stat, a listing and a write of a file with the state of its
/// chat, a ping of its agent host, a ping of telemetry, keep-alives. The three count for nothing
/// with any file, because who edits one tells the extensions of each key, and who uploads much does
/// it in pieces (`write`); a terminal's keys are `remoteterminal`.
pub(super) static VSCODE_CLIENT: Protocol = Protocol {
    head_bytes: VSCODE_HEAD_BYTES,
    telling_bytes: 1,
    head_byte: vscode_head,
    pings: &[
        &[CALL, Varint, Bytes(b"\x01\x09telemetry")],
        &[CALL, Varint, Bytes(b"\x01\x10remoteFilesystem\x01\x04stat")],
        &[CALL, Varint, Bytes(b"\x01\x10remoteFilesystem\x01\x07readdir")],
        &[CALL, Varint, Bytes(b"\x01\x10remoteFilesystem\x01\x09writeFile")],
        &[
            CALL,
            Varint,
            Bytes(b"\x01\x0eagentHostProxy\x01\x04send\x01"),
            Varint,
            Bytes(br#"{"jsonrpc":"2.0","id":"#),
            Digits,
            Bytes(br#","method":"ping""#),
        ],
        &[ANSWER_OF_EXTENSIONS],
        // A minute after the last movement of the mouse.
        &[Bytes(&[1]), Any(5), Bytes(b"\x18$onDidChangeWindowActive\x00\x00\x00\x07[false]")],
        // What the server found is told to the extensions: files, and ports that programs opened.
        &[Bytes(&[1]), Any(5), Bytes(b"\x0c$onFileEvent")],
        &[Bytes(&[1]), Any(5), Bytes(b"\x13$onDidTunnelsChange")],
        &[Bytes(&[1]), Any(5), Bytes(b"\x10$activateByEvent\x00\x00\x00\x0e[\"onTunnel\",0]")],
    ],
    hidden_ping_bytes_max: VSCODE_HIDDEN_PING_BYTES_MAX,
};

/// What its server says: answers (201 to 203), which say nothing that was not asked for, and events
/// (204), such as a terminal's output; the agent host's answer comes as an event.
pub(super) static VSCODE_SESSION: Protocol = Protocol {
    head_bytes: VSCODE_HEAD_BYTES,
    telling_bytes: 1,
    head_byte: vscode_head,
    pings: &[
        &[Bytes(b"\x04\x02\x06"), OneOf(b"\xc9\xca\xcb")],
        &[
            Bytes(b"\x04\x02\x06"),
            Bytes(b"\xcc\x01\x06"),
            Varint,
            Bytes(&[1]),
            Varint,
            Bytes(br#"{"jsonrpc":"2.0","id":"#),
            Digits,
            Bytes(br#","result":null}"#),
        ],
        &[ANSWER_OF_EXTENSIONS],
        // The ports that are open on the machine, whoever opened them.
        &[Bytes(&[1]), Any(5), Bytes(b"\x15$onFoundNewCandidates")],
    ],
    hidden_ping_bytes_max: VSCODE_HIDDEN_PING_BYTES_MAX,
};

/// A list of four, a number: 100 (a call).
const CALL: Part = Bytes(b"\x04\x04\x06\x64\x06");
/// Received, and the kinds of answer; 6 takes a call back.
const ANSWER_OF_EXTENSIONS: Part = OneOf(&[5, 7, 8, 9, 10, 11, 12]);

/// Kind, number, number acknowledged, length.
const VSCODE_HEAD_BYTES: u8 = 13;
/// Heads without a body took 4 to 11 bytes. Some messages of 22 bytes are as short, once many like
/// them were sent: answers, which are pings as well.
const VSCODE_HIDDEN_PING_BYTES_MAX: u64 = 11;

fn vscode_head(_at: u8, kind: u8) -> HeadByte {
    match kind {
        // A message.
        1 => HeadByte::Fits,
        // What a connection begins with.
        2 => HeadByte::Data,
        // Acknowledged, disconnected, send again, pause, resume, alive.
        3 | 5..=9 => HeadByte::Ping,
        _ => HeadByte::Foreign,
    }
}

/// Both directions of Xpra 6 and its HTML5 client, from their source (it was not run here): pings,
/// their echoes, and the client's receipt for what was drawn. A list, of any length, that begins
/// with a string of so many bytes.
pub(super) static XPRA: Protocol = Protocol {
    head_bytes: 8,
    telling_bytes: 4,
    head_byte: xpra_head,
    pings: &[
        &[Any(1), Bytes(b"\x84ping")],
        &[Any(1), Bytes(b"\x89ping_echo")],
        &[Any(1), Bytes(b"\x8fdamage-sequence")],
    ],
    hidden_ping_bytes_max: 0,
};

/// `P`, flags, compression, index of a raw part, length.
fn xpra_head(at: u8, byte: u8) -> HeadByte {
    const ENCRYPTED: u8 = 0x2;
    match at {
        0 if byte != b'P' => HeadByte::Foreign,
        1 if byte & ENCRYPTED != 0 => HeadByte::Foreign,
        2 | 3 if byte != 0 => HeadByte::Data,
        _ => HeadByte::Fits,
    }
}
