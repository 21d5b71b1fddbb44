//! Who is taken for away: somebody who sits before a real tool in a real browser and does nothing,
//! though the page goes on polling and its sockets go on pinging; and what becomes of such a
//! session.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use portico_bench::world::api::{Session, api_request};
use portico_bench::world::browser::{Browser, Page};
use portico_bench::world::certificates::Authority;
use portico_bench::world::client::Client;
use portico_bench::world::tool::Tool;
use portico_bench::world::upstream::Upstream;
use portico_bench::world::websocket::round_trip;
use portico_bench::world::{
    CONNECT_HOST, Io, Options, PATIENCE, TOOL_PATIENCE, World, eventually, eventually_within,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use super::options;

/// Code's; of several, the one that is open.
const TERMINAL: &str = ".xterm-screen:visible";
/// The least that a session may be given.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Without data for so long, somebody is away.
const SILENCE: Duration = Duration::from_secs(45);
/// What a page still has to say after it looks ready, on two busy cores.
const LOADING: Duration = Duration::from_secs(30);
/// How long a page that is still loading may take over what it was asked, before it is asked again.
const HEEDED: Duration = Duration::from_secs(10);
/// How often the store is told.
const INTERVAL: Duration = Duration::from_secs(1);
/// Until what a client has said is to be seen.
const NOTICED: Duration = Duration::from_secs(5);
/// The timeout, the 30 s that what was seen may take to be told, and 10 s from check to check.
const MARKED: Duration = IDLE_TIMEOUT.saturating_add(Duration::from_secs(30 + 10 + 5));

/// What `GET /v1/sessions/{id}/activity` tells. Times are RFC 3339, to the millisecond: of two the
/// later is the greater.
#[derive(Debug)]
struct Told {
    client_data_at: String,
    session_data_at: String,
    ping_at: String,
    idle: Duration,
    websockets: u64,
}

impl Told {
    fn of(world: &World, session: &Session) -> Self {
        let target = format!("/v1/sessions/{}/activity", session.id);
        let answer = world.api("GET", &target, None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        let time = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Self {
            client_data_at: time("client_data_at"),
            session_data_at: time("session_data_at"),
            ping_at: time("ping_at"),
            idle: Duration::from_secs(answer["idle_seconds"].as_u64().expect("a number")),
            websockets: answer["open"]["websockets"].as_u64().expect("a number"),
        }
    }

    /// Of either side.
    fn data_at(&self) -> String {
        self.client_data_at.clone().max(self.session_data_at.clone())
    }
}

/// A user who has a tool open in a browser.
struct Desk {
    page: Page,
    session: Session,
    world: World,
    tool: Tool,
    _certificate: TempDir,
}

impl Desk {
    fn at(kind: &str, tool: Tool, io: Io) -> Self {
        let files = TempDir::new().expect("a temporary directory");
        let wildcard = format!("*.{CONNECT_HOST}");
        let names = [CONNECT_HOST, &wildcard];
        let certificate = Authority::generate().certificate(files.path(), "connect", &names);
        let world = World::start(options(io, "tcp_info").tls(&[certificate]));
        let session = world.session_with(json!({
            "tool": kind, "upstream": tool.url(), "idle_timeout_seconds": IDLE_TIMEOUT.as_secs()
        }));
        let address = world.https.expect("a listener with TLS");
        let browser = Browser::start(&[(&format!("*.{CONNECT_HOST}:443"), address)]);
        let page = browser.user("ada").patient(TOOL_PATIENCE);
        Self { page, session, world, tool, _certificate: files }
    }

    fn open(&self, target: &str) {
        assert_eq!(self.page.open(&format!("https://{}{target}", self.session.host)), 200);
    }

    /// Does this until an element is there: a page may show what it does not heed yet, as an editor
    /// loses the keys that come before it has read its key bindings.
    fn insists(&self, selector: &str, ask: impl Fn(&Page)) {
        let patient = self.page.clone().patient(HEEDED);
        eventually_within(TOOL_PATIENCE, selector, || {
            ask(&self.page);
            patient.try_wait_for_attached(selector).ok()
        });
    }

    fn told(&self) -> Told {
        Told::of(&self.world, &self.session)
    }

    /// Nobody does anything, until the last data is `SILENCE` ago; meanwhile the page shows that
    /// it is open.
    fn falls_silent(&self) {
        let begin = Instant::now();
        let (mut last, mut last_at) = (self.told().data_at(), begin);
        let mut pings = BTreeSet::new();
        while last_at.elapsed() < SILENCE {
            thread::sleep(Duration::from_millis(500));
            let told = self.told();
            assert!(told.websockets > 0, "{told:?}");
            if told.data_at() > last {
                (last, last_at) = (told.data_at(), Instant::now());
                pings.clear();
                assert!(last_at - begin < LOADING, "not silent within {LOADING:?}: {told:?}");
            }
            pings.insert(told.ping_at);
        }
        let (loading, told) = (last_at - begin, self.told());
        println!("silent {loading:?} after it was ready, {} pings since: {told:?}", pings.len());
        assert!(told.idle >= SILENCE, "{told:?}");
        // Both tools' pages say something every 10 s at the latest.
        assert!(pings.len() >= 4, "the page is not seen to be open: {pings:?}");
    }

    /// A key that is pressed shows at once.
    fn is_used(&self, key: &str) {
        // What led to it has been told by then.
        thread::sleep(3 * INTERVAL);
        let before = self.told().client_data_at;
        self.page.press(key);
        let begin = Instant::now();
        let told = eventually_within(NOTICED, "the use is told", || {
            Some(self.told()).filter(|told| told.client_data_at > before)
        });
        println!("{key} was told after {:?}: {told:?}", begin.elapsed());
        assert!(told.idle <= NOTICED, "{told:?}");
    }
}

#[test]
fn who_leaves_a_notebook_open_is_away_until_a_cell_is_run() {
    let desk = Desk::at("jupyter", Tool::jupyter("/"), Io::Uring);
    // With all that JupyterLab would add, or it saves the notebook without anybody.
    let notebook = json!({
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"
            },
            "language_info": {
                "codemirror_mode": { "name": "ipython", "version": 3 },
                "file_extension": ".py",
                "mimetype": "text/x-python",
                "name": "python",
                "nbconvert_exporter": "python",
                "pygments_lexer": "ipython3",
                "version": "3.11.0",
            },
        },
        "cells": [{
            "cell_type": "code", "id": "one", "execution_count": null, "metadata": {},
            "outputs": [], "source": [],
        }],
    });
    fs::write(desk.tool.home().join("nb.ipynb"), notebook.to_string()).expect("it can be written");
    desk.open("/lab/tree/nb.ipynb");
    desk.page.wait_for(".jp-CodeCell .cm-content");
    desk.page.wait_for_attached(".jp-Notebook-ExecutionIndicator[data-status=idle]");
    desk.falls_silent();

    // Text alone stays in the browser.
    desk.page.click(".jp-CodeCell .cm-content");
    desk.page.type_text("6*7");
    desk.is_used("Shift+Enter");
    desk.page.wait_for(".jp-OutputArea-output:has-text('42')");
}

#[test]
fn who_leaves_an_editor_and_a_terminal_open_is_away_until_a_key_is_pressed() {
    let desk = Desk::at("vscode", Tool::code_server(), Io::Epoll);
    let (settings, folder) =
        (desk.tool.home().join("code-server/User"), desk.tool.home().join("project"));
    fs::create_dir_all(&settings).expect("a folder can be made");
    let quiet = json!({
        // Else it asks whether the folder is to be trusted, before all else.
        "security.workspace.trust.enabled": false,
        // Else it forwards the ports of all tests, and where they are many writes so into its
        // settings: once, and that is use.
        "remote.autoForwardPorts": false,
    });
    fs::write(settings.join("settings.json"), quiet.to_string()).expect("it can be written");
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::write(folder.join("a.txt"), "some text").expect("it can be written");
    desk.open(&format!("/?folder={}", folder.display()));
    desk.insists(".editor-instance .monaco-editor .view-line", |page| {
        page.double_click(".explorer-folders-view .monaco-list-row[aria-label*=\"a.txt\"]");
    });
    desk.insists(".xterm-helper-textarea", |page| page.press("Control+Shift+Backquote"));
    desk.page.click(TERMINAL);
    desk.falls_silent();

    desk.page.click(".editor-instance .monaco-editor .view-line");
    desk.is_used("x");
    desk.page.click(TERMINAL);
    desk.is_used("l");
}

/// A session with a WebSocket, over which nothing goes but pings.
struct Pinging {
    world: World,
    session: Session,
    socket: WebSocket<Client>,
    _tool: Upstream,
}

impl Pinging {
    fn start(options: Options) -> Self {
        let (world, tool) = (World::start(options), Upstream::websocket_echo());
        let session = world.session_with(json!({
            "tool": "other", "upstream": tool.url(), "idle_timeout_seconds": IDLE_TIMEOUT.as_secs()
        }));
        let mut socket = world.client().websocket(&session.host, "/", &[]);
        round_trip(&mut socket, "good morning");
        Self { world, session, socket, _tool: tool }
    }

    fn record(&self) -> Value {
        let answer = self.world.api("GET", &format!("/v1/sessions/{}", self.session.id), None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Pings until the session is found to be idle, and gives it as it is then.
    fn is_found_idle(&mut self) -> Value {
        let begin = Instant::now();
        loop {
            thread::sleep(Duration::from_secs(1));
            self.ping();
            let record = self.record();
            if !record["idle_since"].is_null() {
                println!("idle {:?} after the last data: {record}", begin.elapsed());
                assert!(begin.elapsed() > IDLE_TIMEOUT, "{record}");
                return record;
            }
            assert!(begin.elapsed() < MARKED, "it is not idle: {record}");
        }
    }

    fn ping(&mut self) {
        self.socket.send(Message::Ping("?".into())).expect("the WebSocket is open");
        let pong = self.socket.read().expect("the tool answers");
        assert_eq!(pong, Message::Pong("?".into()));
    }

    /// The session as the first event of this name shows it.
    fn event(&self, name: &str) -> Value {
        let mut listener = Client::connect(self.world.control);
        listener.send(api_request("GET", "/v1/events?after=0", None));
        assert_eq!(listener.head().status, 200);
        let begin = Instant::now();
        let (mut heard, mut piece) = (String::new(), [0; 4096]);
        loop {
            let told = heard.split("\n\n").find(|told| told.contains(&format!("event: {name}\n")));
            let data =
                told.and_then(|told| told.lines().find_map(|line| line.strip_prefix("data: ")));
            if let Some(Ok(data)) = data.map(serde_json::from_str::<Value>) {
                return data["session"].clone();
            }
            let count = listener.read(&mut piece).expect("the event comes");
            assert!(count > 0 && begin.elapsed() < PATIENCE, "no {name}: {heard}");
            heard.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    }
}

#[test]
fn a_session_with_an_idle_websocket_is_told_or_stopped_as_the_settings_say() {
    // Both wait for long, so at the same time.
    thread::scope(|scope| {
        scope.spawn(is_stopped);
        scope.spawn(is_told_and_goes_on_until_the_next_message);
    });
}

fn is_stopped() {
    let stopping = options(Io::Uring, "tcp_info").set("PORTICO_ACCOUNTING__ON_IDLE", "stop");
    let mut pinging = Pinging::start(stopping);
    let record = pinging.is_found_idle();
    assert_eq!(record["state"], "stopping");
    assert_eq!(record["reason"], "nobody has used it for 1 minute");
    assert_eq!(pinging.event("session.idle"), record);
}

fn is_told_and_goes_on_until_the_next_message() {
    let mut pinging = Pinging::start(options(Io::Epoll, "tcp_info"));
    let record = pinging.is_found_idle();
    assert_eq!(record["state"], "running");
    assert_eq!(pinging.event("session.idle"), record);
    let told = Told::of(&pinging.world, &pinging.session);
    assert_eq!(told.websockets, 1);
    assert!(told.idle >= IDLE_TIMEOUT && told.ping_at > told.data_at(), "{told:?}");

    round_trip(&mut pinging.socket, "back again");
    let begin = Instant::now();
    let record = eventually("it is in use again", || {
        Some(pinging.record()).filter(|record| record["idle_since"].is_null())
    });
    println!("in use again after {:?}", begin.elapsed());
    assert_eq!(record["state"], "running");
}
