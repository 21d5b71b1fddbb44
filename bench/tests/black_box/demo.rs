//! `portico demo`, as a newcomer meets it: two links that work, and nothing left when it stops.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portico_bench::port::free_address;
use portico_bench::world::client::Client;
use portico_bench::world::process::{Process, Signal};
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{Io, eventually};
use tempfile::TempDir;

on_both_io!(both_links_work_and_nothing_stays);

/// A demo with a directory of its own for all that it makes.
struct Demo {
    process: Process,
    address: SocketAddr,
    scratch: PathBuf,
    _directory: TempDir,
}

impl Demo {
    fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let scratch = directory.path().join("scratch");
        std::fs::create_dir(&scratch).expect("a folder can be made");
        let address = free_address();
        let port = address.port().to_string();
        let arguments = [&["demo", "--port", &port], arguments].concat();
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut settings: Vec<_> = settings.iter().map(owned).collect();
        settings.push(("TMPDIR".to_owned(), scratch.display().to_string()));
        let binary = Path::new(env!("CARGO_BIN_EXE_portico"));
        let process = Process::start("demo", binary, &arguments, &settings, directory.path());
        Self { process, address, scratch, _directory: directory }
    }

    fn links(&mut self) -> Vec<(String, String)> {
        eventually("the links are printed", || {
            assert!(self.process.exited().is_none(), "the demo ended");
            let text = self.process.stdout();
            text.contains("Ctrl-C").then(|| links(&text))
        })
    }

    #[track_caller]
    fn expect_end(mut self, code: i32) -> String {
        assert_eq!(self.process.ended().code(), Some(code), "{}", self.process.stderr());
        let left: Vec<_> =
            std::fs::read_dir(&self.scratch).expect("the folder").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        self.process.stderr()
    }
}

fn both_links_work_and_nothing_stays(io: Io) {
    let mut demo = Demo::start(&["--io", io.as_str()], &[]);
    let links = demo.links();
    assert!(links.iter().any(|(host, _)| host.starts_with("demo.localhost:")), "{links:?}");
    assert!(links.iter().any(|(_, path)| path == "/_studio/demo/"), "{links:?}");
    for (host, path) in &links {
        let page = Client::connect(demo.address).get(host, path);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.field("content-type").unwrap_or_default().starts_with("text/html"));
        assert!(page.text().contains("WebSocket"), "the sample session's page");
    }
    demo.process.signal(Signal::SIGINT);
    demo.expect_end(0);
}

#[test]
fn a_tool_of_ones_own_is_shown() {
    let tool = Upstream::echo();
    let mut demo = Demo::start(&["--upstream", &tool.url()], &[]);
    for (host, path) in demo.links() {
        // The tool answers with what it was asked.
        let page = Client::connect(demo.address).get(&host, &path);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text().contains(&path), "{page:?}");
    }
    demo.process.signal(Signal::SIGTERM);
    demo.expect_end(0);
}

#[test]
fn a_closed_terminal_leaves_nothing_behind() {
    let mut demo = Demo::start(&[], &[]);
    demo.links();
    demo.process.signal(Signal::SIGHUP);
    demo.expect_end(0);
}

/// As soon as there is something to leave behind.
#[test]
fn an_early_signal_leaves_nothing_behind() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let demo = Demo::start(&[], &[]);
        eventually("the demo makes its directory", || {
            std::fs::read_dir(&demo.scratch).expect("the folder").next().map(drop)
        });
        demo.process.signal(signal);
        demo.expect_end(0);
    }
}

#[test]
fn a_tool_that_ends_is_told_with_its_last_lines() {
    let tools = TempDir::new().expect("a temporary directory");
    let jupyter = tools.path().join("jupyter");
    let script = "#!/bin/sh\necho \"jupyter: 'lab' is not a command\" >&2\nexit 3\n";
    std::fs::write(&jupyter, script).expect("a file can be written");
    std::fs::set_permissions(&jupyter, Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:/usr/bin:/bin", tools.path().display());
    let demo = Demo::start(&["--tool", "jupyter"], &[("PATH", &path)]);
    let told = demo.expect_end(69);
    assert!(told.contains("has ended (exit status: 3)"), "{told}");
    assert!(told.contains("'lab' is not a command"), "{told}");
}

/// Host and path of each link on a line of its own.
fn links(text: &str) -> Vec<(String, String)> {
    let urls = text.split_whitespace().filter_map(|word| word.strip_prefix("http://"));
    let pairs = urls.filter_map(|url| url.split_once('/'));
    let mut links: Vec<_> =
        pairs.map(|(host, path)| (host.to_owned(), format!("/{path}"))).collect();
    links.dedup();
    links
}
