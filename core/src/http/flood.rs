//! A head that is too large because of its cookies: any sibling can set them for the domain above
//! all sessions, until nobody's head fits any more. Those that were seen are taken away there.

use super::cookie;
use super::field::is_token;
use crate::domain::{Domains, Site, parents};
use crate::limits;

/// The values of `Set-Cookie` for the answer to a head of which only the beginning was read. For
/// which domain and path a cookie was set is not told in a request: every domain above the host is
/// taken, and every path on the way to the target. What does not fit the bound is taken away when
/// the browser comes again.
pub fn expired_cookies(head: &[u8], domains: &Domains) -> Vec<String> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.trim_ascii());
    let first_line = lines.next().unwrap_or_default();
    let (mut host, mut names) = (None, Vec::new());
    for (name, value) in lines.filter_map(field) {
        if name.eq_ignore_ascii_case(b"host") {
            host = std::str::from_utf8(value).ok();
        } else if name.eq_ignore_ascii_case(b"cookie") {
            names.extend(cookie::pairs(value).filter_map(|(name, _)| expirable(name)));
        }
    }
    let host = host.and_then(|host| host.split(':').next()).unwrap_or_default();
    if domains.site(host) == Site::Unknown {
        return Vec::new();
    }
    names.sort_unstable();
    names.dedup();
    let paths = paths(first_line);
    let places = parents(host).flat_map(|domain| paths.iter().map(move |path| (domain, *path)));
    let places: Vec<_> = places.collect();
    let all = names.iter().flat_map(|name| {
        places.iter().map(move |(domain, path)| {
            format!("{name}=; Domain={domain}; Path={path}; Max-Age=0; Secure")
        })
    });
    all.take(limits::COOKIES_EXPIRED_MAX).collect()
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

fn expirable(name: &[u8]) -> Option<&str> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.iter().all(|b| is_token(*b));
    std::str::from_utf8(name).ok().filter(|_| fits)
}

const NAME_BYTES_MAX: usize = 256;
const PATHS_MAX: usize = 6;

/// The root, and what is above the target: each with its slash and without.
fn paths(first_line: &[u8]) -> Vec<&str> {
    let target = first_line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let plain = |byte: &u8| is_token(*byte) || *byte == b'/';
    let path = std::str::from_utf8(path).ok().filter(|path| path.bytes().all(|b| plain(&b)));
    let path = path.filter(|path| path.starts_with('/')).unwrap_or("/");
    let slashes = path.match_indices('/').map(|(at, _)| at);
    let above = slashes.flat_map(|at| [&path[..at], &path[..=at]]);
    above.filter(|path| !path.is_empty()).take(PATHS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_taken_away_above_the_host() {
        let domains = Domains::new("https://connect.example.com", None, None).unwrap();
        let head = |host: &str| {
            format!("GET /_studio/a/lab?x=/y HTTP/1.1\r\nhost: {host}\r\nCookie: b=1; a=2; b=3; é=")
        };
        let all = expired_cookies(head("connect.example.com:443").as_bytes(), &domains);
        // Two names, two domains, and `/`, `/_studio`, `/_studio/`, `/_studio/a`, `/_studio/a/`.
        assert_eq!(all.len(), 2 * 2 * 5);
        assert_eq!(all[0], "a=; Domain=connect.example.com; Path=/; Max-Age=0; Secure");
        assert!(all.iter().any(|one| one.starts_with("b=; Domain=example.com; Path=/_studio/a/;")));
        assert!(expired_cookies(head("other.example.org").as_bytes(), &domains).is_empty());
        let many: String = (0..limits::COOKIES_EXPIRED_MAX).map(|n| format!("c{n}=1; ")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: a.connect.example.com\r\nCookie: {many}");
        let all = expired_cookies(head.as_bytes(), &domains);
        assert_eq!(all.len(), limits::COOKIES_EXPIRED_MAX);
    }
}
