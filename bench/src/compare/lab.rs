//! The arrangement on one machine: the upstream and the load on one core, each proxy on another,
//! everything on loopback and in a directory of its own, and nothing left at the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use super::kind::{Kind, Programs};
use super::{chp, envoy, h2o, haproxy, nginx, pingora, portico, sozu, traefik};
use crate::load::tls::{self, Handshake};
use crate::load::{Target, head, kernel};
use crate::process::Running;
use crate::world::certificates::{Authority, CertificatePaths};

/// How long a program may take to serve after it was started.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// The Host that the opponents route on; Portico's has its port too, as its API says.
pub const OPPONENT_HOST: &str = "bench.connect.localhost";
/// Of a grant's token, about.
const GRANT_BYTES: usize = 160;

#[derive(Clone, Debug)]
pub struct LabOptions {
    pub kinds: Vec<Kind>,
    pub programs: Programs,
    pub proxy_core: usize,
    pub load_core: usize,
}

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

pub struct Lab {
    // In this order the proxies are ended first and the directory is removed last.
    pub subjects: Vec<Subject>,
    backend: Running,
    upstream: SocketAddr,
    _directory: TempDir,
}

/// Where a load goes and whose CPU and memory it costs.
pub struct Aim {
    pub kind: Kind,
    pub target: Target,
    pub pid: u32,
}

/// How a proxy is started; its name is that of its directory.
pub struct Start<'a> {
    pub name: String,
    pub run: Run<'a>,
}

type Run<'a> = Box<dyn Fn(&Site) -> anyhow::Result<Subject> + 'a>;

/// How `kind` is started.
pub fn start_of<'a>(kind: Kind, options: &'a LabOptions) -> Start<'a> {
    let program = options.programs.of(kind);
    let run: Run<'a> = match kind {
        Kind::PorticoUring | Kind::PorticoEpoll => {
            Box::new(move |site| portico::start(&program, kind, &[], site))
        }
        Kind::Haproxy | Kind::Haproxy28 => {
            Box::new(move |site| haproxy::start(&program, kind, site))
        }
        Kind::Nginx => Box::new(move |site| nginx::start(&program, site)),
        Kind::Envoy => Box::new(move |site| envoy::start(&program, site)),
        Kind::Chp => {
            let node = options.programs.node();
            Box::new(move |site| chp::start(&node, &program, site))
        }
        Kind::H2o => Box::new(move |site| h2o::start(&program, site)),
        Kind::Traefik => Box::new(move |site| traefik::start(&program, site)),
        Kind::Sozu => Box::new(move |site| sozu::start(&program, site)),
        Kind::Pingora => Box::new(move |site| pingora::start(&program, site)),
        Kind::Direct => Box::new(|_| bail!("the backend is there already")),
    };
    Start { name: kind.name().to_owned(), run }
}

impl Lab {
    /// Starts every kind once.
    pub fn open(options: &LabOptions, kinds: &[Kind]) -> anyhow::Result<Lab> {
        ensure!(!kinds.is_empty(), "no proxy to look at");
        let starts: Vec<Start<'_>> = kinds.iter().map(|kind| start_of(*kind, options)).collect();
        Self::with(options, &starts)
    }

    /// Starts everything and pins the calling thread to the load's core.
    pub fn with(options: &LabOptions, starts: &[Start<'_>]) -> anyhow::Result<Lab> {
        kernel::raise_file_limit().context("number of open files")?;
        kernel::pin_to_core(options.load_core).context("cannot run on the core of the load")?;
        let directory = tempfile::Builder::new().prefix("portico-bench-").tempdir()?;
        let (backend, upstream) = start_backend(options.load_core)?;
        let names = ["connect.localhost", "*.connect.localhost"];
        let certificate = Authority::generate().certificate(directory.path(), "all", &names);
        let mut lab = Lab { subjects: Vec::new(), backend, upstream, _directory: directory };
        for Start { name, run } in starts {
            let site = Site {
                directory: lab._directory.path().join(name),
                upstream,
                core: options.proxy_core,
                certificate: certificate.clone(),
            };
            std::fs::create_dir(&site.directory)?;
            lab.subjects.push(run(&site).with_context(|| format!("cannot start {name}"))?);
        }
        Ok(lab)
    }

    /// A proxy that ended by itself would be measured as a fast one.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for subject in &mut self.subjects {
            subject.check()?;
        }
        ensure!(self.backend.ended().is_none(), "the backend ended by itself");
        Ok(())
    }

    /// At one of the subjects, with or without TLS.
    pub fn aim(&self, subject: &Subject, handshake: Option<Handshake>) -> Aim {
        let https = handshake.and(subject.running_https.as_ref());
        Aim {
            kind: subject.kind,
            target: Target {
                address: if handshake.is_some() { subject.https } else { subject.http },
                host: subject.host.clone(),
                cookie: subject.cookie.clone().unwrap_or_else(|| self.cookie()),
                tls: handshake.map(tls::client),
            },
            pid: https.unwrap_or(&subject.running).pid(),
        }
    }

    /// At the backend itself.
    pub fn direct(&self) -> Aim {
        let target = Target {
            address: self.upstream,
            host: OPPONENT_HOST.into(),
            cookie: self.cookie(),
            tls: None,
        };
        Aim { kind: Kind::Direct, target, pid: self.backend.pid() }
    }

    /// A grant that one of ours made, so that all read the same bytes; as many where none runs.
    fn cookie(&self) -> String {
        let ours = self.subjects.iter().find_map(|subject| subject.cookie.clone());
        ours.unwrap_or_else(|| format!("{}={}", portico::GRANT, "x".repeat(GRANT_BYTES)))
    }
}

impl Subject {
    fn check(&mut self) -> anyhow::Result<()> {
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

/// This program again, as the upstream.
fn start_backend(core: usize) -> anyhow::Result<(Running, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["backend", "--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    kernel::confine(&mut command, core);
    let mut child = command.spawn().context("cannot start the backend")?;
    let said = child.stdout.take().context("the backend has no output")?;
    let running = Running::new(child);
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("the backend said {line:?}"))?;
    Ok((running, address))
}

fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let start = text.len().saturating_sub(4096);
    String::from_utf8_lossy(&text[start..]).into_owned()
}
