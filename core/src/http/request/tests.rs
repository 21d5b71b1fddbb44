//! Framing and targets as tables: what a request head may say, and each way of saying it that two
//! parsers could read differently, with the refusal that it gets. Knows nothing of forwarding.

use super::*;

mod target;

type Verdict = Result<BodyLength, Refusal>;

const NONE: Verdict = Ok(BodyLength::None);
const CHUNKED: Verdict = Ok(BodyLength::Chunked);
const BAD_LENGTH: Verdict = Err(Refusal::ContentLength);
const BAD_ENCODING: Verdict = Err(Refusal::TransferEncoding);

fn bytes(length: u64) -> Verdict {
    Ok(BodyLength::Bytes(length))
}

/// What `look` sees of the request, or the refusal. Every head is also given in two pieces, at
/// every cut: the verdict must not depend on them.
fn judged<T: PartialEq + std::fmt::Debug>(
    head: &[u8],
    look: impl Fn(&Request<'_, '_>) -> T,
) -> Result<T, Refusal> {
    let parse = |scanned| {
        let mut space = head::field_space();
        let request = Request::parse(head, scanned, &mut space)?;
        Ok(look(&request.expect("a whole head was given")))
    };
    let whole = parse(0);
    let step = (head.len() / 256).max(1);
    for cut in (0..head.len()).step_by(step) {
        let mut space = head::field_space();
        match Request::parse(&head[..cut], 0, &mut space) {
            Ok(None) => assert_eq!(parse(cut), whole, "cut at {cut} of {}", head.escape_ascii()),
            Ok(Some(_)) => panic!("complete at {cut}: {}", head.escape_ascii()),
            Err(_) => assert!(whole.is_err(), "refused at {cut}: {}", head.escape_ascii()),
        }
    }
    whole
}

fn body_of(head: &str) -> Verdict {
    judged(head.as_bytes(), |request| request.body)
}

/// A POST with these field lines, each ended by `|`, which stands for CR LF.
fn post(version: &str, fields: &str) -> String {
    format!("POST / {version}\r\nHost: a\r\n{}\r\n", fields.replace('|', "\r\n"))
}

#[test]
fn the_end_of_a_body_is_said_in_one_way_or_the_request_is_refused() {
    for (fields, expected) in [
        ("", NONE),
        ("Content-Length: 0|", NONE),
        ("Content-Length: 5|", bytes(5)),
        ("content-length:5|", bytes(5)),
        ("Content-Length: \t5 \t|", bytes(5)),
        ("Content-Length: 0005|", bytes(5)),
        ("Content-Length: 9223372036854775807|", bytes(i64::MAX as u64)),
        ("Content-Length: 9223372036854775808|", BAD_LENGTH),
        ("Content-Length: 9999999999999999999|", BAD_LENGTH),
        ("Content-Length: 10000000000000000000|", BAD_LENGTH),
        ("Content-Length: 00000000000000000005|", BAD_LENGTH),
        ("Content-Length: 18446744073709551621|", BAD_LENGTH),
        ("Content-Length:|", BAD_LENGTH),
        ("Content-Length:  |", BAD_LENGTH),
        ("Content-Length: +5|", BAD_LENGTH),
        ("Content-Length: -5|", BAD_LENGTH),
        ("Content-Length: -0|", BAD_LENGTH),
        ("Content-Length: 5, 5|", BAD_LENGTH),
        ("Content-Length: 5,|", BAD_LENGTH),
        ("Content-Length: 5 5|", BAD_LENGTH),
        ("Content-Length: 5;x|", BAD_LENGTH),
        ("Content-Length: \"5\"|", BAD_LENGTH),
        ("Content-Length: 0x5|", BAD_LENGTH),
        ("Content-Length: 5.0|", BAD_LENGTH),
        ("Content-Length: 5e0|", BAD_LENGTH),
        ("Content-Length: \u{665}|", BAD_LENGTH),
        ("Content-Length: 5|Content-Length: 5|", BAD_LENGTH),
        ("Content-Length: 5|Content-Length: 6|", BAD_LENGTH),
        ("Content-Length: 0|content-length: 0|", BAD_LENGTH),
        ("Transfer-Encoding: chunked|", CHUNKED),
        ("Transfer-Encoding: Chunked|", CHUNKED),
        ("transfer-encoding:\tchunked\t|", CHUNKED),
        ("Transfer-Encoding:|", BAD_ENCODING),
        ("Transfer-Encoding: identity|", BAD_ENCODING),
        ("Transfer-Encoding: gzip|", BAD_ENCODING),
        ("Transfer-Encoding: gzip, chunked|", BAD_ENCODING),
        ("Transfer-Encoding: chunked, gzip|", BAD_ENCODING),
        ("Transfer-Encoding: chunked, chunked|", BAD_ENCODING),
        ("Transfer-Encoding: chunked, identity|", BAD_ENCODING),
        ("Transfer-Encoding: chunked,|", BAD_ENCODING),
        ("Transfer-Encoding: ,chunked|", BAD_ENCODING),
        ("Transfer-Encoding: chunked;q=1|", BAD_ENCODING),
        ("Transfer-Encoding: \"chunked\"|", BAD_ENCODING),
        ("Transfer-Encoding: 'chunked'|", BAD_ENCODING),
        ("Transfer-Encoding: xchunked|", BAD_ENCODING),
        ("Transfer-Encoding: chunkedx|", BAD_ENCODING),
        ("Transfer-Encoding: chun ked|", BAD_ENCODING),
        ("Transfer-Encoding: chunked\u{a0}|", BAD_ENCODING),
        ("Transfer-Encoding: chunked|Transfer-Encoding: chunked|", BAD_ENCODING),
        ("Transfer-Encoding: chunked|Transfer-Encoding: identity|", BAD_ENCODING),
        ("Transfer-Encoding: gzip|Transfer-Encoding: chunked|", BAD_ENCODING),
        ("Content-Length: 5|Transfer-Encoding: chunked|", Err(Refusal::LengthAndEncoding)),
        ("Transfer-Encoding: chunked|Content-Length: 0|", Err(Refusal::LengthAndEncoding)),
        ("Content-Length: x|Transfer-Encoding: chunked|", BAD_LENGTH),
        ("Content-Length: 5|Transfer-Encoding: identity|", BAD_ENCODING),
        // Fields that only look like framing are no framing, and never go on (see `forward`).
        ("Content_Length: 5|", NONE),
        ("Transfer_Encoding: chunked|", NONE),
        ("X-Content-Length: 5|", NONE),
    ] {
        assert_eq!(body_of(&post("HTTP/1.1", fields)), expected, "{fields}");
    }
}

#[test]
fn http_1_0_knows_no_transfer_codings() {
    assert_eq!(body_of(&post("HTTP/1.0", "Content-Length: 5|")), bytes(5));
    for fields in ["Transfer-Encoding: chunked|", "Transfer-Encoding: chunked|Content-Length: 5|"] {
        assert_eq!(body_of(&post("HTTP/1.0", fields)), BAD_ENCODING, "{fields}");
    }
}

#[test]
fn every_method_is_framed_alike() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PROPFIND", "get"] {
        let head = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(body_of(&head), bytes(5), "{method}");
    }
}

#[test]
fn lines_and_fields_are_read_to_the_letter() {
    const BAD: Verdict = Err(Refusal::Malformed);
    const BARE: Verdict = Err(Refusal::BareLineFeed);
    const VERSION: Verdict = Err(Refusal::Version);
    for (head, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", NONE),
        ("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", NONE),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\r\n\r\n", NONE),
        // Line ends.
        ("GET / HTTP/1.1\nHost: a\n\n", BARE),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BARE),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BARE),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BARE),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\r: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\rX: y\r\nHost: a\r\n\r\n", BAD),
        ("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        // Folding, and white space where a name should be.
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n", BAD),
        // Names.
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", BAD),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n", BAD),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nNoColon\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(Y): a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: a\r\n\r\n", BAD),
        // Control characters.
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{b}a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n", BAD),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n", BAD),
        // The request line.
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("\r\n\r\n", BAD),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", BAD),
        ("GET /\r\nHost: a\r\n\r\n", BAD),
        ("GET\r\n\r\n", BAD),
        ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", VERSION),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", VERSION),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", VERSION),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTP/01.1\r\nHost: a\r\n\r\n", BAD),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", BAD),
        ("PRI * HTTP/2.0\r\n\r\n", VERSION),
    ] {
        assert_eq!(body_of(head), expected, "{}", head.escape_debug());
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let line = |line_bytes: usize| {
        // Up to and with the CR, as the limit counts.
        let target = "a".repeat(line_bytes - "GET / HTTP/1.1\r".len());
        body_of(&format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n"))
    };
    assert_eq!(line(limits::REQUEST_LINE_BYTES_MAX), NONE);
    assert_eq!(line(limits::REQUEST_LINE_BYTES_MAX + 1), Err(Refusal::LineTooLong));
    assert_eq!(line(limits::HEAD_BYTES_MAX + 1), Err(Refusal::LineTooLong));

    let head = |head_bytes: usize| {
        let value = "a".repeat(head_bytes - "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len());
        body_of(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n"))
    };
    assert_eq!(head(limits::HEAD_BYTES_MAX), NONE);
    assert_eq!(head(limits::HEAD_BYTES_MAX + 1), Err(Refusal::HeadTooLarge));

    let fields = |count: usize| body_of(&post("HTTP/1.1", &"X: y|".repeat(count - 1)));
    assert_eq!(fields(limits::HEAD_FIELDS_MAX), NONE);
    assert_eq!(fields(limits::HEAD_FIELDS_MAX + 1), Err(Refusal::TooManyFields));
    assert_eq!(Refusal::LineTooLong.status(), 414);
    assert_eq!(Refusal::HeadTooLarge.status(), 431);
    assert_eq!(Refusal::TooManyFields.status(), 431);
}

#[test]
fn a_head_that_never_ends_is_refused_while_it_comes() {
    let mut space = head::field_space();
    let line = vec![b'A'; limits::REQUEST_LINE_BYTES_MAX + 1];
    let parsed = Request::parse(&line, line.len() - 1, &mut space).err();
    assert_eq!(parsed, Some(Refusal::LineTooLong));
    let head = ["GET / HTTP/1.1\r\n".into(), "X: y\r\n".repeat(limits::HEAD_BYTES_MAX / 6)];
    let head = head.concat();
    let mut space = head::field_space();
    let parsed = Request::parse(head.as_bytes(), head.len() - 1, &mut space).err();
    assert_eq!(parsed, Some(Refusal::HeadTooLarge));
}

#[test]
fn a_connection_stays_open_as_version_and_options_say() {
    for (version, fields, persistent) in [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close|", false),
        ("HTTP/1.1", "Connection: x, CLOSE|", false),
        ("HTTP/1.1", "Connection: keep-alive|Connection: close|", false),
        ("HTTP/1.1", "Connection: closed|", true),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive|", true),
        ("HTTP/1.0", "Connection: keep-alive, close|", false),
        ("HTTP/1.0", "Proxy-Connection: keep-alive|", false),
    ] {
        let seen = judged(post(version, fields).as_bytes(), |request| request.persistent);
        assert_eq!(seen, Ok(persistent), "{version} {fields}");
    }
}

#[test]
fn an_upgrade_is_asked_for_in_full_or_not_at_all() {
    const ASKED: &str = "Connection: Upgrade|Upgrade: websocket|";
    for (version, fields, upgrade) in [
        ("HTTP/1.1", ASKED.to_owned(), Some("websocket")),
        ("HTTP/1.1", "Connection: keep-alive, UPGRADE|Upgrade: xpra|".into(), Some("xpra")),
        ("HTTP/1.1", format!("{ASKED}Content-Length: 0|"), Some("websocket")),
        ("HTTP/1.1", "Upgrade: websocket|".into(), None),
        ("HTTP/1.1", "Connection: Upgrade|".into(), None),
        ("HTTP/1.1", "Connection: Upgrade|Upgrade:|".into(), None),
        ("HTTP/1.1", "Connection: upgraded|Upgrade: websocket|".into(), None),
        ("HTTP/1.1", format!("{ASKED}Content-Length: 5|"), None),
        ("HTTP/1.1", format!("{ASKED}Transfer-Encoding: chunked|"), None),
        ("HTTP/1.1", "Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|".into(), None),
        ("HTTP/1.1", "Connection: Upgrade|Upgrade: websocket, H2C|".into(), None),
        ("HTTP/1.0", ASKED.to_owned(), None),
    ] {
        let head = post(version, &fields);
        let seen = judged(head.as_bytes(), |request| request.upgrade.map(str::to_owned));
        assert_eq!(seen, Ok(upgrade.map(str::to_owned)), "{version} {fields}");
    }
}

#[test]
fn the_one_expectation_there_is() {
    for (version, fields, expected) in [
        ("HTTP/1.1", "", Ok(false)),
        ("HTTP/1.1", "Expect: 100-Continue|", Ok(true)),
        ("HTTP/1.0", "Expect: 100-continue|", Ok(false)),
        ("HTTP/1.1", "Expect:|", Err(Refusal::Expectation)),
        ("HTTP/1.1", "Expect: 200-ok|", Err(Refusal::Expectation)),
        ("HTTP/1.1", "Expect: 100-continue, x|", Err(Refusal::Expectation)),
    ] {
        let seen = judged(post(version, fields).as_bytes(), |request| request.expects_continue);
        assert_eq!(seen, expected, "{version} {fields}");
    }
    assert_eq!(Refusal::Expectation.status(), 417);
}

#[test]
fn what_follows_a_head_is_not_looked_at() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for next in [&b"\n"[..], b"\0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: b\r\nHost: c\r\n\r\n"] {
        let buffer = [head, next].concat();
        let mut space = head::field_space();
        let request = Request::parse(&buffer, 0, &mut space).unwrap().unwrap();
        assert_eq!((request.bytes, request.fields.len()), (head.len(), 1));
    }
}

#[test]
fn refusals_have_one_name_and_a_status_each() {
    let mut names: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Refusal::ALL.len());
    assert!(Refusal::ALL.iter().all(|refusal| (400..=505).contains(&refusal.status())));
}
