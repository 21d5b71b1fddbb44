//! `portico session|ticket|workspace|token|event …` against the real API: what an operator reads,
//! what a script gets, and the exit code of each way in which it can go wrong.

mod canned;
mod sessions;
mod access;
mod operators;
mod top;
mod streams;
mod failures;
mod tls;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use portico_bench::world::{Io, TOKEN, World};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_portico");

/// The client in a directory and an environment of its own.
struct Cli {
    environment: Vec<(String, String)>,
    directory: std::path::PathBuf,
}

#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Cli {
    fn of(world: &World) -> Self {
        Self::at(&format!("http://{}", world.control), world.directory())
    }

    fn at(api: &str, directory: &Path) -> Self {
        let cli = Self { environment: Vec::new(), directory: directory.to_owned() };
        cli.with("PORTICO_API", api).with("PORTICO_TOKEN", TOKEN)
    }

    /// Sets a variable; an empty value is as good as none.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn run(&self, line: &str) -> Ended {
        self.run_with(line, "")
    }

    /// `line` is divided at spaces; `input` is standard input.
    fn run_with(&self, line: &str, input: &str) -> Ended {
        let mut child = self.command(line).stdin(Stdio::piped()).spawn().expect("portico starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // What does not read it has ended by then.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("portico prints UTF-8");
        Ended {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(BINARY);
        command.args(line.split_whitespace()).env_clear().current_dir(&self.directory);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What it prints when all goes well.
    #[track_caller]
    fn done(&self, line: &str) -> String {
        let ended = self.run(line);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{line}: {ended:?}");
        ended.stdout
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        parsed(&self.done(&format!("{line} --json")))
    }

    /// What it says when it ends with this code, and nothing on standard output.
    #[track_caller]
    fn refused(&self, line: &str, code: i32) -> String {
        let ended = self.run(line);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{line}: {ended:?}");
        assert!(ended.stderr.starts_with("portico: "), "{line}: {ended:?}");
        ended.stderr
    }
}

fn world() -> World {
    crate::world(Io::Epoll)
}

#[track_caller]
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The line that begins with this word, its words.
#[track_caller]
fn row<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let mut rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.first() == Some(&first));
    row.unwrap_or_else(|| panic!("no line begins with {first}:\n{text}"))
}

const SESSION: &str = "--workspace genomics --owner ada --tool jupyter \
                       --upstream http://127.0.0.1:9";

#[test]
fn every_command_teaches_and_documents_its_exit_codes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cli = Cli::at("", directory.path());
    for command in [
        "session",
        "session list",
        "session show",
        "session create",
        "session change",
        "session stop",
        "session delete",
        "session extend",
        "session connections",
        "session activity",
        "ticket",
        "ticket create",
        "access",
        "access revoke",
        "access keys",
        "workspace",
        "workspace list",
        "workspace allow",
        "workspace disallow",
        "workspace allow-all",
        "workspace reset",
        "workspace show",
        "workspace limit",
        "workspace unlimit",
        "template",
        "template list",
        "template show",
        "template put",
        "template delete",
        "token",
        "token list",
        "token create",
        "token show",
        "token rotate",
        "token revoke",
        "event",
        "usage",
        "top",
        "replica",
        "replica list",
        "quota",
        "quota list",
        "audit",
        "bulk",
    ] {
        let help = cli.done(&format!("{command} --help"));
        assert!(help.contains("Exit codes:") && help.contains("77  the token"), "{command}");
        assert!(help.contains("--token-file"), "{command}: {help}");
    }
    for noun in [
        "session",
        "ticket",
        "access",
        "workspace",
        "template",
        "token",
        "event",
        "usage",
        "top",
        "replica",
        "quota",
        "audit",
        "bulk",
    ] {
        let help = cli.done(&format!("{noun} -h"));
        assert!(help.contains("Examples:\n  portico "), "{noun}: {help}");
    }
}

#[test]
fn shells_complete_every_command() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let cli = Cli::at("", directory.path());
    for shell in ["bash", "zsh", "fish"] {
        let script = cli.done(&format!("completions {shell}"));
        for word in ["extend", "disallow", "idempotency-key", "token-file"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
    assert_eq!(cli.run("completions tcsh").code, Some(64));
}
