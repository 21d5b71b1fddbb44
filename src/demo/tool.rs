//! A real tool for the demo: JupyterLab as it is installed here, in a home of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::client::Created;
use crate::failure::{Failure, Outcome};

/// Time for it to end its kernels, which a killed server would leave behind.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// A first start compiles its Python files.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Of its log, enough for a Python traceback.
const LAST_LINES: usize = 20;
const POLL: Duration = Duration::from_millis(200);

pub struct Jupyter {
    address: SocketAddr,
    log: PathBuf,
    process: Box<Child>,
}

impl Jupyter {
    /// Must be called on a runtime. What the demo has in its directory is removed with it.
    pub fn start(label: &str, directory: &Path) -> Outcome<Self> {
        let address = free_address().map_err(Failure::machine)?;
        let home = directory.join("home");
        let log = directory.join("jupyter.log");
        let process = process(label, address, &home, &log).map_err(|error| {
            Failure::machine(error)
                .while_doing("JupyterLab does not start (pip install jupyterlab)")
        })?;
        Ok(Self { address, log, process: Box::new(process) })
    }

    pub fn upstream(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns when it accepts connections, or when it has ended instead.
    pub async fn ready(&mut self) -> Outcome {
        let answers = async {
            loop {
                // If it has ended, it is somebody else who accepts.
                let accepts = TcpStream::connect(self.address).await.is_ok();
                if let Some(status) = self.process.try_wait().map_err(Failure::machine)? {
                    return Ok(Some(status));
                }
                if accepts {
                    return Ok(None);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let what = match tokio::time::timeout(START_TIMEOUT, answers).await {
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(status))) => format!("JupyterLab has ended ({status})"),
            Ok(Err(failure)) => return Err(failure),
            Err(_) => format!("JupyterLab does not answer within {} s", START_TIMEOUT.as_secs()),
        };
        Err(Failure::machine(anyhow!("{what}; its last lines:\n{}", self.last_lines())))
    }

    fn last_lines(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    pub async fn stop(mut self) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        let asked = id.map(|id| kill(Pid::from_raw(id), Signal::SIGTERM));
        if matches!(asked, Some(Ok(()))) {
            // When it is late it is killed below, by the drop.
            let _ = tokio::time::timeout(STOP_TIMEOUT, self.process.wait()).await;
        }
    }
}

/// JupyterLab has one base URL, that of path routing, and has it by subdomain too.
pub fn links(created: &Created, label: &str) -> Created {
    Created {
        subdomain: format!("{}_studio/{label}/lab", created.subdomain),
        path: format!("{}lab", created.path),
    }
}

fn process(label: &str, address: SocketAddr, home: &Path, log: &Path) -> anyhow::Result<Child> {
    std::fs::create_dir_all(home)?;
    let log = File::create(log)?;
    Command::new("jupyter")
        .args(["lab", "--no-browser", "--allow-root", "--ServerApp.token="])
        .arg(format!("--ServerApp.ip={}", address.ip()))
        .arg(format!("--ServerApp.port={}", address.port()))
        .arg("--ServerApp.port_retries=0")
        .arg(format!("--ServerApp.base_url=/_studio/{label}/"))
        .arg("--ServerApp.allow_remote_access=True")
        .current_dir(home)
        .env("HOME", home)
        // A terminal's Ctrl-C is for us: JupyterLab would ask whether it is meant.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("cannot run `jupyter`")
}

/// Free at the moment; Jupyter tells us in its log when somebody was faster.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
