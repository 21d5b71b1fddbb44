//! The PROXY protocol, versions 1 and 2: the header by which a load balancer in front says whose
//! connection it passes on. Bytes in, addresses out; whether a listener expects the header, and for
//! how long it waits, is the listener's business and not known here. Rules are from HAProxy's
//! `doc/proxy-protocol.txt`, §2.1 and §2.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::limits::{PROXY_V1_BYTES_MAX, PROXY_V2_BYTES_MAX};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// What is there is the beginning of a header.
    NeedMore,
    /// A whole header: `consumed` bytes of it. The addresses are `None` when the sender speaks for
    /// itself (a health check) or of something that is no TCP: the connection's own count then.
    Header { consumed: usize, source: Option<SocketAddr>, destination: Option<SocketAddr> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("no PROXY protocol header, but the listener requires one")]
    NoHeader,
    #[error("a PROXY header longer than {PROXY_V2_BYTES_MAX} bytes")]
    TooLong,
    #[error("a PROXY version 1 line that is malformed")]
    Line,
    #[error("a PROXY version 2 header of an unknown version or command")]
    Command,
    #[error("a PROXY version 2 header of an unknown address family or transport")]
    Family,
    #[error("a PROXY version 2 header too short for its addresses")]
    TooShort,
}

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const V2_FIXED_BYTES: usize = 16;

/// Judges the bytes received so far. What cannot become a header any more is refused at once, so
/// that a client without one is not waited for.
pub fn parse(bytes: &[u8]) -> Result<Step, Invalid> {
    if begins(bytes, V1_PREFIX) {
        parse_v1(bytes)
    } else if begins(bytes, V2_SIGNATURE) {
        parse_v2(bytes)
    } else {
        Err(Invalid::NoHeader)
    }
}

/// Whether `bytes` begin with `prefix`, as far as they go.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    let length = bytes.len().min(prefix.len());
    bytes[..length] == prefix[..length]
}

fn parse_v1(bytes: &[u8]) -> Result<Step, Invalid> {
    let window = &bytes[..bytes.len().min(PROXY_V1_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if window.len() < PROXY_V1_BYTES_MAX {
            Ok(Step::NeedMore)
        } else {
            Err(Invalid::TooLong)
        };
    };
    match (window[end], window.get(end + 1)) {
        (b'\r', Some(b'\n')) => {}
        (b'\r', None) if end + 1 < PROXY_V1_BYTES_MAX => return Ok(Step::NeedMore),
        _ => return Err(Invalid::Line),
    }
    let line = std::str::from_utf8(&window[..end]).map_err(|_| Invalid::Line)?;
    let (source, destination) = addresses_v1(line)?.unzip();
    Ok(Step::Header { consumed: end + 2, source, destination })
}

fn addresses_v1(line: &str) -> Result<Option<(SocketAddr, SocketAddr)>, Invalid> {
    let mut words = line.split(' ').skip(1);
    let v4 = match words.next() {
        // §2.1: the receiver must ignore anything after UNKNOWN.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(Invalid::Line),
    };
    let ip = |word: Option<&str>| -> Option<IpAddr> {
        let word = word?;
        if v4 {
            word.parse().ok().map(IpAddr::V4)
        } else {
            word.parse().ok().map(|ip: Ipv6Addr| ip.to_canonical())
        }
    };
    let source = ip(words.next()).ok_or(Invalid::Line)?;
    let destination = ip(words.next()).ok_or(Invalid::Line)?;
    let source_port = port(words.next()).ok_or(Invalid::Line)?;
    let destination_port = port(words.next()).ok_or(Invalid::Line)?;
    if words.next().is_some() {
        return Err(Invalid::Line);
    }
    let source = SocketAddr::new(source, source_port);
    Ok(Some((source, SocketAddr::new(destination, destination_port))))
}

/// Digits alone and no leading zero (§2.1), which `str::parse` does not insist on.
fn port(word: Option<&str>) -> Option<u16> {
    let word = word?;
    let canonical = word == "0" || !word.starts_with('0');
    (canonical && word.bytes().all(|byte| byte.is_ascii_digit())).then(|| word.parse().ok())?
}

fn parse_v2(bytes: &[u8]) -> Result<Step, Invalid> {
    let Some((fixed, rest)) = bytes.split_at_checked(V2_FIXED_BYTES) else {
        // The version is checked as soon as it is there; the rest waits for the length.
        return match bytes.get(V2_SIGNATURE.len()) {
            Some(0x20 | 0x21) | None => Ok(Step::NeedMore),
            Some(_) => Err(Invalid::Command),
        };
    };
    let local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Invalid::Command),
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if V2_FIXED_BYTES + length > PROXY_V2_BYTES_MAX {
        return Err(Invalid::TooLong);
    }
    let Some(payload) = rest.get(..length) else {
        return Ok(Step::NeedMore);
    };
    // §2.2: with LOCAL the family and the payload mean nothing, and are skipped.
    let addresses = if local { None } else { addresses_v2(fixed[13], payload)? };
    let (source, destination) = addresses.unzip();
    Ok(Step::Header { consumed: V2_FIXED_BYTES + length, source, destination })
}

/// The addresses at the front of the payload; the type-length-values behind them are skipped.
fn addresses_v2(
    family_and_transport: u8,
    payload: &[u8],
) -> Result<Option<(SocketAddr, SocketAddr)>, Invalid> {
    let size = match family_and_transport >> 4 {
        0 => 0,
        1 => 2 * (4 + 2),
        2 => 2 * (16 + 2),
        3 => 2 * 108,
        _ => return Err(Invalid::Family),
    };
    let addresses = payload.get(..size).ok_or(Invalid::TooShort)?;
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    match family_and_transport {
        0x11 => {
            let ip = |at: usize| {
                let [a, b, c, d] = std::array::from_fn(|i| addresses[at + i]);
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            };
            Ok(Some((SocketAddr::new(ip(0), port(8)), SocketAddr::new(ip(4), port(10)))))
        }
        0x21 => {
            let ip = |at: usize| {
                let octets: [u8; 16] = std::array::from_fn(|i| addresses[at + i]);
                Ipv6Addr::from(octets).to_canonical()
            };
            Ok(Some((SocketAddr::new(ip(0), port(32)), SocketAddr::new(ip(16), port(34)))))
        }
        // Unspecified, datagrams and UNIX sockets: real, but no address of a TCP client.
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32 => Ok(None),
        _ => Err(Invalid::Family),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(consumed: usize, addresses: Option<(&str, &str)>) -> Result<Step, Invalid> {
        let (source, destination) =
            addresses.map(|(s, d)| (s.parse().unwrap(), d.parse().unwrap())).unzip();
        Ok(Step::Header { consumed, source, destination })
    }

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn v2_tcp4() -> Vec<u8> {
        v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb])
    }

    fn v2_tcp6() -> Vec<u8> {
        let mut payload = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        payload.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
        payload.extend([0xdc, 0x04, 0x01, 0xbb]);
        v2(0x21, 0x21, &payload)
    }

    #[test]
    fn version_1_lines() {
        let four = Some(("192.0.2.1:56324", "198.51.100.2:443"));
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET /", header(45, four)),
            (
                "PROXY TCP6 2001:db8::1 ::1 0 65535\r\n",
                header(36, Some(("[2001:db8::1]:0", "[::1]:65535"))),
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n",
                header(37, Some(("192.0.2.1:1", "[::1]:2"))),
            ),
            ("PROXY UNKNOWN\r\n", header(15, None)),
            ("PROXY UNKNOWN what ever 1 2 3\r\n", header(31, None)),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n", Err(Invalid::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n", Err(Invalid::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 56324 +443\r\n", Err(Invalid::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n", Err(Invalid::Line)),
            ("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", Err(Invalid::Line)),
            ("PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n", Err(Invalid::Line)),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", Err(Invalid::Line)),
            ("PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n", Err(Invalid::Line)),
            ("PROXY  TCP4 192.0.2.1 192.0.2.1 1 2\r\n", Err(Invalid::Line)),
            ("PROXY UDP4 192.0.2.1 192.0.2.1 1 2\r\n", Err(Invalid::Line)),
            ("PROXY UNKNOWN\n", Err(Invalid::Line)),
            ("PROXY UNKNOWN\rX", Err(Invalid::Line)),
            ("GET / HTTP/1.1\r\n", Err(Invalid::NoHeader)),
            ("PROXX", Err(Invalid::NoHeader)),
            ("\r\n\r\nGET", Err(Invalid::NoHeader)),
        ] {
            assert_eq!(parse(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(parse(b"PROXY TCP4 \xff\r\n"), Err(Invalid::Line));
    }

    #[test]
    fn version_1_ends_within_107_bytes() {
        let line = |filler: usize| format!("PROXY UNKNOWN {}\r\n", "f".repeat(filler));
        assert_eq!(parse(line(91).as_bytes()), header(PROXY_V1_BYTES_MAX, None));
        assert_eq!(parse(line(92).as_bytes()), Err(Invalid::Line));
        assert_eq!(parse(line(93).as_bytes()), Err(Invalid::TooLong));
        assert_eq!(parse(&line(200).as_bytes()[..106]), Ok(Step::NeedMore));
    }

    #[test]
    fn version_2_headers() {
        let four = Some(("192.0.2.1:56324", "198.51.100.2:443"));
        let six = Some(("[2001:db8::1]:56324", "[2001:db8::2]:443"));
        let mut with_values = v2_tcp4();
        with_values[15] += 4;
        with_values.extend([0x04, 0, 1, 0, b'G', b'E', b'T']);
        for (bytes, expected) in [
            (v2_tcp4(), header(28, four)),
            (v2_tcp6(), header(52, six)),
            (with_values, header(32, four)),
            (v2(0x20, 0x00, &[]), header(16, None)),
            (v2(0x20, 0x11, &[1, 2, 3]), header(19, None)),
            (v2(0x20, 0xff, &[1, 2, 3]), header(19, None)),
            (v2(0x21, 0x00, &[1, 2, 3]), header(19, None)),
            (v2(0x21, 0x12, &[0; 12]), header(28, None)),
            (v2(0x21, 0x31, &[0; 216]), header(232, None)),
            (v2(0x21, 0x00, &[0; 536]), header(552, None)),
            (v2(0x21, 0x00, &[0; 537]), Err(Invalid::TooLong)),
            (v2(0x21, 0x31, &[0; 215]), Err(Invalid::TooShort)),
            (v2(0x21, 0x11, &[0; 11]), Err(Invalid::TooShort)),
            (v2(0x21, 0x21, &[0; 35]), Err(Invalid::TooShort)),
            (v2(0x21, 0x41, &[0; 35]), Err(Invalid::Family)),
            (v2(0x21, 0x13, &[0; 35]), Err(Invalid::Family)),
            (v2(0x22, 0x11, &[0; 12]), Err(Invalid::Command)),
            (v2(0x11, 0x11, &[0; 12]), Err(Invalid::Command)),
        ] {
            assert_eq!(parse(&bytes), expected, "{bytes:?}");
        }
        assert_eq!(parse(&v2(0x31, 0x11, &[])[..13]), Err(Invalid::Command));
    }

    #[test]
    fn every_truncation_asks_for_more_and_every_surplus_is_left() {
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n".to_vec();
        for whole in [line, b"PROXY UNKNOWN\r\n".to_vec(), v2_tcp4(), v2_tcp6()] {
            for length in 0..whole.len() {
                assert_eq!(parse(&whole[..length]), Ok(Step::NeedMore), "{length} of {whole:?}");
            }
            let expected = parse(&whole);
            assert!(
                matches!(expected, Ok(Step::Header { consumed, .. }) if consumed == whole.len())
            );
            let mut surplus = whole.clone();
            surplus.extend(b"\x16\x03\x01");
            assert_eq!(parse(&surplus), expected);
        }
    }

    #[test]
    fn no_input_panics() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut bytes =
                if random & 1 == 0 { v2_tcp6() } else { b"PROXY TCP4 1.2.3.4 ".to_vec() };
            for _ in 0..4 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = (random >> 8) as usize % bytes.len();
                bytes[at] = random as u8;
            }
            if let Ok(Step::Header { consumed, .. }) = parse(&bytes) {
                assert!(consumed <= bytes.len());
            }
        }
    }
}
