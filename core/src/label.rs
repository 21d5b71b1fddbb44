//! The label: the one DNS label or path element that names a session in a URL, and the session id
//! that a label is made from.

use std::fmt;
use std::sync::Arc;

use crate::limits;

/// A valid DNS label (RFC 1123 §2.1): 1–63 of `a-z 0-9 -`, no `-` at either end, lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Arc<str>);

/// The name of a session in the API: 1–62 characters of a label, so that `a` + id is a label too.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {max} characters")]
    TooLong { max: usize },
    #[error("has a character other than a-z, 0-9 and '-'")]
    Character,
    #[error("starts or ends with '-'")]
    Hyphen,
}

impl Label {
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        check(text, limits::LABEL_BYTES_MAX)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    pub const OF_ID_PREFIX: &str = "a";

    /// The label of a session that was created without one: `a` + id, so that it never starts with
    /// a digit (some tools refuse host names that do).
    pub fn of(id: &SessionId) -> Self {
        Self(format!("{}{id}", Self::OF_ID_PREFIX).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SessionId {
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        check(text, limits::SESSION_ID_BYTES_MAX)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// Eight hexadecimal digits; the caller draws the number and checks for a collision.
    pub fn from_random(number: u32) -> Self {
        Self(format!("{number:08x}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str, max: usize) -> Result<(), LabelError> {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Err(LabelError::Empty);
    };
    if bytes.len() > max {
        return Err(LabelError::TooLong { max });
    }
    if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') {
        return Err(LabelError::Character);
    }
    if *first == b'-' || *last == b'-' {
        return Err(LabelError::Hyphen);
    }
    Ok(())
}

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}
as_text!(Label, SessionId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_dns_label() {
        for good in ["a", "a3e8370e7", "my-tool-2", &"x".repeat(63)] {
            assert_eq!(Label::parse(good).unwrap().as_str(), good);
        }
        assert_eq!(Label::parse("ABC").unwrap().as_str(), "abc");
        for (bad, why) in [
            ("", LabelError::Empty),
            ("-a", LabelError::Hyphen),
            ("a-", LabelError::Hyphen),
            ("a.b", LabelError::Character),
            ("a_b", LabelError::Character),
            ("é", LabelError::Character),
            (&"x".repeat(64), LabelError::TooLong { max: 63 }),
        ] {
            assert_eq!(Label::parse(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn a_label_made_from_an_id_is_valid() {
        let longest = SessionId::parse(&"f".repeat(limits::SESSION_ID_BYTES_MAX)).unwrap();
        assert!(Label::parse(Label::of(&longest).as_str()).is_ok());
        assert_eq!(Label::of(&SessionId::from_random(0x3e8370e7)).as_str(), "a3e8370e7");
    }
}
