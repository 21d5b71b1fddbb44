//! One proxy of a run: the place that it is started in, and what is known of it once it answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::kind::Kind;
use crate::load::{Target, head, kernel};
use crate::process::Running;
use crate::world::certificates::CertificatePaths;

/// How long a program may take to serve after it was started.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// The Host that the opponents route on; Portico's has its port too, as its API says.
pub const OPPONENT_HOST: &str = "bench.connect.localhost";

/// One running proxy that answers.
pub struct Subject {
    pub kind: Kind,
    pub running: Running,
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// The process with the TLS listener, where that is another.
    pub running_https: Option<Running>,
    pub host: String,
    /// What lets the load in; the others' load carries it too.
    pub cookie: Option<String>,
    pub version: String,
}

/// What a proxy needs to know to be started.
pub struct Site {
    /// Empty, and its own.
    pub directory: PathBuf,
    pub upstream: SocketAddr,
    pub core: usize,
    /// The same for all: ECDSA on P-256.
    pub certificate: CertificatePaths,
}

impl Site {
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The certificate and its key in one file, as HAProxy wants them.
    pub fn pem(&self) -> anyhow::Result<PathBuf> {
        let read = |path: &Path| std::fs::read_to_string(path);
        let both = read(&self.certificate.cert)? + &read(&self.certificate.key)?;
        self.write("all.pem", &both)
    }

    /// Starts a proxy on its core, its messages in a file of the directory.
    pub fn spawn(&self, mut command: Command) -> anyhow::Result<Running> {
        let log = std::fs::File::options().create(true).append(true).open(self.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        kernel::confine(&mut command, self.core);
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Running::new(child))
    }

    /// Starts a proxy of others, with both listeners in one process, and waits until it answers.
    pub fn opponent(
        &self,
        kind: Kind,
        command: Command,
        (http, https): (SocketAddr, SocketAddr),
        version: String,
    ) -> anyhow::Result<Subject> {
        let mut running = self.spawn(command)?;
        self.ready(&mut running, http, OPPONENT_HOST, "")?;
        Ok(Subject {
            kind,
            running,
            http,
            https,
            running_https: None,
            host: OPPONENT_HOST.into(),
            cookie: None,
            version,
        })
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Waits until a GET through the proxy gets the upstream's 200.
    pub fn ready(
        &self,
        running: &mut Running,
        address: SocketAddr,
        host: &str,
        cookie: &str,
    ) -> anyhow::Result<()> {
        let target = Target { address, host: host.into(), cookie: cookie.into(), tls: None };
        let request = head::request(&target, "/");
        self.until(running, "a GET through it does not get 200", || {
            exchange(address, &request).is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
        })
    }

    /// Polls `works`; failure shows the end of what the proxy said.
    pub fn until(
        &self,
        running: &mut Running,
        trouble: &str,
        mut works: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        while !works() {
            let ended = running.ended();
            if ended.is_some() || Instant::now() > deadline {
                let reason = match ended {
                    Some(status) => format!("it ended: {status}"),
                    None => trouble.to_owned(),
                };
                bail!("{reason}; it said:\n{}", tail(&self.log()));
            }
            ensure!(kernel::pause(Duration::from_millis(20)), "interrupted");
        }
        Ok(())
    }
}

impl Subject {
    /// A proxy that ended by itself would be measured as a fast one.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for running in [Some(&mut self.running), self.running_https.as_mut()].into_iter().flatten()
        {
            if let Some(status) = running.ended() {
                bail!("{} ended by itself: {status}", self.kind.name());
            }
        }
        Ok(())
    }

    pub fn is_alive(&mut self) -> bool {
        self.check().is_ok()
    }
}

/// One request on a connection of its own; what comes until a head and its body are complete or
/// the other side closes.
pub fn exchange(address: SocketAddr, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(request)?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(head) = head::parse(&answer).map_err(anyhow::Error::msg)?
            && let Some(length) = head.content_length
            && answer.len() as u64 >= head.head_bytes as u64 + length
        {
            return Ok(answer);
        }
        match socket.read(&mut piece)? {
            0 => return Ok(answer),
            count => answer.extend_from_slice(&piece[..count]),
        }
    }
}

/// First line that says something of what `program flag` says about its version.
pub fn version(program: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return "unknown".into() };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("unknown").to_owned()
}

fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let start = text.len().saturating_sub(4096);
    String::from_utf8_lossy(&text[start..]).into_owned()
}
