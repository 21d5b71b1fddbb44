//! A black-box world for tests: the real `portico serve` on ports of its own, the upstreams behind
//! it, and the clients before it, in a few lines. It knows the command line, the settings and the
//! API, as an operator does, and nothing of the code. It panics where something is not as it should
//! be, because its only users are tests.

pub mod process;
pub mod wire;
pub mod client;
pub mod websocket;
pub mod upstream;
pub mod api;
pub mod redis;
pub mod fleet;
pub mod certificates;
pub mod tool;
pub mod jupyter;
pub mod code_server;
pub mod script;
pub mod oidc;
pub mod browser;
pub mod dns;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::certificates::CertificatePaths;
use self::client::Client;
use self::process::{Process, Signal};

/// The connect host of every world; sessions are its children.
pub const CONNECT_HOST: &str = "connect.example.com";
/// Of every world, for everything.
pub const TOKEN: &str = "black-box-token-0123456789abcdef";
/// How long a test waits for what should be there at once; generous because CI machines are slow.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The same for the start of a tool: four at once on two busy cores need half a minute.
pub const TOOL_PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    Uring,
    Epoll,
}

/// How to start Portico. `set` adds or replaces a setting by its environment name.
#[derive(Debug, Clone)]
pub struct Options {
    binary: PathBuf,
    launcher: Vec<String>,
    settings: Vec<(String, String)>,
    certificates: Vec<CertificatePaths>,
}

/// A running Portico with its store in a directory of its own; killed and removed when dropped.
#[derive(Debug)]
pub struct World {
    pub http: SocketAddr,
    /// The listener with TLS, when the options brought certificates.
    pub https: Option<SocketAddr>,
    pub control: SocketAddr,
    pub management: SocketAddr,
    // Before the directory: the process ends first.
    pub process: Process,
    directory: Arc<TempDir>,
}

impl Io {
    pub fn as_str(self) -> &'static str {
        match self {
            Io::Uring => "uring",
            Io::Epoll => "epoll",
        }
    }
}

impl Options {
    /// `binary` is `env!("CARGO_BIN_EXE_portico")` of the test.
    pub fn new(binary: impl Into<PathBuf>, io: Io) -> Self {
        let options = Self {
            binary: binary.into(),
            launcher: vec![],
            settings: vec![],
            certificates: vec![],
        };
        options
            .set("PORTICO_CONNECT_URL", format!("http://{CONNECT_HOST}"))
            // Most tests are about what comes behind the gate.
            .set("PORTICO_ACCESS__MODE", "open")
            .set("PORTICO_PROXY__HTTP", "127.0.0.1:0")
            .set("PORTICO_PROXY__HTTPS", "off")
            .set("PORTICO_PROXY__IO", io.as_str())
            .set("PORTICO_PROXY__WORKERS", "2")
            .set("PORTICO_CONTROL__LISTEN", "127.0.0.1:0")
            .set("PORTICO_CONTROL__TOKEN", TOKEN)
            .set("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:0")
    }

    /// The launcher and the binary, to be followed by the binary's arguments.
    fn command(&self) -> Vec<String> {
        let binary = self.binary.display().to_string();
        self.launcher.iter().cloned().chain([binary]).collect()
    }

    fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// Started by this command, which takes a program and its arguments behind its own.
    #[must_use]
    pub fn launched_by(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// These host names are this machine for it: it finds the test's platform by name.
    #[must_use]
    pub fn resolving(self, names: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/with-names.sh");
        self.launched_by(&[&script.display().to_string(), &names.join(" ")])
    }

    /// A listener with TLS, and URLs that start with https.
    #[must_use]
    pub fn tls(mut self, certificates: &[CertificatePaths]) -> Self {
        self.certificates = certificates.to_vec();
        let pair = |c: &CertificatePaths| format!("{}:{}", c.cert.display(), c.key.display());
        let pairs: Vec<_> = certificates.iter().map(pair).collect();
        self.set("PORTICO_TLS__CERTIFICATES", pairs.join(","))
            .set("PORTICO_CONNECT_URL", format!("https://{CONNECT_HOST}"))
            .set("PORTICO_PROXY__HTTPS", "127.0.0.1:0")
    }
}

impl World {
    pub fn start(options: Options) -> Self {
        allow_many_files();
        let directory = Arc::new(TempDir::new().expect("a temporary directory"));
        Self::start_in(options, directory)
    }

    /// Ends this Portico by SIGKILL and starts another on the same store.
    pub fn killed_and_restarted(self, options: Options) -> Self {
        let World { mut process, directory, .. } = self;
        process.kill();
        drop(process);
        Self::start_in(options, directory)
    }

    fn start_in(options: Options, directory: Arc<TempDir>) -> Self {
        let store = format!("embedded:{}", directory.path().join("store").display());
        let mut options = options;
        if !options.settings.iter().any(|(name, _)| name == "PORTICO_STORE__URL") {
            options.settings.push(("PORTICO_STORE__URL".to_owned(), store));
        }
        let (process, addresses) = fleet::start("serve", &options, directory.path());
        let address = |value: &serde_json::Value| -> Option<SocketAddr> {
            Some(value.as_str()?.parse().expect("an address in the addresses file"))
        };
        World {
            http: address(&addresses["http"][0]).expect("a plain listener"),
            https: address(&addresses["https"][0]),
            control: address(&addresses["control"]).expect("the API's listener"),
            management: address(&addresses["management"]).expect("the management listener"),
            process,
            directory,
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A new client connection to the plain listener.
    pub fn client(&self) -> Client {
        Client::connect(self.http)
    }

    /// The sum of a metric over all its label sets that contain `labels` (`reason="refused"`).
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.metrics();
        let line_value = |line: &str| -> Option<f64> {
            let rest = line.strip_prefix(name)?;
            let (set, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            set.contains(labels).then(|| value.trim().parse().ok())?
        };
        text.lines().filter_map(line_value).sum()
    }

    /// Waits until a metric has this value: a worker counts what it did after it did it.
    #[track_caller]
    pub fn expect_metric(&self, name: &str, labels: &str, value: f64) {
        let what = format!("{name}{{{labels}}} is {value}");
        eventually(&what, || (self.metric(name, labels) == value).then_some(()));
    }

    pub fn metrics(&self) -> String {
        let response = Client::connect(self.management).get("management", "/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        response.text()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }
}

/// Polls until `look` sees something; fails by name after `PATIENCE`.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look)
}

#[track_caller]
pub fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Thousands of connections need more than the usual 1,024 files; children inherit the limit.
fn allow_many_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process has this limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised so far");
}
