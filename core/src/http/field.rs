//! The header fields that the edge acts on, told apart once per field by length and letters, so
//! that every later rule is a match on one byte.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Other,
    Connection,
    ContentLength,
    TransferEncoding,
    Host,
    Upgrade,
    Expect,
    Cookie,
    SetCookie,
    Location,
    ContentLocation,
    Accept,
    UserAgent,
    /// `Keep-Alive`, `Proxy-Connection`, `TE`, `HTTP2-Settings`: for one hop, and nothing to us.
    HopByHop,
    /// `Proxy-Authenticate`, `Proxy-Authorization`: between a client and a proxy that it chose.
    Proxy,
    Trailer,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    Forwarded,
    /// `X-Forwarded-*` other than the three above, `X-Real-IP`, `X-Original-*` and the like: only
    /// from who is trusted.
    ForwardedOther,
    /// `X-RStudio-Root-Path`: written by us, never by a client.
    RstudioRootPath,
    /// `X-Portico-*`, `X-Connect-*`: the names in which the edge speaks to tools.
    Ours,
    ContentSecurityPolicy,
    /// `Access-Control-Allow-Origin` and `-Credentials`.
    AccessControl,
    /// `Clear-Site-Data`: one session would sign its users out of the whole site (W3C Clear Site
    /// Data §3.1).
    ClearSiteData,
    /// An answer's word for its whole origin, which is not one session's under a path:
    /// `Service-Worker-Allowed`, `Strict-Transport-Security`, `Alt-Svc`, `NEL`, `Report-To`,
    /// `Reporting-Endpoints`.
    OriginWide,
    /// One of the above written with `_`: CGI and WSGI make one variable of `X_Connect_Sub` and
    /// `X-Connect-Sub`, so that it would pass as the other. Never let through.
    Lookalike,
}

pub fn classify(name: &[u8]) -> Field {
    match exactly(name) {
        Field::Other if has_underscore(name) => lookalike(name),
        field => field,
    }
}

/// Eight bytes at a time: asked of nearly every field, most of which are longer than that.
fn has_underscore(name: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let Some(last) = name.last_chunk::<8>() else { return name.contains(&b'_') };
    // The last eight may have been looked at in part.
    let eights = name.as_chunks::<8>().0.iter().chain(std::iter::once(last));
    eights.map(|eight| u64::from_ne_bytes(*eight) ^ (ONES * u64::from(b'_'))).any(|eight| {
        // A byte that became zero is the only one whose borrow reaches its own highest bit.
        eight.wrapping_sub(ONES) & !eight & (ONES << 7) != 0
    })
}

fn lookalike(name: &[u8]) -> Field {
    // Enough of it for the longest name that we know; families are known by how they start.
    let mut hyphenated = [0; 32];
    let len = name.len().min(hyphenated.len());
    for (to, from) in hyphenated.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    match exactly(&hyphenated[..len]) {
        Field::Other => Field::Other,
        _ => Field::Lookalike,
    }
}

fn exactly(name: &[u8]) -> Field {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    // The first byte decides most names: real heads are mostly fields that we do not act on.
    match (name.first().map(u8::to_ascii_lowercase), name.len()) {
        (Some(b'c'), 10) if is("connection") => Field::Connection,
        (Some(b'c'), 14) if is("content-length") => Field::ContentLength,
        (Some(b'c'), 6) if is("cookie") => Field::Cookie,
        (Some(b'c'), 16) if is("content-location") => Field::ContentLocation,
        (Some(b'c'), 23) if is("content-security-policy") => Field::ContentSecurityPolicy,
        (Some(b'c'), 15) if is("clear-site-data") => Field::ClearSiteData,
        (Some(b'a'), 27) if is("access-control-allow-origin") => Field::AccessControl,
        (Some(b'a'), 32) if is("access-control-allow-credentials") => Field::AccessControl,
        (Some(b'a'), 7) if is("alt-svc") => Field::OriginWide,
        (Some(b's'), 22) if is("service-worker-allowed") => Field::OriginWide,
        (Some(b's'), 25) if is("strict-transport-security") => Field::OriginWide,
        (Some(b'n'), 3) if is("nel") => Field::OriginWide,
        (Some(b'r'), 9) if is("report-to") => Field::OriginWide,
        (Some(b'r'), 19) if is("reporting-endpoints") => Field::OriginWide,
        (Some(b't'), 17) if is("transfer-encoding") => Field::TransferEncoding,
        (Some(b't'), 7) if is("trailer") => Field::Trailer,
        (Some(b't'), 2) if is("te") => Field::HopByHop,
        (Some(b'h'), 4) if is("host") => Field::Host,
        (Some(b'h'), 14) if is("http2-settings") => Field::HopByHop,
        (Some(b'u'), 7) if is("upgrade") => Field::Upgrade,
        (Some(b'u'), 10) if is("user-agent") => Field::UserAgent,
        (Some(b'e'), 6) if is("expect") => Field::Expect,
        (Some(b's'), 10) if is("set-cookie") => Field::SetCookie,
        (Some(b'l'), 8) if is("location") => Field::Location,
        (Some(b'a'), 6) if is("accept") => Field::Accept,
        (Some(b'k'), 10) if is("keep-alive") => Field::HopByHop,
        (Some(b'f'), 9) if is("forwarded") => Field::Forwarded,
        (Some(b't'), 14) if is("true-client-ip") => Field::ForwardedOther,
        (Some(b'p'), len) => classify_proxy(name, len),
        (Some(b'x'), len) if len > 2 && name[1] == b'-' => classify_x(&name[2..]),
        _ => Field::Other,
    }
}

fn classify_proxy(name: &[u8], len: usize) -> Field {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match len {
        // `Proxy` is no field, but CGI makes `HTTP_PROXY` of it, which programs obey (httpoxy).
        5 if is("proxy") => Field::Proxy,
        16 if is("proxy-connection") => Field::HopByHop,
        18 if is("proxy-authenticate") => Field::Proxy,
        19 if is("proxy-authorization") => Field::Proxy,
        _ => Field::Other,
    }
}

/// More names behind `X-` by which tools let a proxy say who asks, how and for what: Tornado, and
/// so Jupyter, takes the scheme from `X-Scheme` first, WSGI tools their prefix from
/// `X-Script-Name`.
const FORWARDED_OTHER: [&str; 8] = [
    "real-ip",
    "client-ip",
    "cluster-client-ip",
    "forwarded",
    "scheme",
    "url-scheme",
    "script-name",
    "rewrite-url",
];

/// `rest` is the name behind `X-`.
fn classify_x(rest: &[u8]) -> Field {
    let is = |known: &str| rest.eq_ignore_ascii_case(known.as_bytes());
    let starts = |prefix: &str| {
        rest.len() >= prefix.len() && rest[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    };
    if starts("portico-") || starts("connect-") {
        Field::Ours
    } else if starts("forwarded-") {
        match rest.len() {
            13 if is("forwarded-for") => Field::XForwardedFor,
            15 if is("forwarded-proto") => Field::XForwardedProto,
            14 if is("forwarded-host") => Field::XForwardedHost,
            _ => Field::ForwardedOther,
        }
    } else if starts("original-") || FORWARDED_OTHER.iter().any(|known| is(known)) {
        Field::ForwardedOther
    } else if is("rstudio-root-path") {
        Field::RstudioRootPath
    } else {
        Field::Other
    }
}

/// The comma-separated elements of a list field (RFC 9110 §5.6.1), without empty ones.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether `Accept` asks for a page.
pub fn accepts_html(accept: &[u8]) -> bool {
    let html = |kind: &[u8]| kind.len() >= 9 && kind[..9].eq_ignore_ascii_case(b"text/html");
    list(accept).any(html)
}

/// Without optional white space (RFC 9110 §5.6.3) at either end.
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A token character, RFC 9110 §5.6.2.
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        for (name, field) in [
            ("Host", Field::Host),
            ("TRANSFER-encoding", Field::TransferEncoding),
            ("Te", Field::HopByHop),
            ("Keep-Alive", Field::HopByHop),
            ("Proxy-Connection", Field::HopByHop),
            ("Proxy-Authorization", Field::Proxy),
            ("x-forwarded-for", Field::XForwardedFor),
            ("X-Forwarded-Port", Field::ForwardedOther),
            ("X-Real-IP", Field::ForwardedOther),
            ("X-Connect-Sub", Field::Ours),
            ("x-portico-anything", Field::Ours),
            ("X-RStudio-Root-Path", Field::RstudioRootPath),
            ("X", Field::Other),
            ("x-", Field::Other),
            ("", Field::Other),
            ("X-Requested-With", Field::Other),
            ("Proxy", Field::Proxy),
            ("X-Scheme", Field::ForwardedOther),
            ("True-Client-IP", Field::ForwardedOther),
            ("X_Connect_Sub", Field::Lookalike),
            ("X-Portico_User", Field::Lookalike),
            ("X_PORTICO-a-name-that-is-longer-than-what-is-looked-at", Field::Lookalike),
            ("Content_Length", Field::Lookalike),
            ("transfer_encoding", Field::Lookalike),
            ("X_Forwarded-For", Field::Lookalike),
            ("my_field", Field::Other),
        ] {
            assert_eq!(classify(name.as_bytes()), field, "{name}");
        }
    }

    #[test]
    fn an_underscore_is_found_wherever_it_is() {
        for length in 0..40 {
            // Neighbours of `_` in the code, and bytes that a borrow could make look like it.
            for other in [b'^', b'`', 0x5f ^ 0x80, 0, 0xff] {
                let mut name = vec![other; length];
                assert!(!has_underscore(&name), "{length} {other}");
                for at in 0..length {
                    name[at] = b'_';
                    assert!(has_underscore(&name), "{length} {other} {at}");
                    name[at] = other;
                }
            }
        }
    }

    #[test]
    fn lists_skip_what_is_empty() {
        let elements: Vec<_> = list(b" close ,, upgrade\t,").collect();
        assert_eq!(elements, [&b"close"[..], b"upgrade"]);
    }
}
