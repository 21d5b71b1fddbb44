//! Exactness: payload of every kind of connection, per session, from both ends.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use portico_bench::world::certificates::{Authority, TLS13};
use portico_bench::world::client::reset_on_close;
use portico_bench::world::{CONNECT_HOST, World};
use serde_json::json;
use tempfile::TempDir;

use super::ends::{Plain, Tls, Tool};
use super::{IN, SOURCES, options};

/// What both ends know of a session: from clients, to them, from the tool, to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    bytes_in: u64,
    bytes_out: u64,
    upstream_bytes_in: u64,
    upstream_bytes_out: u64,
    connections: u64,
    requests: u64,
    resets: u64,
}

struct Session {
    host: String,
    id: String,
    tool: Tool,
    known: Known,
}

impl Session {
    fn start(world: &World, id: &str) -> Self {
        let tool = Tool::start();
        let upstream = tool.url();
        let fields = json!({ "id": id, "upstream": upstream, "tool": "other" });
        // Waiting for it asks nothing of the tool: a redirect of Portico's own is enough.
        let session = world.session_with(fields);
        Self { host: session.host, id: id.to_owned(), tool, known: Known::default() }
    }

    /// A browser's bytes between two moments are this session's.
    fn add(&mut self, before: (u64, u64), after: (u64, u64)) {
        self.known.bytes_in += after.1 - before.1;
        self.known.bytes_out += after.0 - before.0;
    }

    fn is_used(&mut self, connections: u64, requests: u64) {
        self.known.connections += connections;
        self.known.requests += requests;
    }

    fn told(&self, world: &World) -> Known {
        let target = format!("/v1/usage?by=session&session={}", self.id);
        let answer = world.api("GET", &target, None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        let number = |name: &str| -> u64 {
            let items = answer["items"].as_array().expect("items");
            items.iter().map(|item| item[name].as_u64().expect("a number")).sum()
        };
        Known {
            bytes_in: number("bytes_in"),
            bytes_out: number("bytes_out"),
            upstream_bytes_in: number("upstream_bytes_in"),
            upstream_bytes_out: number("upstream_bytes_out"),
            connections: number("connections"),
            requests: number("requests"),
            resets: number("resets"),
        }
    }

    /// With what its tool knows by now.
    fn expected(&self) -> Known {
        let (received, sent) = self.tool.bytes.now();
        Known { upstream_bytes_in: sent, upstream_bytes_out: received, ..self.known }
    }

    /// Waits until it is told what both ends know.
    #[track_caller]
    fn agrees(&self, world: &World, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (told, expected) = (self.told(world), self.expected());
            if told == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: told {told:?}\n expected {expected:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

const MEGABYTE: usize = 1 << 20;

#[test]
fn every_byte_is_counted_for_its_session() {
    for source in SOURCES {
        for io in IN {
            let files = TempDir::new().expect("a temporary directory");
            let authority = Authority::generate();
            let names = [CONNECT_HOST, &format!("*.{CONNECT_HOST}")];
            let certificate = authority.certificate(files.path(), "connect", &names);
            let world = World::start(options(io, source).tls(&[certificate]));
            let of_source = format!("source=\"{source}\"");
            assert_eq!(world.metric("portico_accounting_source", &of_source), 1.0);
            let what = |step| format!("{step}, {source} on {}", io.as_str());
            two_sessions_on_one_connection(&world, &what("two sessions"));
            bulk(&world, &what("bulk"));
            relay(&world, &what("relay"));
            ends(&world, &what("ends"));
            let config = authority.client(&[&TLS13]);
            let mut session = Session::start(&world, "secret");
            let address = world.https.expect("a listener with TLS");
            let mut browser = Tls::connect(address, &session.host, config);
            browser.exchange(&session.host, "/100000", 50_000);
            browser.last_exchange(&session.host, "/1");
            browser.say_goodbye();
            session.add((0, 0), browser.bytes.now());
            session.is_used(1, 2);
            session.agrees(&world, &what("TLS"));
        }
    }
}

fn two_sessions_on_one_connection(world: &World, what: &str) {
    let (mut one, mut other) = (Session::start(world, "one"), Session::start(world, "other"));
    let mut browser = Plain::connect(world.http);
    for (session, answer, body) in
        [(0, 10, 0), (0, 100_000, 5), (1, 20_000, 30_000), (0, 7, 1), (1, 0, 0), (1, 3, 200_000)]
    {
        let session = if session == 0 { &mut one } else { &mut other };
        let before = browser.bytes.now();
        browser.exchange(&session.host, &format!("/{answer}"), body);
        session.add(before, browser.bytes.now());
    }
    drop(browser);
    // Each time that it came to the session.
    one.is_used(2, 3);
    other.is_used(2, 3);
    one.agrees(world, what);
    other.agrees(world, what);
}

fn bulk(world: &World, what: &str) {
    let mut session = Session::start(world, "bulk");
    let mut browser = Plain::connect(world.http);
    browser.exchange(&session.host, &format!("/{}", 100 * MEGABYTE), 100 * MEGABYTE);
    session.add((0, 0), browser.bytes.now());
    session.is_used(1, 1);
    // While it is open, too.
    session.agrees(world, what);
}

fn relay(world: &World, what: &str) {
    let mut session = Session::start(world, "relay");
    let mut browser = Plain::connect(world.http);
    browser.upgrade(&session.host);
    for length in [1, 64, 1000, 70_000].into_iter().cycle().take(400) {
        browser.send(&vec![b'm'; length]);
        browser.receive(length);
    }
    session.add((0, 0), browser.bytes.now());
    session.is_used(1, 1);
    session.agrees(world, &format!("{what}, open"));
    browser.tcp.shutdown(Shutdown::Write).expect("it is open");
    browser.read_to_end();
    session.agrees(world, &format!("{what}, closed"));
}

/// However a connection ends, its end counts nothing.
fn ends(world: &World, what: &str) {
    let mut session = Session::start(world, "ends");
    let connect = || Plain::connect(world.http);
    let mut browsers = [connect(), connect(), connect()];
    for browser in &mut browsers {
        browser.exchange(&session.host, "/5000", 3000);
    }
    let [mut closed, mut client_first, reset] = browsers;
    closed.last_exchange(&session.host, "/1");
    client_first.tcp.shutdown(Shutdown::Write).expect("it is open");
    client_first.read_to_end();
    for browser in [&closed, &client_first, &reset] {
        session.add((0, 0), browser.bytes.now());
    }
    reset_on_close(&reset.tcp);
    drop((closed, client_first, reset));
    session.is_used(3, 4);
    session.known.resets = 1;
    session.agrees(world, what);
}
