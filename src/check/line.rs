//! What a check found: one line for a person, one object for a program.

use portico_proxy::Fault;
use serde_json::{Value, json};

use crate::client::table::clean;

#[derive(Debug)]
pub struct Line {
    /// Of what was looked at; the same in every version.
    pub id: &'static str,
    pub status: Status,
    /// Which one of several.
    pub what: String,
    pub detail: String,
    /// Empty where there is nothing to do.
    pub fix: String,
}

#[derive(Debug, Clone, Copy)]
pub enum Status {
    Ok,
    /// It works, but not as an operator would want it.
    Warning,
    /// With whose turn it is.
    Failed(Fault),
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed(_) => "failed",
        }
    }
}

impl Line {
    fn new(id: &'static str, status: Status, what: impl Into<String>) -> Self {
        Self { id, status, what: what.into(), detail: String::new(), fix: String::new() }
    }

    pub fn ok(id: &'static str, what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::new(id, Status::Ok, what) }
    }

    pub fn warning(
        id: &'static str,
        what: impl Into<String>,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (detail, fix) = (detail.into(), fix.into());
        Self { detail, fix, ..Self::new(id, Status::Warning, what) }
    }

    /// Other settings would help.
    pub fn settings(
        id: &'static str,
        what: impl Into<String>,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { status: Status::Failed(Fault::Settings), ..Self::warning(id, what, detail, fix) }
    }

    /// This machine, or what it needs around it, lacks something.
    pub fn machine(
        id: &'static str,
        what: impl Into<String>,
        detail: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { status: Status::Failed(Fault::Machine), ..Self::warning(id, what, detail, fix) }
    }

    /// Neither of both: a check that did not do its work.
    pub fn ours(id: &'static str, detail: impl Into<String>) -> Self {
        let fix = "report it, with this line";
        Self { status: Status::Failed(Fault::Us), ..Self::warning(id, "this check", detail, fix) }
    }

    /// On one line, whatever others wrote into it.
    pub fn text(&self) -> String {
        let Line { id, status, what, detail, fix } = self;
        let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        let fix = if fix.is_empty() { String::new() } else { format!("; fix: {fix}") };
        clean(&format!("{:<8} {id:<20} {what}: {detail}{fix}", status.as_str()))
    }

    pub fn json(&self) -> Value {
        let Line { id, status, what, detail, fix } = self;
        json!({ "id": id, "status": status.as_str(), "what": what, "detail": detail, "fix": fix })
    }
}

/// The exit code, as that of a start: what settings can mend goes first.
pub fn fault(lines: &[Line]) -> Option<Fault> {
    let faults = lines.iter().filter_map(|line| match line.status {
        Status::Failed(fault) => Some(fault),
        Status::Ok | Status::Warning => None,
    });
    faults.min_by_key(|fault| match fault {
        Fault::Settings => 0,
        Fault::Machine => 1,
        Fault::Us => 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_says_what_to_do() {
        let line = Line::warning("redis", "r:6379", "it\nis\u{1b}[2J old", "take a new one");
        let text = line.text();
        assert!(text.starts_with("warning  redis "), "{text}");
        assert!(text.ends_with("; fix: take a new one"), "{text}");
        assert!(!text.contains(['\n', '\u{1b}']), "{text}");
    }

    #[test]
    fn settings_are_mended_first() {
        let machine = || Line::machine("files", "", "", "");
        assert!(fault(&[Line::ok("files", "", "")]).is_none());
        assert!(matches!(fault(&[machine()]), Some(Fault::Machine)));
        let lines = [machine(), Line::settings("domains", "", "", "")];
        assert!(matches!(fault(&lines), Some(Fault::Settings)));
    }
}
