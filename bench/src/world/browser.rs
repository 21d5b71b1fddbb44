//! Real people: headless Chromium, where each user has cookies of their own. Names of the tests'
//! hosts lead to local ports and all others nowhere; certificates are not checked. A wait that
//! fails tells where the page is, what it says and what its console complains of.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::script::Script;
use super::{PATIENCE, eventually_within};

const PROGRAM: &str = "/usr/bin/chromium";
/// An answer is this much later than the wait that it reports.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Ends with its last page.
#[derive(Debug)]
pub struct Browser {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    // Before its home: the process ends first.
    script: Script,
    _home: TempDir,
}

/// A page of a user, or a frame in it.
#[derive(Debug, Clone)]
pub struct Page {
    running: Arc<Running>,
    number: u64,
    frame: Option<String>,
    patience: Duration,
}

/// A WebSocket that a page opened. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Socket {
    pub url: String,
    pub opened_at: Option<u64>,
    pub closed: Option<Closed>,
}

#[derive(Debug, Clone, Copy)]
pub struct Closed {
    pub at: u64,
    pub code: u64,
    pub clean: bool,
}

impl Browser {
    /// Each rule leads a name and port of URLs, such as `*.connect.example.com:443`, to an address;
    /// the first that fits counts.
    pub fn start(rules: &[(&str, SocketAddr)]) -> Self {
        assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: run `make tools`");
        let home = TempDir::new().expect("a temporary directory");
        let lead = rules.iter().map(|(name, address)| format!("MAP {name} {address}"));
        let ends = ["EXCLUDE 127.0.0.1".to_owned(), "MAP * ~NOTFOUND".to_owned()];
        let rules: Vec<_> = lead.chain(ends).collect();
        let directory = home.path().display().to_string();
        let mut settings = vec![
            ("BROWSER_PROGRAM".to_owned(), PROGRAM.to_owned()),
            ("BROWSER_RULES".to_owned(), rules.join(", ")),
        ];
        for name in ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
            settings.push((name.to_owned(), directory.clone()));
        }
        let script = Script::start("browser", &settings, home.path());
        Self { running: Arc::new(Running { script, _home: home }) }
    }

    /// A new user, who shares nothing with the others, with an empty page.
    #[track_caller]
    pub fn user(&self, name: &str) -> Page {
        let number = self.running.script.call("user", json!({ "user": name }), PATIENCE);
        let number = number.unwrap_or_else(|e| panic!("no page for {name}: {e}"));
        self.running.page(&number)
    }
}

impl Running {
    fn page(self: &Arc<Self>, number: &Value) -> Page {
        let number = number.as_u64().expect("pages are numbered");
        Page { running: self.clone(), number, frame: None, patience: PATIENCE }
    }
}

impl Page {
    /// The same page, where every wait may take this long.
    #[must_use]
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The frame in this page that has `part` in its URL, once it is there.
    #[must_use]
    pub fn frame(&self, part: &str) -> Self {
        Self { frame: Some(part.to_owned()), ..self.clone() }
    }

    /// Another page of the same user.
    #[track_caller]
    pub fn another(&self) -> Self {
        self.running.page(&self.call("another", json!({})))
    }

    /// All pages of this user, also those that pages opened.
    #[track_caller]
    pub fn pages(&self) -> Vec<Self> {
        list(self.call("pages", json!({}))).iter().map(|n| self.running.page(n)).collect()
    }

    /// Goes there, as far as it leads, and gives the status at the end.
    #[track_caller]
    pub fn open(&self, url: &str) -> u64 {
        told(self.try_open(url))
    }

    pub fn try_open(&self, url: &str) -> Result<u64, String> {
        self.try_call("open", json!({ "url": url })).map(|status| status.as_u64().unwrap_or(0))
    }

    #[track_caller]
    pub fn reload(&self) -> u64 {
        self.call("reload", json!({})).as_u64().unwrap_or(0)
    }

    /// Selectors are CSS, or playwright's own (`text=Run`).
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.call("click", json!({ "selector": selector }));
    }

    #[track_caller]
    pub fn double_click(&self, selector: &str) {
        self.call("double_click", json!({ "selector": selector }));
    }

    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        self.call("fill", json!({ "selector": selector, "text": text }));
    }

    /// A key where the focus is, such as `Shift+Enter`.
    #[track_caller]
    pub fn press(&self, key: &str) {
        self.call("press", json!({ "key": key }));
    }

    /// Text where the focus is, key by key.
    #[track_caller]
    pub fn type_text(&self, text: &str) {
        self.call("type", json!({ "text": text }));
    }

    /// Signs in at the platform's page (`world::oidc`), where this page must be or arrive.
    #[track_caller]
    pub fn sign_in(&self, name: &str) {
        self.fill("input[name=login]", name);
        self.click("#sign-in");
    }

    /// Until an element is to be seen.
    #[track_caller]
    pub fn wait_for(&self, selector: &str) {
        self.call("wait_for", json!({ "selector": selector }));
    }

    /// Until an element is in the document, to be seen or not.
    #[track_caller]
    pub fn wait_for_attached(&self, selector: &str) {
        told(self.try_wait_for_attached(selector));
    }

    pub fn try_wait_for_attached(&self, selector: &str) -> Result<(), String> {
        self.try_call("wait_for_attached", json!({ "selector": selector })).map(drop)
    }

    /// Until the page's URL has this in it.
    #[track_caller]
    pub fn wait_for_url(&self, part: &str) {
        self.call("wait_for_url", json!({ "part": part }));
    }

    #[track_caller]
    pub fn wait_for_text(&self, text: &str) {
        self.call("wait_for_text", json!({ "text": text }));
    }

    /// What a reader sees.
    #[track_caller]
    pub fn text(&self) -> String {
        word(&self.call("text", json!({})))
    }

    /// The document as HTML.
    #[track_caller]
    pub fn content(&self) -> String {
        word(&self.call("content", json!({})))
    }

    /// The value of a JavaScript expression; a promise is awaited.
    #[track_caller]
    pub fn eval(&self, script: &str) -> Value {
        told(self.try_eval(script))
    }

    pub fn try_eval(&self, script: &str) -> Result<Value, String> {
        self.try_call("eval", json!({ "script": script }))
    }

    #[track_caller]
    pub fn url(&self) -> String {
        word(&self.call("url", json!({})))
    }

    /// The WebSockets that this document opened, in their order.
    #[track_caller]
    pub fn sockets(&self) -> Vec<Socket> {
        list(self.call("sockets", json!({}))).iter().map(Socket::of).collect()
    }

    /// The last WebSocket with `part` in its URL, once it is closed.
    #[track_caller]
    pub fn closed_socket(&self, part: &str) -> (Socket, Closed) {
        eventually_within(self.patience, &format!("a WebSocket to {part} is closed"), || {
            let socket = self.sockets().into_iter().rfind(|socket| socket.url.contains(part))?;
            Some((socket.clone(), socket.closed?))
        })
    }

    /// What scripts threw and what the console shows as errors.
    #[track_caller]
    pub fn errors(&self) -> Vec<String> {
        list(self.call("errors", json!({}))).iter().map(word).collect()
    }

    /// From now on, how much goes over this page's connections is noted.
    #[track_caller]
    pub fn watch_traffic(&self) {
        self.call("watch_traffic", json!({}));
    }

    /// What was noted: `requests`, each with its `url` and the bytes of its `head` and of its
    /// answer's `body`, and `messages`, each with its `url`, `from` (browser or tool) and `bytes`.
    #[track_caller]
    pub fn traffic(&self) -> Value {
        self.call("traffic", json!({}))
    }

    /// A picture of the page as a PNG.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        self.call("screenshot", json!({ "path": path.display().to_string() }));
    }

    /// All cookies of this user: `{"name", "value", "domain", "path", "httpOnly", …}`.
    #[track_caller]
    pub fn cookies(&self) -> Vec<Value> {
        list(self.call("cookies", json!({})))
    }

    /// `{"name", "value", "domain", "path", …}` or `{"name", "value", "url"}`.
    #[track_caller]
    pub fn add_cookie(&self, cookie: &Value) {
        self.call("add_cookie", json!({ "cookie": cookie }));
    }

    #[track_caller]
    pub fn clear_cookies(&self) {
        self.call("clear_cookies", json!({}));
    }

    #[track_caller]
    pub fn close(self) {
        self.call("close", json!({}));
    }

    #[track_caller]
    fn call(&self, command: &str, given: Value) -> Value {
        told(self.try_call(command, given))
    }

    fn try_call(&self, command: &str, given: Value) -> Result<Value, String> {
        let mut all = json!({ "page": self.number, "timeout": self.patience.as_millis() as u64 });
        if let (Value::Object(all), Value::Object(given)) = (&mut all, given) {
            all.extend(self.frame.iter().map(|part| ("frame".to_owned(), json!(part))));
            all.extend(given);
        }
        self.running.script.call(command, all, self.patience + ANSWER_PATIENCE)
    }
}

impl Socket {
    fn of(record: &Value) -> Self {
        let number = |name: &str| record[name].as_u64();
        let closed = number("closed_at").map(|at| Closed {
            at,
            code: number("code").unwrap_or(0),
            clean: record["clean"] == true,
        });
        Self { url: word(&record["url"]), opened_at: number("opened_at"), closed }
    }
}

#[track_caller]
fn told<T>(answer: Result<T, String>) -> T {
    answer.unwrap_or_else(|e| panic!("the browser: {e}"))
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("not a list: {other}"),
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
