//! `portico demo`, as a newcomer meets it: two links that work, and nothing left when it stops.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use portico_bench::world::client::Client;
use portico_bench::world::process::{Process, Signal};
use portico_bench::world::{Io, eventually};
use tempfile::TempDir;

on_both_io!(both_links_work_and_nothing_stays);

fn both_links_work_and_nothing_stays(io: Io) {
    let directory = TempDir::new().expect("a temporary directory");
    let scratch = directory.path().join("scratch");
    std::fs::create_dir(&scratch).expect("a folder can be made");
    let address = free_address();
    let arguments = ["demo", "--io", io.as_str(), "--port", &address.port().to_string()];
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let settings = [("TMPDIR".to_owned(), scratch.display().to_string())];
    let binary = Path::new(env!("CARGO_BIN_EXE_portico"));
    let mut process = Process::start("demo", binary, &arguments, &settings, directory.path());
    let links = eventually("the links are printed", || {
        assert!(process.exited().is_none(), "the demo ended");
        let text = process.stdout();
        text.contains("Ctrl-C").then(|| links(&text))
    });
    assert!(links.iter().any(|(host, _)| host.starts_with("demo.localhost:")), "{links:?}");
    assert!(links.iter().any(|(_, path)| path == "/_studio/demo/"), "{links:?}");
    for (host, path) in &links {
        let page = Client::connect(address).get(host, path);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.field("content-type").unwrap_or_default().starts_with("text/html"));
        assert!(page.text().contains("WebSocket"), "the sample session's page");
    }
    process.signal(Signal::SIGINT);
    assert_eq!(process.ended().code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(&scratch).expect("the folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
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

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener has an address")
}
