//! `portico check` against set-ups that are broken in one way each: the line of the subject names
//! the cause and the fix, whatever the other lines say. As root, like the tests of accounting.

mod settings;
mod names;
mod certificates;
mod platform;
mod redis;
mod machine;
mod running;
mod explain;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// One set-up, and what is to be said of it.
struct Broken {
    settings: Vec<(String, String)>,
    arguments: Vec<String>,
    launcher: Vec<String>,
}

/// What was said.
struct Found {
    code: Option<i32>,
    lines: Vec<Value>,
}

/// Nothing is wrong with it where io_uring and eBPF can be used. `localhost` needs no DNS.
fn good() -> Broken {
    let settings = [
        ("PORTICO_CONNECT_URL", "http://connect.localhost:8080"),
        ("PORTICO_PLATFORM_URL", ""),
        ("PORTICO_PROXY__HTTP", "127.0.0.1:0"),
        ("PORTICO_PROXY__WORKERS", "2"),
        ("PORTICO_CONTROL__LISTEN", "127.0.0.1:0"),
        ("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:0"),
        ("PORTICO_STORE__URL", "embedded:store"),
    ];
    let set = settings.into_iter().filter(|(_, value)| !value.is_empty());
    Broken {
        settings: set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        arguments: Vec::new(),
        launcher: Vec::new(),
    }
}

impl Broken {
    fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self = self.unset(name);
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    fn unset(mut self, name: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self
    }

    fn argument(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    fn launched_by(mut self, launcher: &[String]) -> Self {
        self.launcher = launcher.to_vec();
        self
    }

    fn command(&self, directory: &Path) -> Command {
        let mut words = self.launcher.clone();
        words.extend([env!("CARGO_BIN_EXE_portico").to_owned(), "check".to_owned()]);
        words.extend(self.arguments.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().current_dir(directory).stdin(Stdio::null());
        for name in ["PATH", "HOME"] {
            command.envs(std::env::var(name).map(|value| (name, value)));
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    #[track_caller]
    fn check(self) -> Found {
        let directory = TempDir::new().expect("a temporary directory");
        let output = self.argument("--json").command(directory.path()).output().expect("it runs");
        let said = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        let lines = said["checks"].as_array().cloned();
        let lines = lines.unwrap_or_else(|| panic!("no lines: {output:?}"));
        Found { code: output.status.code(), lines }
    }

    /// The line of a subject has this status; a cause and a fix with these words.
    #[track_caller]
    fn expect(self, id: &str, status: &str, cause: &str, fix: &str) -> Found {
        let found = self.check();
        found.expect(id, status, cause, fix);
        found
    }
}

impl Found {
    #[track_caller]
    fn expect(&self, id: &str, status: &str, cause: &str, fix: &str) {
        let has = |line: &&Value| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            line["id"] == id
                && line["status"] == status
                && (text("what") + ": " + &text("detail")).contains(cause)
                && text("fix").contains(fix)
        };
        assert!(
            self.lines.iter().any(|line| has(&line)),
            "no `{status}` line of {id} has `{cause}` and `{fix}`: {:#?}",
            self.lines
        );
    }

    #[track_caller]
    fn ok(&self, id: &str) {
        self.expect(id, "ok", "", "");
    }
}

#[test]
fn every_check_is_told_once_and_in_words() {
    let directory = TempDir::new().expect("a temporary directory");
    let output = good().command(directory.path()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    for id in ["settings", "domains", "access", "store", "ports", "files", "io_uring", "ebpf"] {
        let of_id = |line: &&str| line.split_whitespace().nth(1) == Some(id);
        assert_eq!(said.lines().filter(of_id).count(), 1, "{id}: {said}");
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.trim_end().ends_with("0 failed"), "{said}");
    // A check that made the store's directory as root would keep Portico's user out of it.
    assert!(!directory.path().join("store").exists(), "nothing is made");
}
