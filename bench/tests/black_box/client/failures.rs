//! Each exit code by the way that leads to it, and what is said then.

use std::process::Stdio;

use portico_bench::world::{TOKEN, eventually};
use tempfile::TempDir;

use super::canned::{Canned, answer};
use super::{Cli, SESSION, world};

fn directory() -> TempDir {
    TempDir::new().expect("a temporary directory")
}

#[test]
fn each_mistake_in_a_field_has_a_line() {
    let world = world();
    let cli = Cli::of(&world);
    let problem = cli.refused("session create --upstream ftp://x --state asleep", 64);
    for line in ["workspace is required", "owner is required", "state is not", "upstream must"] {
        assert_eq!(problem.matches(&format!("\n  {line}")).count(), 1, "{line}: {problem}");
    }
    assert_eq!(problem.matches("workspace is required").count(), 1, "{problem}");
}

#[test]
fn a_wrong_command_line_is_64() {
    let directory = directory();
    let cli = Cli::at("http://127.0.0.1:1", directory.path());
    for line in [
        "session",
        "session shwo",
        "session show",
        "session list --limit 0",
        "session extend one soon",
        "session list --label team",
        "workspace limit genomics --sessions-max many",
        "session list --api ftp://127.0.0.1",
        "session list --api http://user@127.0.0.1",
        "session list --api https://127.0.0.1 --ca-file nowhere.pem",
        "session list --ca-file ca.pem",
        "session create --idempotency-key a\u{7f}b",
    ] {
        let ended = cli.run(line);
        assert_eq!(ended.code, Some(64), "{line}: {ended:?}");
        assert!(!ended.stderr.is_empty() && !ended.stderr.contains("panicked"), "{ended:?}");
    }
}

#[test]
fn without_a_token_it_says_where_one_is_looked_for() {
    let world = world();
    let cli = Cli::of(&world).with("PORTICO_TOKEN", "");
    let problem = cli.refused("session list", 64);
    for place in ["--token-file", "PORTICO_TOKEN", "portico-data/token", "/var/lib/portico/token"] {
        assert!(problem.contains(place), "{place}: {problem}");
    }
    cli.refused("session list --token-file nowhere", 64);
    let kept = world.directory().join("portico-data");
    std::fs::create_dir(&kept).expect("a folder can be made");
    std::fs::write(kept.join("token"), format!("{TOKEN}\n")).expect("a file can be written");
    cli.done("session list");
    let empty = world.directory().join("empty");
    std::fs::write(&empty, "\n").expect("a file can be written");
    let cli = cli.with("PORTICO_TOKEN_FILE", &empty.display().to_string());
    assert!(cli.refused("session list", 64).contains("there is no token in"));
}

#[test]
fn a_wrong_token_is_77_and_never_shown() {
    let world = world();
    let cli = Cli::of(&world).with("PORTICO_TOKEN", "not-the-token-of-this-portico");
    let problem = cli.refused("session list", 77);
    assert!(problem.contains("not a token of this Portico"), "{problem}");
    assert!(!problem.contains("not-the-token"), "{problem}");
    let strange = Cli::of(&world).with("PORTICO_TOKEN", "two\nlines");
    let problem = strange.refused("session list", 64);
    assert!(!problem.contains("lines"), "{problem}");
}

#[test]
fn an_api_that_is_down_is_69() {
    let directory = directory();
    let problem = Cli::at("http://127.0.0.1:1", directory.path()).refused("session list", 69);
    assert!(problem.contains("http://127.0.0.1:1"), "{problem}");
    Cli::at("http://no-such-host.invalid", directory.path()).refused("token list", 69);
    // It hangs up before it answers.
    let rude = Canned::start(&["", ""]);
    let cli = Cli::at(&format!("http://{}", rude.address), directory.path());
    cli.refused("session list", 69);
    let problem = cli.refused("session delete one", 69);
    assert!(problem.contains("may have been done"), "{problem}");
}

#[test]
fn a_full_workspace_is_75_and_says_when() {
    let world = world();
    let cli = Cli::of(&world);
    cli.done("workspace limit genomics --sessions-max 1");
    cli.done(&format!("session create {SESSION}"));
    // The limit is in force when it has come around.
    let problem = eventually("the workspace is full", || {
        let ended = cli.run(&format!("session create {SESSION}"));
        (ended.code == Some(75)).then_some(ended.stderr)
    });
    assert!(problem.contains("at its limit") && problem.contains("try again in 30 s"), "{problem}");
}

#[test]
fn what_is_no_answer_of_the_api_is_1() {
    let directory = directory();
    let html = answer("502 Bad Gateway", "Content-Type: text/html\r\n", "<h1>balancer</h1>");
    let moved = answer("302 Found", "Location: http://elsewhere/\r\n", "");
    let ours = answer("500 Internal Server Error", "", "{\"title\":\"Portico failed\"}");
    let page = answer("200 OK", "", "<h1>hello</h1>");
    let api = Canned::start(&[&html, &moved, &ours, &page]);
    let cli = Cli::at(&format!("http://{}/below/", api.address), directory.path());
    let problem = cli.refused("session list", 1);
    assert!(problem.contains("answered 502") && !problem.contains('<'), "{problem}");
    cli.refused("session list", 1);
    assert!(cli.refused("session list", 1).contains("Portico failed"));
    cli.refused("session list", 1);
    assert!(api.heads()[0].starts_with("GET /below/v1/sessions?limit="), "{:?}", api.heads());
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let world = world();
    let cli = Cli::of(&world);
    for line in ["session list", "session list --json", "completions bash", "event --after 0"] {
        cli.done(&format!("session create {SESSION}"));
        let mut child = cli.command(line).stdout(Stdio::piped()).spawn().expect("portico starts");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("a child can be waited for");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{line}");
    }
}
