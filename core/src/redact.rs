//! Takes the secrets out of a request target before it is logged. Tools put tokens into URLs
//! (`?token=` of JupyterLab, `?tkn=` of VS Code, `?code=` of every login), and a log is read by
//! more people than may open the session. Knows names of parameters only; it does not know whether
//! a value is a secret, so it errs on the side of `***`.

use std::borrow::Cow;

const REPLACEMENT: &str = "***";

/// Parameters whose value is hidden, without `-`, `_`, `.`, `[` and `]` and in lower case.
const SECRET: [&str; 30] = [
    "apikey",
    "assertion",
    "auth",
    "authorization",
    "awsaccesskeyid",
    "bearer",
    "clientassertion",
    "code",
    "codeverifier",
    "credential",
    "grant",
    "jwt",
    "key",
    "nonce",
    "pass",
    "passwd",
    "pwd",
    "samlrequest",
    "samlresponse",
    "session",
    "sessionid",
    "sid",
    "sig",
    "state",
    "ticket",
    "tkn",
    "xamzcredential",
    "xgoogcredential",
    "xsrf",
    "csrf",
];

/// So are those whose name ends like this: `access_token`, `X-Amz-Signature`, `client_secret`.
const SECRET_ENDINGS: [&str; 4] = ["token", "signature", "password", "secret"];

/// Borrowed, with no allocation, when there is nothing to hide.
pub fn redact_target(target: &str) -> Cow<'_, str> {
    let userinfo = userinfo(target);
    let query_start = target.find(['?', '#', ';']);
    if userinfo.is_none() && query_start.is_none() {
        return Cow::Borrowed(target);
    }
    let mut hidden = userinfo.into_iter().collect::<Vec<_>>();
    if let Some(start) = query_start {
        hidden.extend(secret_values(target, start + 1));
    }
    if hidden.is_empty() {
        return Cow::Borrowed(target);
    }
    let mut redacted = String::with_capacity(target.len());
    let mut copied = 0;
    for range in hidden {
        // A `?` inside of a user's name would make the two kinds overlap; the first one wins.
        if range.start < copied {
            continue;
        }
        redacted.push_str(&target[copied..range.start]);
        redacted.push_str(REPLACEMENT);
        copied = range.end;
    }
    redacted.push_str(&target[copied..]);
    Cow::Owned(redacted)
}

/// A URL that somebody wrote into the settings, right or wrong, without its user, its password and
/// the secrets of its query. All before the last `@` is hidden, because a password that should have
/// been escaped may hold any character.
pub fn redact_url(url: &str) -> String {
    let start = url.find("//").map_or(0, |at| at + 2);
    let hidden = match url[start..].rfind('@') {
        Some(at) => format!("{}{REPLACEMENT}{}", &url[..start], &url[start + at..]),
        None => url.to_owned(),
    };
    redact_target(&hidden).into_owned()
}

/// `user:password` in a target in absolute form (RFC 9112 §3.2.2).
fn userinfo(target: &str) -> Option<std::ops::Range<usize>> {
    let start = target.find("://")? + 3;
    let authority = &target[start..];
    // In a target in origin form, `://` may stand in the path or the query; that is no authority.
    if target.starts_with('/') {
        return None;
    }
    let authority = &authority[..authority.find(['/', '?', '#']).unwrap_or(authority.len())];
    Some(start..start + authority.rfind('@')?)
}

/// The values to hide among `name=value` pairs. All separators that tools use count, so that
/// `#access_token=` and a second `?` are seen too.
fn secret_values(target: &str, start: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = start;
    for pair in target[start..].split(['&', ';', '?', '#']) {
        if let Some(equals) = pair.find('=') {
            let (name, value) = (&pair[..equals], &pair[equals + 1..]);
            if !value.is_empty() && (is_secret(name) || carries_secret(value)) {
                ranges.push(at + equals + 1..at + pair.len());
            }
        }
        at += pair.len() + 1;
    }
    ranges
}

fn is_secret(name: &str) -> bool {
    let name: String = percent_decoded(name)
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.' | '[' | ']' | '+' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRET.contains(&name.as_str()) || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// A redirect through a login encodes its target once or twice more.
const NESTED_MAX: usize = 3;

/// A value that is a target itself, as in `?next=%2Flab%3Ftoken%3D…`. One that is nested deeper
/// than anyone nests is hidden, which also bounds the work that a hostile target causes.
fn carries_secret(value: &str) -> bool {
    let mut value = value.to_owned();
    for _ in 0..=NESTED_MAX {
        let nested = value.split(['&', ';', '?', '#']).any(|pair| {
            pair.split_once('=').is_some_and(|(name, value)| !value.is_empty() && is_secret(name))
        });
        if nested || userinfo(&value).is_some() {
            return true;
        }
        let decoded = percent_decoded(&value);
        if decoded.len() == value.len() {
            return false;
        }
        value = decoded;
    }
    true
}

/// With anything that is no escape left as it stands, and bytes that are no UTF-8 replaced.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        match (byte, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                bytes = ahead;
            }
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded)
        .unwrap_or_else(|error| error.into_bytes().into_iter().map(ascii_or_replacement).collect())
}

/// One character of one byte, so that decoding never makes a text longer.
fn ascii_or_replacement(byte: u8) -> char {
    if byte.is_ascii() { char::from(byte) } else { '\u{1a}' }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_targets() {
        for (target, expected) in [
            ("/lab?token=abc", "/lab?token=***"),
            ("/lab?a=1&token=abc&b=2", "/lab?a=1&token=***&b=2"),
            ("/lab?TOKEN=abc", "/lab?TOKEN=***"),
            ("/lab?to%6Ben=abc", "/lab?to%6Ben=***"),
            ("/lab?%74%6F%6b%65%6E=abc", "/lab?%74%6F%6b%65%6E=***"),
            ("/lab?token=a=b=c", "/lab?token=***"),
            ("/lab?token=a/b%26c", "/lab?token=***"),
            ("/?tkn=x&reconnectionToken=y&skip=1", "/?tkn=***&reconnectionToken=***&skip=1"),
            ("/cb?code=1&state=2&session_state=", "/cb?code=***&state=***&session_state="),
            ("/?access_token=1&id_token=2", "/?access_token=***&id_token=***"),
            ("/?refresh-token=1;api_key=2", "/?refresh-token=***;api_key=***"),
            ("/?X-Amz-Signature=1&X-Amz-Date=2", "/?X-Amz-Signature=***&X-Amz-Date=2"),
            ("/?client_secret=1&password=2&key=3", "/?client_secret=***&password=***&key=***"),
            ("/?ticket=1&sig=2&signature=3", "/?ticket=***&sig=***&signature=***"),
            ("/api/k/channels?session_id=1-2", "/api/k/channels?session_id=***"),
            ("/?a=1?token=2#access_token=3", "/?a=1?token=***#access_token=***"),
            ("/a;token=1/b?c=2", "/a;token=***?c=2"),
            ("/hub/login?next=%2Flab%3Ftoken%3Dabc", "/hub/login?next=***"),
            ("/hub/login?next=%252Flab%253Ftoken%253Dabc", "/hub/login?next=***"),
            ("/?a=%2525252525", "/?a=***"),
            ("/?tokens[token]=x", "/?tokens[token]=***"),
            ("http://u:p@h/?token=1", "http://***@h/?token=***"),
            ("http://u?token=:p@h/", "http://u?token=***"),
        ] {
            assert_eq!(redact_target(target), expected, "{target}");
        }
    }

    #[test]
    fn secrets_in_urls_of_settings() {
        for (url, expected) in [
            ("redis://user:pw@redis:6379", "redis://***@redis:6379"),
            ("rediss://:p@/w?@redis:6379/0", "rediss://***@redis:6379/0"),
            ("redis://redis:6379?password=pw&db=1", "redis://redis:6379?password=***&db=1"),
            ("user:pw@connect.example.com", "***@connect.example.com"),
            ("https://connect.example.com", "https://connect.example.com"),
        ] {
            assert_eq!(redact_url(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_secret_stays_and_is_not_copied() {
        for target in [
            "/",
            "*",
            "/lab/tree/a.ipynb",
            "/lab?reset",
            "/lab?token",
            "/lab?token=",
            "/api/contents?type=notebook&content=1&1700000000",
            "/lab?next=%2Flab%3Fa%3D1",
            "/a?keyboard=1&encoder=2&statement=3&monkey=4",
            "/?%=1&%7=2&%zz=3&=4&==",
            "/files/http://u@h/",
            "/?%ff%fe=1",
            "http://h/?a=b@c",
        ] {
            assert!(
                matches!(redact_target(target), Cow::Borrowed(same) if same == target),
                "{target}"
            );
        }
    }

    #[test]
    fn any_text_is_taken_apart_on_character_borders() {
        for target in ["/?tøken=ä&token=ä", "/?%C3=€&key=€;€", "ä://ö@ü?sig=ß"] {
            let redacted = redact_target(target);
            assert!(redacted.contains(REPLACEMENT), "{redacted}");
        }
    }
}
