//! What the tag of an image says about what is inside: the version of the tool, and that of the
//! connect client. Nothing here asks a registry whether it is true.

use std::fmt;
use std::str::FromStr;

/// OCI distribution specification 1.1: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
const TAG_BYTES_MAX: usize = 128;

/// The version of the connect client in an image: `0.12.2`, or `0.12` for the series, whose tag
/// moves on with each patch. Sorted by number; a series stands before all of its patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectVersion {
    pub major: u32,
    pub minor: u32,
    pub patch: Option<u32>,
}

/// `<software>-[u<build>-]<connect>`. The software's version may have hyphens of its own, so a tag
/// is read from its end. One that does not start with a digit, or does not end in a version, is a
/// custom image's: whole it is the software, and nothing is known about its connect client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTag {
    text: Box<str>,
    software: Box<str>,
    build: Option<u32>,
    connect: Option<ConnectVersion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectVersionError {
    #[error("must be two or three numbers with dots between, such as 0.12 or 0.12.2")]
    Parts,
    #[error("has a part that is not a number without leading zeros")]
    Number,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {TAG_BYTES_MAX} characters")]
    TooLong,
    #[error("starts with '.' or '-'")]
    Start,
    #[error("has a character other than letters, digits, '.', '_' and '-'")]
    Character,
}

impl ConnectVersion {
    /// Surely older. A series may be as new as its newest patch, so `0.8` is not below `0.8.4`.
    pub fn is_below(self, needed: Self) -> bool {
        let series = |version: Self| (version.major, version.minor);
        match (self.patch, needed.patch) {
            (Some(_), Some(_)) => self < needed,
            (None, _) | (_, None) => series(self) < series(needed),
        }
    }
}

impl FromStr for ConnectVersion {
    type Err = ConnectVersionError;

    fn from_str(text: &str) -> Result<Self, ConnectVersionError> {
        let part = |part: &str| number(part).ok_or(ConnectVersionError::Number);
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let (major, minor, patch) = match parts[..] {
            [major, minor] => (major, minor, None),
            [major, minor, patch] => (major, minor, Some(patch)),
            _ => return Err(ConnectVersionError::Parts),
        };
        Ok(Self { major: part(major)?, minor: part(minor)?, patch: patch.map(part).transpose()? })
    }
}

impl fmt::Display for ConnectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        match patch {
            Some(patch) => write!(f, "{major}.{minor}.{patch}"),
            None => write!(f, "{major}.{minor}"),
        }
    }
}

impl ImageTag {
    pub fn parse(text: &str) -> Result<Self, TagError> {
        check_tag(text)?;
        let is_ours = text.starts_with(|c: char| c.is_ascii_digit());
        let (rest, connect) = match text.rsplit_once('-') {
            Some((rest, last)) if is_ours => match last.parse() {
                Ok(version) => (rest, Some(version)),
                Err(ConnectVersionError::Parts | ConnectVersionError::Number) => (text, None),
            },
            _ => (text, None),
        };
        let build = |last: &str| number(last.strip_prefix('u')?);
        let (software, build) = match rest.rsplit_once('-') {
            Some((software, last)) if is_ours && build(last).is_some() => (software, build(last)),
            _ => (rest, None),
        };
        Ok(Self { text: text.into(), software: software.into(), build, connect })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The version of the tool: `6.2.0-r2-1` of `6.2.0-r2-1-0.12`.
    pub fn software(&self) -> &str {
        &self.software
    }

    /// The number behind `u`: the same software, packed again.
    pub fn build(&self) -> Option<u32> {
        self.build
    }

    pub fn connect(&self) -> Option<ConnectVersion> {
        self.connect
    }
}

/// Without leading zeros, so that a date (`2024.05`) or Ubuntu's `22.04` is no connect version.
pub(super) fn number(part: &str) -> Option<u32> {
    let is_plain = part.bytes().all(|b| b.is_ascii_digit());
    if is_plain && (part == "0" || !part.starts_with('0')) { part.parse().ok() } else { None }
}

fn check_tag(text: &str) -> Result<(), TagError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if text.is_empty() {
        return Err(TagError::Empty);
    }
    if text.len() > TAG_BYTES_MAX {
        return Err(TagError::TooLong);
    }
    if text.starts_with(['.', '-']) {
        return Err(TagError::Start);
    }
    if text.bytes().all(allowed) { Ok(()) } else { Err(TagError::Character) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ConnectVersion {
        text.parse().unwrap()
    }

    #[test]
    fn a_connect_version_is_read_and_shown() {
        for text in ["0.12", "0.12.2", "1.0", "10.20.30", "0.0.0"] {
            assert_eq!(version(text).to_string(), text);
        }
        use ConnectVersionError::{Number, Parts};
        for (text, why) in [
            ("", Parts),
            ("0", Parts),
            ("0.1.2.3", Parts),
            ("0.", Number),
            (".1", Number),
            ("0.08", Number),
            ("0.+8", Number),
            ("0.x", Number),
            ("v0.12", Number),
            ("0.99999999999", Number),
        ] {
            assert_eq!(text.parse::<ConnectVersion>(), Err(why), "{text}");
        }
    }

    #[test]
    fn connect_versions_have_an_order() {
        let sorted = ["0.7.4", "0.8", "0.8.0", "0.8.5", "0.9", "0.12", "0.12.2", "1.0"];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn below_is_said_only_of_what_is_surely_older() {
        for (found, needed, below) in [
            ("0.8.3", "0.8.4", true),
            ("0.7.9", "0.8.4", true),
            ("0.7", "0.8.4", true),
            ("0.8", "0.8.4", false),
            ("0.8.4", "0.8.4", false),
            ("0.8.5", "0.8.4", false),
            ("0.9", "0.8.4", false),
            ("0.12", "0.8.4", false),
            ("0.8.1", "0.8", false),
            ("0.7.9", "0.8", true),
            ("0.13.0", "1.0.0", true),
        ] {
            assert_eq!(version(found).is_below(version(needed)), below, "{found} {needed}");
        }
    }

    #[test]
    fn a_tag_names_software_build_and_connect_version() {
        for (text, software, build, connect) in [
            ("4.2.5-0.12", "4.2.5", None, Some("0.12")),
            ("2025.04.1-0.9", "2025.04.1", None, Some("0.9")),
            ("1.101.2-0.12.2", "1.101.2", None, Some("0.12.2")),
            ("1.105.1-0.13.0", "1.105.1", None, Some("0.13.0")),
            ("6.2.0-r2-1-0.12", "6.2.0-r2-1", None, Some("0.12")),
            ("6.0-r0-1-0.7.4", "6.0-r0-1", None, Some("0.7.4")),
            ("4.6.0-u1-0.12", "4.6.0", Some(1), Some("0.12")),
            ("6.2.0-r2-1-u12-0.12.1", "6.2.0-r2-1", Some(12), Some("0.12.1")),
            ("4.6.0-u1", "4.6.0", Some(1), None),
            ("4.6.0-u-0.12", "4.6.0-u", None, Some("0.12")),
            // Of custom images: their connect version is unknown.
            ("latest", "latest", None, None),
            ("4.2.5", "4.2.5", None, None),
            ("0.12", "0.12", None, None),
            ("ubuntu-24.4", "ubuntu-24.4", None, None),
            ("3.11-22.04", "3.11-22.04", None, None),
            ("u1-0.12", "u1-0.12", None, None),
            ("4.4.1-u1-snapshot", "4.4.1-u1-snapshot", None, None),
            ("4.2.5-0.12-mine", "4.2.5-0.12-mine", None, None),
            ("4.2.5-0.12.1.7", "4.2.5-0.12.1.7", None, None),
            ("4.2.5-", "4.2.5-", None, None),
        ] {
            let tag = ImageTag::parse(text).unwrap();
            let shown = tag.connect().map(|version| version.to_string());
            let found = (tag.software(), tag.build(), shown.as_deref());
            assert_eq!(found, (software, build, connect), "{text}");
            assert_eq!(tag.as_str(), text);
        }
    }

    #[test]
    fn what_is_no_tag() {
        for (text, why) in [
            ("", TagError::Empty),
            (&"1".repeat(129), TagError::TooLong),
            (".1", TagError::Start),
            ("-0.12", TagError::Start),
            ("1+2", TagError::Character),
            ("é", TagError::Character),
        ] {
            assert_eq!(ImageTag::parse(text), Err(why), "{text}");
        }
        assert!(ImageTag::parse(&"1".repeat(128)).is_ok());
    }
}
