//! The platform: a real OpenID provider on a port of its own, where whoever says a name is signed
//! in. `bench/tools/oidc-provider.mjs` says what it can do.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::PATIENCE;
use super::certificates::Authority;
use super::script::Script;

/// Of the platform when it has TLS; beside the connect host on one domain.
pub const PLATFORM_HOST: &str = "platform.example.com";
/// The initial access token of its client registration.
pub const REGISTRATION_TOKEN: &str = "platform-registration-0123456789";

/// How to start it.
#[derive(Default)]
pub struct Platform<'a> {
    /// Where the provider is below the platform's root: nothing, or `/api`.
    pub mount: &'a str,
    /// The workspaces of users, `{"ada":["genomics"]}`; whoever is not in it has none.
    pub workspaces: Value,
    /// Signs its certificate for `PLATFORM_HOST`; without one it is plain, on 127.0.0.1.
    pub tls: Option<&'a Authority>,
}

#[derive(Debug)]
pub struct OidcProvider {
    pub address: SocketAddr,
    // Before the directory: the process ends first.
    pub script: Script,
    directory: TempDir,
}

impl OidcProvider {
    pub fn start(platform: &Platform<'_>) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let workspaces = match &platform.workspaces {
            Value::Null => json!({}),
            given => given.clone(),
        };
        let mut settings = vec![
            ("PLATFORM_MOUNT", platform.mount.to_owned()),
            ("PLATFORM_USERS", workspaces.to_string()),
            ("PLATFORM_REGISTRATION_TOKEN", REGISTRATION_TOKEN.to_owned()),
        ];
        if let Some(authority) = platform.tls {
            let files = authority.certificate(directory.path(), "platform", &[PLATFORM_HOST]);
            let ca = directory.path().join("ca.pem");
            std::fs::write(&ca, authority.pem()).expect("the file can be written");
            settings.push(("PLATFORM_HOST", PLATFORM_HOST.to_owned()));
            settings.push(("PLATFORM_CERT", files.cert.display().to_string()));
            settings.push(("PLATFORM_KEY", files.key.display().to_string()));
            settings.push(("PLATFORM_CA", ca.display().to_string()));
        }
        let settings: Vec<_> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let script = Script::start("oidc-provider", &settings, directory.path());
        let port = script.ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let address = (Ipv4Addr::LOCALHOST, port.expect("it says its port")).into();
        Self { address, script, directory }
    }

    /// The platform's URL, without a path.
    pub fn origin(&self) -> String {
        self.script.ready["origin"].as_str().unwrap_or_default().to_owned()
    }

    /// The origin and where the provider is below it.
    pub fn issuer(&self) -> String {
        self.script.ready["issuer"].as_str().unwrap_or_default().to_owned()
    }

    /// `HOST:PORT` of its URLs.
    pub fn authority(&self) -> String {
        self.origin().split_once("://").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    }

    /// The certificate of who signed its own, where it has TLS.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// The metadata of every client, as they were registered.
    #[track_caller]
    pub fn registered_clients(&self) -> Vec<Value> {
        list(self.call("clients", json!({})))
    }

    /// The sessions of users who are signed in at the platform.
    #[track_caller]
    pub fn sessions(&self) -> Vec<Value> {
        list(self.call("sessions", json!({})))
    }

    /// Ends a user's sessions and revokes their tokens. Gives what came of each back-channel
    /// logout: `{"client_id", "error"}`, where null is success.
    #[track_caller]
    pub fn log_out(&self, user: &str) -> Vec<Value> {
        list(self.call("log_out", json!({ "user": user })))
    }

    /// Where the provider finds a host (`connect.example.com:443`) that it calls.
    #[track_caller]
    pub fn reach(&self, host: &str, address: SocketAddr) {
        self.call("reach", json!({ "host": host, "address": address.to_string() }));
    }

    /// From now on; tokens tell it when they are next issued.
    #[track_caller]
    pub fn set_workspaces(&self, user: &str, names: &[&str]) {
        self.call("workspaces", json!({ "user": user, "names": names }));
    }

    /// It refuses connections and closes those that it has. It forgets nothing.
    #[track_caller]
    pub fn down(&self) {
        self.call("down", json!({}));
    }

    /// Again on its address.
    #[track_caller]
    pub fn up(&self) {
        self.call("up", json!({}));
    }

    #[track_caller]
    fn call(&self, command: &str, given: Value) -> Value {
        match self.script.call(command, given, PATIENCE) {
            Ok(value) => value,
            Err(e) => panic!("the platform: {e}"),
        }
    }
}

#[track_caller]
fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        other => panic!("not a list: {other}"),
    }
}
