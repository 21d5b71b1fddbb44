//! `portico top` while sessions are used: in a pipe, as JSON, and in a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::tcgetattr;
use portico_bench::world::process::{Process, Signal};
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{Io, World, eventually};
use serde_json::{Value, json};

use super::{BINARY, Cli, parsed, row};

/// Counts are told every second, as short as can be set.
fn world() -> World {
    let options = crate::options(Io::Epoll).set("PORTICO_ACCOUNTING__SOURCE", "tcp_info");
    World::start(options.set("PORTICO_ACCOUNTING__INTERVAL", "1s"))
}

/// Somebody who uses the session `busy` all the time; `quiet` was used once.
struct Traffic {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _upstream: Upstream,
}

impl Traffic {
    fn start(world: &World) -> Self {
        let upstream = Upstream::echo();
        let session = |id: &str, workspace: &str| {
            let fields = json!({ "id": id, "upstream": upstream.url(), "workspace": workspace });
            world.session_with(fields).host
        };
        let (busy, quiet) = (session("busy", "genomics"), session("quiet", "imaging"));
        let mut client = world.client();
        client.get(&quiet, "/");
        let ends = Arc::new(AtomicBool::new(false));
        let asked = ends.clone();
        let thread = std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                client.get(&busy, &format!("/{}", "x".repeat(2_000)));
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        Self { ends, thread: Some(thread), _upstream: upstream }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            std::thread::panicking() || matches!(ended, Some(Ok(()))),
            "its requests are answered"
        );
    }
}

#[test]
fn a_pipe_gets_one_table_with_the_busiest_session_first() {
    let world = world();
    let (cli, _traffic) = (Cli::of(&world), Traffic::start(&world));
    let text = eventually("both sessions are counted", || {
        let text = cli.done("top --once --interval 200ms --over 1s");
        (text.lines().count() == 3).then_some(text)
    });
    let titles = "SESSION WORKSPACE USER OPEN REQ/S IN/S OUT/S RTT-50 RTT-90 RETR/S LOST IN OUT";
    assert_eq!(row(&text, "SESSION").join(" "), titles);
    let first = text.lines().nth(1).unwrap_or_default();
    assert!(first.starts_with("busy "), "{text}");
    let busy = row(&text, "busy");
    assert_eq!(busy[1], "genomics");
    assert!(busy[4].parse::<f64>().is_ok_and(|requests| requests > 5.0), "{text}");
    assert!(busy[5].ends_with("kB") && busy[7].starts_with('<'), "{text}");
    assert_eq!(row(&text, "quiet")[4..7], ["0.0", "0B", "0B"], "{text}");

    let workspaces = cli.done("top --by workspace --over 0s --limit 1");
    assert_eq!(workspaces.lines().count(), 2, "{workspaces}");
    assert_eq!(row(&workspaces, "genomics")[..5], ["genomics", "1", "-", "-", "-"]);
    let other = cli.done("top --over 0s --workspace imaging");
    assert!(other.contains("quiet") && !other.contains("busy"), "{other}");
    let replicas = cli.done("top --by replica");
    assert_eq!(row(&replicas, "REPLICA")[..3], ["REPLICA", "ROLE", "ALIVE"]);
    for wrong in ["top --by week", "top --interval 1ms", "top --over 1h", "top --sort open"] {
        assert_eq!(cli.run(wrong).code, Some(64), "{wrong}");
    }
    cli.with("PORTICO_TOKEN", "wrong").refused("top", 77);
}

#[test]
fn json_is_a_document_for_each_refresh() {
    let world = world();
    let (cli, traffic) = (Cli::of(&world), Traffic::start(&world));
    // What it prints is kept for longer than the world.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let line = "top --json --interval 200ms --over 1s --limit 1";
    let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
    let mut top =
        Process::start("top", BINARY.as_ref(), &arguments, &cli.environment, directory.path());
    let document = eventually("rates of the busy session are told", || {
        let documents: Vec<_> = whole_lines(&top.stdout()).collect();
        documents.into_iter().find(|document| {
            document["items"][0]["per_second"]["requests"].as_f64().is_some_and(|r| r > 5.0)
        })
    });
    assert_eq!((&document["by"], &document["failed"]), (&json!("session"), &Value::Null));
    assert!(document["rates_over_seconds"].as_f64().is_some_and(|over| over >= 0.7), "{document}");
    let item = &document["items"][0];
    assert_eq!((&item["session"], &item["workspace"]), (&json!("busy"), &json!("genomics")));
    let total = item["total"]["bytes_in"].as_u64();
    assert!(total.is_some_and(|total| total > 10_000), "{document}");
    assert!(item["rtt"]["p90_us"].is_u64() && item["open"]["requests"].is_u64(), "{document}");
    assert_eq!(document["items"].as_array().map(Vec::len), Some(1));

    drop(traffic);
    drop(world);
    eventually("what fails is told", || {
        whole_lines(&top.stdout()).last().filter(|last| last["failed"].is_string())
    });
    assert!(whole_lines(&top.stdout()).count() > 2);
    top.signal(Signal::SIGINT);
    assert_eq!(top.ended().code(), Some(0));
}

fn whole_lines(text: &str) -> impl Iterator<Item = Value> {
    let end = text.rfind('\n').map_or(0, |end| end + 1);
    text[..end].lines().map(parsed).collect::<Vec<_>>().into_iter()
}

/// A terminal of 100 columns and what was drawn on it.
struct Terminal {
    keyboard: File,
    ours: std::os::fd::OwnedFd,
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn open() -> Self {
        let size = Winsize { ws_row: 12, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).expect("a terminal");
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().expect("a copy");
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let kept = drawn.clone();
        // It ends with the process of the tests, or with the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                kept.lock().expect("nobody panicked with it").extend(&bytes[..length]);
            }
        });
        Self { keyboard, ours: slave, drawn }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("the terminal is there");
    }

    fn drawn(&self) -> String {
        String::from_utf8_lossy(&self.drawn.lock().expect("nobody panicked with it")).into_owned()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let drawn = || self.drawn().contains(text).then_some(());
        eventually(&format!("{text} is shown"), drawn);
    }
}

/// `setsid` makes the terminal that of the session, as a login does.
fn in_terminal(cli: &Cli, terminal: &Terminal, line: &str) -> std::process::Child {
    let end = || terminal.ours.try_clone().expect("a copy");
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", BINARY]).args(line.split(' ')).env_clear();
    command.envs(cli.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(&cli.directory).stdin(end()).stdout(end()).stderr(end());
    command.spawn().expect("setsid (util-linux) is here")
}

#[test]
fn a_terminal_shows_it_live_and_is_left_as_it_was() {
    for last in [b"q".as_slice(), b"\x03"] {
        let world = world();
        let (cli, traffic) = (Cli::of(&world), Traffic::start(&world));
        let mut terminal = Terminal::open();
        let before = tcgetattr(&terminal.ours).expect("a terminal has attributes");
        let mut top = in_terminal(&cli, &terminal, "top --interval 200ms --over 1s");
        terminal.shows("\x1b[?1049h");
        terminal.shows("; rates over ");
        terminal.shows("busy");
        terminal.press(b"w");
        terminal.shows("portico top: workspaces 1-2 of 2, by bytes in and out");
        terminal.press(b"\x1b[C");
        terminal.shows("by RTT");
        terminal.press(b"r");
        terminal.shows("portico top: replicas 1-1 of 1");
        drop(traffic);
        drop(world);
        terminal.shows("portico top: cannot reach the API");
        terminal.press(last);
        assert_eq!(top.wait().expect("a child can be waited for").code(), Some(0));
        terminal.shows("\x1b[?25h\x1b[?1049l");
        assert_eq!(tcgetattr(&terminal.ours).expect("it is there still"), before);
    }
}
