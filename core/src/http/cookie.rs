//! Cookies at the edge: ours never reach a session, and a session's reach no further than itself.

/// Names that are ours, whatever browser prefix they carry.
const OURS: &[u8] = b"portico";

/// Whether one of the cookies in a `Cookie` field is ours.
pub fn has_ours(value: &[u8]) -> bool {
    split(value).any(|pair| is_ours(name_of(pair)))
}

/// The cookies of a `Cookie` field that are not ours, one after the other.
pub fn without_ours(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(value).filter(|pair| !pair.is_empty() && !is_ours(name_of(pair)))
}

/// Name and value of each cookie in a `Cookie` field.
pub fn pairs(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    split(value).map(split_pair)
}

fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b';', value).chain(std::iter::once(value.len()));
    ends.scan(0, |start, end| Some(value[std::mem::replace(start, end + 1)..end].trim_ascii()))
}

/// What becomes of a session's `Set-Cookie`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetCookie {
    Pass,
    /// Under path routing: the same cookie, for the session's prefix only.
    Narrowed(Vec<u8>),
    /// It is for a domain above the session's own host.
    DropDomain,
    /// It has a name of ours.
    DropName,
}

/// `host` is the session's own; `prefix` is `/_studio/<label>` under path routing, where all
/// sessions share the host; `stripped` says that the tool does not know of the prefix.
pub fn set_cookie(value: &[u8], host: &str, prefix: Option<&str>, stripped: bool) -> SetCookie {
    let mut parts = value.split(|b| *b == b';').map(|part| part.trim_ascii());
    if is_ours(sent_name(parts.next().unwrap_or_default())) {
        return SetCookie::DropName;
    }
    let mut path = None;
    for attribute in parts {
        let (name, value) = split_pair(attribute);
        // The last attribute of a name counts (RFC 6265 §5.3), and each must be harmless.
        if name.eq_ignore_ascii_case(b"domain") && !value.is_empty() {
            let domain = value.strip_prefix(b".").unwrap_or(value);
            if prefix.is_some() || !domain.eq_ignore_ascii_case(host.as_bytes()) {
                return SetCookie::DropDomain;
            }
        } else if name.eq_ignore_ascii_case(b"path") {
            path = Some(value);
        }
    }
    match prefix {
        None => SetCookie::Pass,
        Some(prefix) => narrowed(value, path, prefix, stripped),
    }
}

fn narrowed(value: &[u8], path: Option<&[u8]>, prefix: &str, stripped: bool) -> SetCookie {
    let below = |path: &[u8]| {
        path.strip_prefix(prefix.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let path = match path {
        // Without a path a browser takes the directory of the request, which is below the prefix
        // already; but only a tool that sees the prefix counts on that one.
        None if !stripped => return SetCookie::Pass,
        Some(path) if below(path) => return SetCookie::Pass,
        Some(path) if stripped && path.starts_with(b"/") => [prefix.as_bytes(), path].concat(),
        None | Some(_) => [prefix.as_bytes(), b"/"].concat(),
    };
    let kept: Vec<&[u8]> = value
        .split(|b| *b == b';')
        .map(|part| part.trim_ascii())
        .enumerate()
        .filter(|(i, part)| *i == 0 || !split_pair(part).0.eq_ignore_ascii_case(b"path"))
        .map(|(_, part)| part)
        .collect();
    let mut out = kept.join(&b"; "[..]);
    out.extend_from_slice(b"; Path=");
    out.extend_from_slice(&path);
    SetCookie::Narrowed(out)
}

fn is_ours(name: &[u8]) -> bool {
    let strip = |name: &'_ [u8], prefix: &[u8]| -> usize {
        let has = name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix);
        if has { prefix.len() } else { 0 }
    };
    let bare = &name[strip(name, b"__Host-").max(strip(name, b"__Secure-"))..];
    bare.len() >= OURS.len() && bare[..OURS.len()].eq_ignore_ascii_case(OURS)
}

fn name_of(pair: &[u8]) -> &[u8] {
    split_pair(pair).0
}

/// The name under which the cookie comes back: browsers send `=a=b`, which has no name, as `a=b`.
fn sent_name(mut pair: &[u8]) -> &[u8] {
    while let [b'=' | b' ' | b'\t', rest @ ..] = pair {
        pair = rest;
    }
    name_of(pair)
}

fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()),
        None => (pair, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cookies_are_taken_out() {
        let without = |value| without_ours(value).collect::<Vec<_>>().join(&b"; "[..]);
        assert!(!has_ours(b"a=1; b=2") && !has_ours(b"a=portico") && !has_ours(b""));
        assert_eq!(without(b"a=1;; b=2 "), b"a=1; b=2");
        for (cookies, rest) in [
            ("__Host-portico-grant=x; a=1", "a=1"),
            ("a=1;portico_x=2;b=3", "a=1; b=3"),
            ("__Secure-PORTICO=1", ""),
        ] {
            assert!(has_ours(cookies.as_bytes()));
            assert_eq!(without(cookies.as_bytes()), rest.as_bytes());
        }
    }

    #[test]
    fn a_session_sets_cookies_for_itself_only() {
        let host = "a1.connect.example.com";
        let subdomain = |value: &str| set_cookie(value.as_bytes(), host, None, false);
        assert_eq!(subdomain("a=1; Path=/; HttpOnly"), SetCookie::Pass);
        assert_eq!(subdomain("a=1; Domain=a1.connect.example.com"), SetCookie::Pass);
        assert_eq!(subdomain("a=1; domain=.example.com"), SetCookie::DropDomain);
        assert_eq!(subdomain("a=1; Domain=connect.example.com"), SetCookie::DropDomain);
        assert_eq!(
            subdomain("a=1; Domain=a1.connect.example.com; Domain=x"),
            SetCookie::DropDomain
        );
        assert_eq!(subdomain("__Host-portico=1; Path=/"), SetCookie::DropName);
        assert_eq!(subdomain("Portico_grant=1"), SetCookie::DropName);
        assert_eq!(subdomain("=__Host-portico-grant=1; Path=/"), SetCookie::DropName);
        assert_eq!(subdomain(" = =portico=1"), SetCookie::DropName);
    }

    #[test]
    fn under_a_path_cookies_stay_below_it() {
        let host = "connect.example.com";
        let cookie = |value: &str, stripped| match set_cookie(
            value.as_bytes(),
            host,
            Some("/_studio/a1"),
            stripped,
        ) {
            SetCookie::Narrowed(value) => String::from_utf8(value).unwrap(),
            other => format!("{other:?}"),
        };
        assert_eq!(cookie("a=1; Path=/_studio/a1/", false), "Pass");
        assert_eq!(cookie("a=1; Path=/_studio/a1", true), "Pass");
        assert_eq!(cookie("a=1", false), "Pass");
        assert_eq!(cookie("a=1; Path=/; Secure", false), "a=1; Secure; Path=/_studio/a1/");
        assert_eq!(cookie("a=1; Path=/_studio/a12", false), "a=1; Path=/_studio/a1/");
        assert_eq!(cookie("a=1; path=/x; HttpOnly", true), "a=1; HttpOnly; Path=/_studio/a1/x");
        assert_eq!(cookie("a=1", true), "a=1; Path=/_studio/a1/");
        assert_eq!(cookie("a=1; Domain=connect.example.com", false), "DropDomain");
    }
}
