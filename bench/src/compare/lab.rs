//! The arrangement on one machine: the upstream and the load on one core, each proxy on another,
//! everything on loopback and in a directory of its own, and nothing left at the end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use super::kind::{Kind, Programs};
use super::site::{OPPONENT_HOST, Site, Subject};
use super::{chp, envoy, h2o, haproxy, nginx, pingora, portico, sozu, traefik};
use crate::load::tls::{self, Handshake};
use crate::load::{Target, kernel};
use crate::process::Running;
use crate::world::certificates::Authority;

/// Of a grant's token, about.
const GRANT_BYTES: usize = 160;

#[derive(Clone, Debug)]
pub struct LabOptions {
    pub kinds: Vec<Kind>,
    pub programs: Programs,
    pub proxy_core: usize,
    pub load_core: usize,
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

    /// Whether all that were started still run.
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
