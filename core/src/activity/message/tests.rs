//! Messages as they were recorded, cut down to what the rules look at: code-server 4.139.1 and
//! JupyterLab 4.6.6 in Chromium; those of Xpra are made after its source.

use super::super::protocol::Part;
use super::*;
use crate::http::websocket::Frames;

/// A message of VS Code: kind, number, number acknowledged, length.
fn vscode(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 3, 0xa8, 0, 0, 3, 0xbf];
    message.extend_from_slice(&(body.len() as u32).to_be_bytes());
    message.extend_from_slice(body);
    message
}

fn call(rest: &str) -> Vec<u8> {
    vscode(1, &[b"\x04\x04\x06\x64\x06\xa4\x07", rest.as_bytes()].concat())
}

fn xpra(flags: u8, compression: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![b'P', flags, compression, 0];
    message.extend_from_slice(&(body.len() as u32).to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// A frame; a client's is masked.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(masked | length as u8),
        length @ 126..=0xffff => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask.unwrap_or_default()[..if masked == 0 { 0 } else { 4 }]);
    let mask = mask.unwrap_or_default();
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// In pieces of so many bytes.
fn seen_in_pieces(frames: &mut Frames, bytes: &[u8], size: usize) -> Seen {
    bytes.chunks(size).fold(Seen::default(), |seen, piece| seen | frames.pass(piece))
}

/// Whole, cut at every byte, and in two frames.
#[track_caller]
fn check(rule: Rule, message: &[u8], expected: Seen) {
    for mask in [None, Some(MASK)] {
        let whole = frame(0x82, message, mask);
        for cut in 0..=whole.len() {
            let mut frames = Frames::new(rule);
            let seen = frames.pass(&whole[..cut]) | frames.pass(&whole[cut..]);
            assert_eq!(seen, expected, "cut at {cut}");
            assert!(frames.may_insert());
            // The next one is found where it begins.
            assert_eq!(frames.pass(&whole), expected, "after one that was cut at {cut}");
        }
        assert_eq!(seen_in_pieces(&mut Frames::new(rule), &whole, 1), expected);
        for cut in 0..=message.len() {
            let mut frames = Frames::new(rule);
            let (one, other) = message.split_at(cut);
            // A ping may stand between the two, and is none of theirs.
            let first = frames.pass(&frame(0x02, one, mask));
            assert_eq!(frames.pass(&frame(0x89, b"\x01\0", mask)), Seen::PING);
            assert_eq!(first | frames.pass(&frame(0x80, other, mask)), expected, "in two at {cut}");
        }
    }
}

#[test]
fn what_a_page_of_vscode_says_alone_is_no_use() {
    let rule = Rule::VscodeClient;
    // Keep-alive and acknowledgement.
    check(rule, &vscode(9, b""), Seen::PING);
    check(rule, &vscode(3, b""), Seen::PING);
    check(rule, &call("\x01\x09telemetry\x01\x04ping\0"), Seen::PING);
    let own_state = "\x01\x10remoteFilesystem\x01\x09writeFile\x04\x03\x05\x01{}";
    check(rule, &call(own_state), Seen::PING);
    let agent = "\x01\x0eagentHostProxy\x01\x04send\x01";
    for ping in [
        r#"L{"jsonrpc":"2.0","id":9,"method":"ping","params":{}}"#,
        r#"L{"jsonrpc":"2.0","id":1234,"method":"ping","params":{}}"#,
    ] {
        check(rule, &call(&format!("{agent}{ping}")), Seen::PING);
    }
    // An answer to the extensions, two of them in one message, and that nobody is there.
    check(rule, &vscode(1, b"\x05\0\0\0\xd2"), Seen::PING);
    let two = [vscode(1, b"\x05\0\0\0\xd3"), vscode(1, b"\x09\0\0\0\xd3\0\0\0\x02[]")].concat();
    check(rule, &two, Seen::PING);
    let gone = b"\x01\0\0\0\x77v\x18$onDidChangeWindowActive\0\0\0\x07[false]";
    check(rule, &vscode(1, gone), Seen::PING);
    // What the server found goes on to the extensions.
    for found in [
        &b"\x01\0\0\0\xb2f\x0c$onFileEvent\0\0\0\x02[]"[..],
        b"\x01\0\0\0\x7a\x9a\x13$onDidTunnelsChange\0\0\0\x02[]",
        b"\x01\0\0\0\x78n\x10$activateByEvent\0\0\0\x0e[\"onTunnel\",0]",
    ] {
        check(rule, &vscode(1, found), Seen::PING);
    }
}

#[test]
fn what_somebody_does_in_vscode_is_use() {
    let rule = Rule::VscodeClient;
    // Keys in a terminal and in an editor, the first after a while, and a connection's beginning.
    check(rule, &call("\x01\x0eremoteterminal\x01\x06$input\x04\x02\x06\x02\x01\x01e"), Seen::DATA);
    check(
        rule,
        &vscode(1, b"\x01\0\0\0\xebp\x1a$acceptTerminalInteraction\0\0\0\x03[1]"),
        Seen::DATA,
    );
    check(rule, &vscode(1, b"\x01\0\0\0\x8e_\x13$acceptModelChanged\0\0\x02\x28[{"), Seen::DATA);
    let back = b"\x01\0\0\0\xeav\x18$onDidChangeWindowActive\0\0\0\x06[true]";
    check(rule, &vscode(1, back), Seen::DATA);
    check(rule, &vscode(2, br#"{"type":"auth"}"#), Seen::DATA);
    let agent = "\x01\x0eagentHostProxy\x01\x04send\x01";
    let asked = r#"L{"jsonrpc":"2.0","id":24,"method":"prompt","params":{}}"#;
    check(rule, &call(&format!("{agent}{asked}")), Seen::DATA);
    check(rule, &call("\x01\x10remoteFilesystem\x01\x05write\x04\x05\x06\x01"), Seen::DATA);
    // Both in one.
    let both = Seen { data: true, ping: true };
    let key = vscode(1, b"\x01\0\0\0\xebp\x1a$acceptTerminalInteraction\0\0\0\x03[1]");
    check(rule, &[vscode(9, b""), key].concat(), both);
    // Cut short, like a ping so far, or without anything in it.
    check(rule, &call("\x01\x09telem"), Seen::DATA);
    check(rule, &vscode(1, b"\x04\x04\x06\x64"), Seen::DATA);
    check(rule, &vscode(1, b""), Seen::DATA);
}

#[test]
fn what_a_server_of_vscode_says_unasked_is_use() {
    let rule = Rule::VscodeSession;
    check(rule, &vscode(9, b""), Seen::PING);
    check(rule, &vscode(1, b"\x04\x02\x06\xc9\x01\x06\xa4\x07\0"), Seen::PING);
    check(rule, &vscode(1, b"\x04\x02\x06\xca\x01\x06\xa4\x07\x05\x02{}"), Seen::PING);
    let pong = b"\x04\x02\x06\xcc\x01\x068\x01\x27{\"jsonrpc\":\"2.0\",\"id\":24,\"result\":null}";
    check(rule, &vscode(1, pong), Seen::PING);
    check(rule, &vscode(1, b"\x07\0\0\0\x77"), Seen::PING);
    let printed = b"\x04\x02\x06\xcc\x01\x06\x9f\x04\x05\x14{\"id\":2,\"event\":\"e\"}";
    check(rule, &vscode(1, printed), Seen::DATA);
    check(rule, &vscode(1, b"\x01\0\0\0\xdbE\x15$onFoundNewCandidates\0\0\0\x02[]"), Seen::PING);
    check(rule, &vscode(1, b"\x01\0\0\0\xd96\x17$onDidActivateExtension\0"), Seen::DATA);
}

#[test]
fn pings_of_xpra_are_no_use() {
    let rule = Rule::Xpra;
    check(rule, &xpra(0x10, 0, b"\xc4\x84ping\x40\0\0\0\x01"), Seen::PING);
    check(rule, &xpra(0x10, 0, b"\xc7\x89ping_echo\x40\0\0\0\x01"), Seen::PING);
    check(rule, &xpra(0x10, 0, b"\xc6\x8fdamage-sequence\x01\x01"), Seen::PING);
    check(rule, &xpra(0x10, 0, b"\xc8\x8akey-action\x01"), Seen::DATA);
    check(rule, &xpra(0x10, 0, b"\xc4\x90pointer-position\x01"), Seen::DATA);
    check(rule, &xpra(0x10, 0x10, b"\xc4\x84ping\x40\0\0\0\x01"), Seen::DATA);
    check(rule, &xpra(0x12, 0, b"\xc4\x84ping\x40\0\0\0\x01"), Seen::DATA);
}

#[test]
fn other_messages_are_data_and_control_frames_are_pings() {
    check(Rule::Data, br#"["stdin","e"]"#, Seen::DATA);
    check(Rule::Background, br#"{"schema_id": "https://events.jupyter.org/"}"#, Seen::PING);
    for opcode in [0x88, 0x89, 0x8a] {
        for rule in [Rule::Data, Rule::Background, Rule::VscodeClient, Rule::Xpra] {
            let mut frames = Frames::new(rule);
            assert_eq!(frames.pass(&frame(opcode, b"", Some(MASK))), Seen::PING, "{opcode}");
        }
    }
    // Not the protocol that it should be.
    check(Rule::VscodeClient, b"what is this? It is none of VS Code's messages.", Seen::DATA);
    check(Rule::Xpra, br#"["what", "is", "this"]"#, Seen::DATA);
}

#[test]
fn a_long_message_is_data_to_its_end() {
    let bytes = frame(0x82, &vscode(1, &[0x63; 100_000]), Some(MASK));
    let mut frames = Frames::new(Rule::VscodeClient);
    for (number, piece) in bytes.chunks(1000).enumerate() {
        assert_eq!(frames.pass(piece), Seen::DATA, "{number}");
    }
    assert_eq!(frames.pass(&frame(0x82, &vscode(9, b""), Some(MASK))), Seen::PING);
}

#[test]
fn what_is_compressed_is_data_unless_it_is_too_short() {
    // A keep-alive and a terminal's key, as permessage-deflate made them.
    let mut frames = Frames::new(Rule::VscodeClient);
    for (length, expected) in [(4, Seen::PING), (11, Seen::PING), (12, Seen::DATA)] {
        assert_eq!(
            frames.pass(&frame(0xc2, &vec![0x82; length], Some(MASK))),
            expected,
            "{length}"
        );
    }
    // Its second part does not say again that it is compressed.
    assert_eq!(frames.pass(&frame(0x42, &[0x82; 20], Some(MASK))), Seen::DATA);
    assert_eq!(frames.pass(&frame(0x80, &[0x82; 20], Some(MASK))), Seen::DATA);
    assert_eq!(frames.pass(&frame(0x82, &vscode(9, b""), Some(MASK))), Seen::PING);
}

#[test]
fn patterns_that_are_alike_have_the_same_parts() {
    for protocol in [&VSCODE_CLIENT, &VSCODE_SESSION, &XPRA] {
        assert!((1..=16).contains(&protocol.pings.len()));
        assert!(protocol.pings.iter().all(|pattern| !pattern.is_empty()));
        for (number, one) in protocol.pings.iter().enumerate() {
            for other in &protocol.pings[..number] {
                assert!(part_ways(one, other), "{number}");
            }
        }
    }
}

/// At the first part that differs, whichever it is, no byte fits both; until then all are the same.
fn part_ways(one: &[Part], other: &[Part]) -> bool {
    for (one, other) in one.iter().zip(other) {
        let mut at = 0;
        loop {
            let mut is_alike = false;
            let mut is_last = false;
            for byte in 0..=u8::MAX {
                let (one, other) = (one.take(at, byte), other.take(at, byte));
                if one == Taken::Not || other == Taken::Not {
                    continue;
                }
                if one != other {
                    return false;
                }
                is_alike = true;
                is_last |= matches!(one, Taken::Last | Taken::Behind);
            }
            if !is_alike {
                return true;
            }
            if is_last {
                break;
            }
            at += 1;
        }
    }
    false
}

/// However bytes come, they are the same; and nothing breaks whatever they are.
#[test]
fn any_bytes_in_any_pieces() {
    let samples = [
        frame(0x82, &vscode(9, b""), Some(MASK)),
        frame(0x82, &call("\x01\x09telemetry\x01\x04ping\0"), None),
        frame(0xc2, &[0x82; 9], None),
        frame(0x02, &vscode(1, &[1; 300]), Some(MASK)),
        frame(0x80, &xpra(0x10, 0, b"\xc4\x84ping\x01"), None),
        frame(0x89, b"", Some(MASK)),
    ];
    for seed in 1..3000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        let mut bytes = Vec::new();
        for _ in 0..random(6) {
            bytes.extend_from_slice(&samples[random(samples.len())]);
        }
        for _ in 0..random(3) {
            let at = random(bytes.len() + 1);
            bytes.insert(at, random(256) as u8);
        }
        for rule in
            [Rule::Data, Rule::Background, Rule::VscodeClient, Rule::VscodeSession, Rule::Xpra]
        {
            let mut whole = Frames::new(rule);
            let expected = whole.pass(&bytes);
            let mut pieces = Frames::new(rule);
            let seen = seen_in_pieces(&mut pieces, &bytes, 1 + random(40));
            assert_eq!(seen, expected, "seed {seed} {rule:?}");
            assert_eq!(format!("{pieces:?}"), format!("{whole:?}"), "seed {seed} {rule:?}");
        }
    }
}
