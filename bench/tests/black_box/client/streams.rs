//! `portico event`, followed live, over breaks, and to its end by Ctrl-C.

use portico_bench::world::eventually;
use portico_bench::world::process::{Process, Signal};
use tempfile::TempDir;

use super::canned::{Canned, answer};
use super::{BINARY, Cli, SESSION, parsed, world};

fn follow(cli: &Cli, name: &str, line: &str) -> Process {
    let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    Process::start(name, BINARY.as_ref(), &arguments, &cli.environment, &cli.directory)
}

#[test]
fn events_are_followed_as_they_happen_until_ctrl_c() {
    let world = world();
    let cli = Cli::of(&world);
    cli.done(&format!("session create {SESSION} --id one"));
    let mut people = follow(&cli, "people", "event --after 0");
    let mut script = follow(&cli, "script", "event --after 0 --workspace other --json");
    eventually("what was before is told", || {
        people.stdout().contains("session.created").then_some(())
    });
    cli.done(&format!("session create {} --id two", SESSION.replace("genomics", "other")));
    cli.done("session delete one");
    eventually("what happens is told", || {
        people.stdout().contains("session.deleted").then_some(())
    });
    let told = people.stdout();
    // The replica tells of its own start, too, whenever that is.
    let lines: Vec<_> = told.lines().filter(|line| !line.contains("replica.started")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("two  running  other  ada  jupyter"), "{lines:?}");
    let lines = eventually("the other workspace's event", || {
        let sessions = |line: &&str| !line.contains("replica.started");
        let text = script.stdout();
        let lines: Vec<_> = text.lines().filter(sessions).map(str::to_owned).collect();
        (text.ends_with('\n') && !lines.is_empty()).then_some(lines)
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let lines = &lines[0];
    let event = parsed(lines);
    assert_eq!(
        (&event["event"], &event["data"]["session"]["id"]),
        (&"session.created".into(), &"two".into()),
        "only its own: {lines}"
    );
    // Where another listener would go on.
    let id = event["id"].as_str().expect("an id").to_owned();
    let rest = follow(&cli, "rest", &format!("event --after {id} --json"));
    eventually("what comes behind it", || rest.stdout().contains("deleted").then_some(()));
    assert_eq!(rest.stdout().lines().count(), 1);
    for process in [&mut people, &mut script] {
        process.signal(Signal::SIGINT);
        assert_eq!(process.ended().code(), Some(0));
        assert_eq!(process.stderr(), "");
    }
}

#[test]
fn a_stream_that_breaks_goes_on_where_it_was() {
    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                          Connection: close\r\n\r\n";
    let first = format!("{STREAM}retry: 1\n\nid: 7\nevent: x\ndata: {{}}\n\nid: 8\ndata: half");
    let second = format!("{STREAM}id: 8\nevent: y\ndata: {{\"n\":1}}\n\n");
    let unavailable = answer("503 Service Unavailable", "Retry-After: 0\r\n", "");
    let forbidden = answer("403 Forbidden", "", "{\"title\": \"No more\"}");
    let api = Canned::start(&[&first, &unavailable, &second, &forbidden]);
    let directory = TempDir::new().expect("a temporary directory");
    let cli = Cli::at(&format!("http://{}", api.address), directory.path());
    let ended = cli.run("event --json --after 3");
    assert_eq!(ended.code, Some(77), "what will not pass is the end: {ended:?}");
    let ids: Vec<_> = ended.stdout.lines().map(|line| parsed(line)["id"].clone()).collect();
    assert_eq!(ids, ["7", "8"], "{ended:?}");
    let heads = api.heads();
    assert!(heads[0].starts_with("GET /v1/events?after=3 HTTP/1.1"), "{heads:?}");
    let resumed = |head: &String, id: &str| {
        head.to_ascii_lowercase().contains(&format!("last-event-id: {id}\r\n"))
    };
    assert!(resumed(&heads[1], "7") && resumed(&heads[2], "7"), "half of 8 does not count");
    assert!(resumed(&heads[3], "8"), "{heads:?}");
}

#[test]
fn a_stream_that_never_began_is_told_at_once() {
    let directory = TempDir::new().expect("a temporary directory");
    let down = Cli::at("http://127.0.0.1:1", directory.path());
    down.refused("event", 69);
    down.refused("audit --follow", 69);
    let page = Canned::start(&[&answer("200 OK", "Content-Type: text/html\r\n", "<p>")]);
    Cli::at(&format!("http://{}", page.address), directory.path()).refused("event", 1);
    let world = world();
    Cli::of(&world).refused("event --after yesterday", 64);
}
