//! How a command of the client ends that was not done: whose turn it is (the exit code), and what
//! the operator reads.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::table::clean;

#[derive(Debug)]
pub enum Failure {
    /// The command line, a file that it names, or the token.
    Usage(anyhow::Error),
    /// There is no connection, or no answer on it.
    Unreachable(anyhow::Error),
    /// The API's own words.
    Refused(Problem),
    Ours(anyhow::Error),
    /// Nobody reads what is printed any more: the end that `head` makes, and no failure.
    Unread,
    /// Told in the output already; the status of the first part that was refused.
    Partly(u16),
}

pub type Outcome<T = ()> = Result<T, Failure>;

/// An answer that is not 2xx: `application/problem+json` (RFC 9457), or whatever else came.
#[derive(Debug, Default)]
pub struct Problem {
    pub status: u16,
    pub title: String,
    pub detail: String,
    /// Field and message.
    pub mistakes: Vec<(String, String)>,
    /// In seconds, or as a date.
    pub retry_after: Option<String>,
}

impl Failure {
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    pub fn ours(error: impl Into<anyhow::Error>) -> Self {
        Self::Ours(error.into())
    }

    /// None when there is nothing to tell.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Usage(error) | Self::Unreachable(error) | Self::Ours(error) => {
                Some(clean(&format!("{error:#}")))
            }
            Self::Refused(problem) => Some(problem.text()),
            Self::Unread | Self::Partly(_) => None,
        }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unread => 0,
            Self::Ours(_) => OURS,
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::Refused(Problem { status, .. }) | Self::Partly(status) => code_of(*status),
        })
    }

    /// What the API asked for, in the one of its two forms that needs no calendar.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(Problem { retry_after, .. }) => {
                retry_after.as_deref()?.parse().ok().map(Duration::from_secs)
            }
            _ => None,
        }
    }

    /// Whether the same request may go well later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(Problem { status, .. }) => {
                matches!(code_of(*status), OURS | LATER)
            }
            Self::Usage(_) | Self::Ours(_) | Self::Unread | Self::Partly(_) => false,
        }
    }
}

const OURS: u8 = 1;
const MISSING: u8 = 2;
const CONFLICT: u8 = 3;
/// The rest are those of sysexits.h: `EX_USAGE`, `EX_UNAVAILABLE`, `EX_TEMPFAIL`, `EX_NOPERM`.
const USAGE: u8 = 64;
const UNREACHABLE: u8 = 69;
const LATER: u8 = 75;
const FORBIDDEN: u8 = 77;

fn code_of(status: u16) -> u8 {
    match status {
        401 | 403 => FORBIDDEN,
        404 | 410 => MISSING,
        409 | 412 => CONFLICT,
        408 | 429 | 503 => LATER,
        400..=499 => USAGE,
        _ => OURS,
    }
}

impl Problem {
    /// `json` is the body, if it is a problem at all.
    pub fn of(status: u16, json: &Value, retry_after: Option<String>) -> Self {
        let text = |value: &Value| value.as_str().map(clean).unwrap_or_default();
        let mistakes = json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mistakes =
            mistakes.iter().map(|mistake| (text(&mistake["field"]), text(&mistake["message"])));
        Self {
            status,
            title: text(&json["title"]),
            detail: text(&json["detail"]),
            mistakes: mistakes.collect(),
            retry_after,
        }
    }

    fn text(&self) -> String {
        let mut text = self.title.clone();
        // The API's detail of mistakes in fields is the sum of them, which has lines of its own.
        let repeats = |(_, message): &(String, String)| self.detail.contains(message.as_str());
        let is_sum = !self.mistakes.is_empty() && self.mistakes.iter().all(repeats);
        if !self.detail.is_empty() && !is_sum {
            let _ = write!(text, ": {}", self.detail);
        }
        for (field, message) in &self.mistakes {
            let _ = write!(text, "\n  {field} {message}");
        }
        match &self.retry_after {
            // A number is a time in seconds, anything else a date (RFC 9110 §10.2.3).
            Some(after) if after.bytes().all(|b| b.is_ascii_digit()) => {
                let _ = write!(text, "\n  try again in {after} s");
            }
            Some(after) => {
                let _ = write!(text, "\n  try again after {}", clean(after));
            }
            None => {}
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_status_is_somebodys_turn() {
        for (status, code) in [
            (400, 64),
            (401, 77),
            (403, 77),
            (404, 2),
            (409, 3),
            (410, 2),
            (412, 3),
            (413, 64),
            (422, 64),
            (429, 75),
            (500, 1),
            (502, 1),
            (503, 75),
            (302, 1),
        ] {
            assert_eq!(code_of(status), code, "{status}");
        }
    }

    #[test]
    fn mistakes_have_a_line_each_and_are_not_said_twice() {
        let json = json!({
            "title": "Some values are not valid",
            "detail": "id is short; label is taken",
            "errors": [
                { "field": "id", "message": "is short" },
                { "field": "label", "message": "is taken" },
            ],
        });
        let text = Problem::of(422, &json, None).text();
        assert_eq!(text, "Some values are not valid\n  id is short\n  label is taken");
    }

    #[test]
    fn a_detail_and_a_time_to_wait_are_told() {
        let json = json!({ "title": "Too many wrong tokens", "detail": "from\u{1b}[2J here" });
        let text = Problem::of(429, &json, Some("3".to_owned())).text();
        assert_eq!(text, "Too many wrong tokens: from\u{fffd}[2J here\n  try again in 3 s");
    }
}
