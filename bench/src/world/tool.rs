//! Real tools as upstreams: where `bench/tools/install.sh` put them, how they are started on a free
//! port, and when they are ready. Nothing is skipped when one is missing: the test fails.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::client::Client;
use super::process::Process;
use super::{TOOL_PATIENCE, eventually_within};
use crate::port::free_address;

/// A tool that runs, in a home of its own.
#[derive(Debug)]
pub struct Tool {
    pub address: SocketAddr,
    pub process: Process,
    home: TempDir,
}

impl Tool {
    /// JupyterLab without a login of its own, serving below `base_url` (`/` or a prefix).
    pub fn jupyter(base_url: &str) -> Self {
        let program = installed("jupyter/bin/jupyter-lab");
        Self::start("jupyter", &program, &format!("{base_url}api/status"), |address, home| {
            let mut arguments = vec!["--no-browser".to_owned(), "--allow-root".to_owned()];
            arguments.push(format!("--ServerApp.root_dir={}", home.display()));
            arguments.push(format!("--ServerApp.ip={}", address.ip()));
            arguments.push(format!("--ServerApp.port={}", address.port()));
            arguments.push(format!("--ServerApp.base_url={base_url}"));
            arguments.push("--ServerApp.port_retries=0".to_owned());
            arguments.push("--IdentityProvider.token=".to_owned());
            // Behind Portico the Host is the session's: Jupyter's own check knows only localhost.
            arguments.push("--ServerApp.allow_remote_access=true".to_owned());
            // Requests without a browser's cookie, as the tests make them.
            arguments.push("--ServerApp.disable_check_xsrf=true".to_owned());
            arguments
        })
    }

    /// code-server without a login of its own.
    pub fn code_server() -> Self {
        let entry = installed("code-server/node_modules/code-server/out/node/entry.js");
        let program = installed("node/prefix/bin/node");
        Self::start("code-server", &program, "/healthz", |address, home| {
            let words = [
                &entry.display().to_string(),
                "--auth=none",
                &format!("--bind-addr={address}"),
                "--disable-telemetry",
                "--disable-update-check",
                &home.display().to_string(),
            ];
            words.map(str::to_owned).to_vec()
        })
    }

    fn start(
        name: &str,
        program: &Path,
        ready: &str,
        arguments: impl FnOnce(SocketAddr, &Path) -> Vec<String>,
    ) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let address = free_address();
        let directory = home.path().display().to_string();
        let settings: Vec<_> = ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "JUPYTER_RUNTIME_DIR"]
            .map(|variable| (variable.to_owned(), directory.clone()))
            .to_vec();
        let arguments = arguments(address, home.path());
        let process = Process::start(name, program, &arguments, &settings, home.path());
        let mut tool = Self { address, process: process.asked_to_end(), home };
        eventually_within(TOOL_PATIENCE, &format!("{name} answers"), || {
            if let Some(status) = tool.process.exited() {
                panic!("{name} ended with {status} instead of starting");
            }
            std::net::TcpStream::connect(address).ok()?;
            (Client::connect(address).get("localhost", ready).status == 200).then_some(())
        });
        tool
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }
}

/// A file below target/tools.
pub fn installed(path: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let path = tools.join(path);
    assert!(path.exists(), "{} is missing: run `make tools`", path.display());
    path
}
