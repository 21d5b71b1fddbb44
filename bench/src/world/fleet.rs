//! An install on several machines, on one: proxies and controls that share a Redis, each a process
//! of its own with a directory of its own that it keeps over a restart.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::api::api_request;
use super::client::{Client, Response};
use super::process::Process;
use super::redis::Redis;
use super::{Options, eventually};

/// One process of an install.
#[derive(Debug)]
pub struct Member {
    pub http: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
    pub control: Option<SocketAddr>,
    pub management: SocketAddr,
    // Before the directory: the process ends first.
    pub process: Process,
    role: String,
    options: Options,
    directory: TempDir,
}

impl Member {
    /// `role` is `proxy` or `control`.
    pub fn start(role: &str, options: Options, redis: &Redis) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let cache = directory.path().join("routes.cache").display().to_string();
        let options =
            options.set("PORTICO_STORE__URL", redis.url()).set("PORTICO_STORE__CACHE", cache);
        Self::start_in(role, options, directory)
    }

    /// By SIGKILL, and again with what it kept.
    pub fn killed_and_restarted(self) -> Self {
        let Member { mut process, role, options, directory, .. } = self;
        process.kill();
        drop(process);
        Self::start_in(&role, options, directory)
    }

    fn start_in(role: &str, options: Options, directory: TempDir) -> Self {
        let (process, addresses) = start(role, &options, directory.path());
        let address = |value: &Value| -> Option<SocketAddr> {
            Some(value.as_str()?.parse().expect("an address in the addresses file"))
        };
        Self {
            http: address(&addresses["http"][0]),
            https: address(&addresses["https"][0]),
            control: address(&addresses["control"]),
            management: address(&addresses["management"]).expect("the management listener"),
            process,
            role: role.to_owned(),
            options,
            directory,
        }
    }

    /// A new client connection to a proxy.
    pub fn client(&self) -> Client {
        Client::connect(self.http.expect("a proxy has a plain listener"))
    }

    #[track_caller]
    pub fn api(&self, method: &str, target: &str, body: Option<&Value>) -> Response {
        let control = self.control.expect("a control has an API");
        Client::connect(control).exchange(api_request(method, target, body))
    }

    pub fn readiness(&self) -> Response {
        Client::connect(self.management).get("management", "/readyz")
    }
}

/// Starts the binary in a directory, and waits until it says where it listens.
pub fn start(role: &str, options: &Options, directory: &Path) -> (Process, Value) {
    let addresses_file = directory.join("addresses.json");
    // Of an earlier run in the same directory.
    let _ = std::fs::remove_file(&addresses_file);
    let mut command = options.command();
    let file = addresses_file.display().to_string();
    command.extend([role.to_owned(), "--addresses-file".to_owned(), file]);
    let (program, arguments) = (Path::new(&command[0]), &command[1..]);
    let mut process = Process::start("portico", program, arguments, options.settings(), directory);
    let addresses = eventually("portico writes its addresses", || {
        if let Some(status) = process.exited() {
            panic!("portico ended with {status} instead of starting");
        }
        let text = std::fs::read_to_string(&addresses_file).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    });
    (process, addresses)
}
