//! `portico demo`: the whole product on a laptop, with no DNS, certificate or account. A real
//! replica on loopback, a session created through the real API, and both of its links; nothing
//! stays behind.

mod sample;

mod client;

mod tool;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgMatches, Command, value_parser};
use portico_control::replica::Role;
use portico_core::upstream::Upstream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Outcome};
use crate::logging::{self, Log};
use crate::replica::Replica;
use crate::serve;
use crate::settings::{self, Settings, Sources};
use client::Created;
use sample::Sample;
use tool::Jupyter;

const PORT: u16 = 8080;
/// The route is there within milliseconds, unless the store fails.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);
/// Both the session's id and its label, so that the link can be read out.
const NAME: &str = "demo";
const SAMPLE_AT: &str = "sample-at";

pub fn command() -> Command {
    Command::new("demo")
        .about("Show a session behind Portico on this machine, with nothing to set up")
        .after_help(
            "Examples:\n  \
             portico demo\n  \
             portico demo --upstream http://127.0.0.1:8888    your own tool instead\n  \
             portico demo --tool jupyter                      JupyterLab, if it is installed\n  \
             portico demo --sample-at 0.0.0.0:8888            the sample alone, as a session",
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16).range(1..))
                .help("Where the demo listens [default: 8080, or a free one when that is taken]"),
        )
        .arg(
            Arg::new("upstream")
                .long("upstream")
                .value_name("URL")
                .value_parser(value_parser!(Upstream))
                .help("Show this tool instead of the sample, as http://host:port"),
        )
        .arg(
            Arg::new("tool")
                .long("tool")
                .value_name("TOOL")
                .value_parser(["jupyter"])
                .conflicts_with("upstream")
                .help("Start this tool, which is installed already, instead of the sample"),
        )
        .arg(
            Arg::new(SAMPLE_AT)
                .long(SAMPLE_AT)
                .value_name("ADDRESS")
                .value_parser(value_parser!(SocketAddr))
                .conflicts_with_all(["port", "upstream", "tool", "io"])
                .help("Start the sample tool here and nothing else, to be a session of Portico"),
        )
        .arg(
            Arg::new("io")
                .long("io")
                .value_name("IO")
                .default_value("auto")
                .help("How the workers do I/O: auto, uring or epoll"),
        )
}

pub fn run(matches: &ArgMatches) -> Outcome {
    let runtime = serve::runtime()?;
    // Before anything is made: an early signal must not leave it behind.
    let stop = runtime.block_on(async { Stop::new() })?;
    if let Some(address) = matches.get_one::<SocketAddr>(SAMPLE_AT) {
        return runtime.block_on(sample_alone(*address, stop));
    }
    let directory =
        tempfile::Builder::new().prefix("portico-demo-").tempdir().map_err(Failure::machine)?;
    let port = port(matches.get_one::<u16>("port").copied())?;
    let io = matches.get_one::<String>("io").map_or("auto", String::as_str);
    let settings = demo_settings(directory.path(), port, io)?;
    let log = logging::start(&settings.log)?;
    let outcome = runtime.block_on(demo(settings, &log, port, directory.path(), matches, stop));
    // The store's thread ends with the runtime; its files go after it.
    drop(runtime);
    let removed = directory.close().map_err(Failure::machine);
    outcome.and(removed)
}

/// What the session is.
enum Shown {
    Sample(Sample),
    Jupyter(Jupyter),
    Own(Upstream),
}

/// Ctrl-C, a polite kill, and the terminal that is closed.
struct Stop([Signal; 3]);

impl Stop {
    fn new() -> Outcome<Self> {
        let on = |kind| signal(kind).map_err(Failure::machine);
        Ok(Self([
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

async fn demo(
    settings: Settings,
    log: &Log,
    port: u16,
    directory: &Path,
    matches: &ArgMatches,
    mut stop: Stop,
) -> Outcome {
    let replica = Replica::start(Role::All, settings, log).await?;
    let mut shown = match (matches.get_one::<Upstream>("upstream"), matches.contains_id("tool")) {
        (Some(own), _) => Shown::Own(own.clone()),
        (None, true) => Shown::Jupyter(Jupyter::start(NAME, directory)?),
        (None, false) => Shown::Sample(Sample::start().await?),
    };
    let (upstream, tool) = match &shown {
        Shown::Sample(sample) => (sample.upstream(), "sample"),
        Shown::Jupyter(jupyter) => (jupyter.upstream(), "jupyter"),
        Shown::Own(upstream) => (upstream.to_string(), "own"),
    };
    let session = serde_json::json!({
        "id": NAME,
        "label": NAME,
        "workspace": "demo",
        "owner": "you",
        "tool": tool,
        "upstream": upstream,
    });
    let (Some(control), Some(token)) = (replica.addresses.control, &replica.token) else {
        return Err(Failure::ours(anyhow::anyhow!("a demo has an API and a token")));
    };
    let created = client::create(control, token, &session).await;
    let shows = async {
        let created = created.map_err(|error| match shown {
            Shown::Own(_) => Failure::settings(error),
            Shown::Sample(_) | Shown::Jupyter(_) => Failure::ours(error),
        })?;
        routed(&replica).await?;
        let links = match &mut shown {
            Shown::Jupyter(jupyter) => {
                jupyter.ready().await?;
                tool::links(&created, NAME)
            }
            Shown::Sample(_) | Shown::Own(_) => created,
        };
        crate::say(&introduction(&links, &upstream, port));
        std::future::pending().await
    };
    let outcome = tokio::select! {
        failed = shows => failed,
        () = stop.asked() => Ok(()),
        () = replica.finished() => Err(Failure::ours(anyhow::anyhow!("the workers have ended"))),
    };
    // Nobody waits for a demo's WebSockets.
    replica.close_now();
    replica.finished().await;
    replica.join().await;
    match shown {
        Shown::Jupyter(jupyter) => jupyter.stop().await,
        Shown::Sample(sample) => drop(sample),
        Shown::Own(_) => {}
    }
    outcome
}

async fn sample_alone(address: SocketAddr, mut stop: Stop) -> Outcome {
    let sample = Sample::start_at(address).await?;
    crate::say(&format!("the sample tool listens at {}\n", sample.address()));
    stop.asked().await;
    Ok(())
}

/// The links must not be told before they work.
async fn routed(replica: &Replica) -> Outcome {
    let routed = async {
        while replica.routes() == 0 {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(ROUTE_TIMEOUT, routed)
        .await
        .map_err(|late| Failure::ours(late).while_doing("the session has no route"))
}

/// Through the same door as everybody's: flags, with no file and no environment.
fn demo_settings(directory: &Path, port: u16, io: &str) -> Outcome<Settings> {
    let mut listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
    // Browsers may try ::1 first for `localhost`; a machine may be without IPv6.
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    if TcpListener::bind(v6).is_ok() {
        listen.push(v6);
    }
    let listen: Vec<_> = listen.iter().map(SocketAddr::to_string).collect();
    let mut sources = Sources::default();
    // On loopback, for whoever sits at this machine.
    sources.set("access.mode", "open");
    sources.set("connect_url", format!("http://localhost:{port}"));
    sources.set("proxy.http", listen.join(","));
    sources.set("proxy.io", io);
    sources.set("control.listen", "127.0.0.1:0");
    sources.set("management.listen", "127.0.0.1:0");
    sources.set("store.url", format!("embedded:{}", directory.join("store").display()));
    sources.set("log.level", "warn");
    let mut collected = settings::collect(sources);
    let (settings, _) = settings::check(&mut collected)?;
    Ok(settings)
}

/// The wished one, else 8080, else one that is free.
fn port(wished: Option<u16>) -> Outcome<u16> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let bound = match wished {
        Some(port) => bind(port)
            .with_context(|| format!("port {port} is not free, choose another with --port"))
            .map_err(Failure::settings)?,
        None => bind(PORT).or_else(|_| bind(0)).map_err(Failure::machine)?,
    };
    Ok(bound.local_addr().map_err(Failure::machine)?.port())
}

fn introduction(created: &Created, upstream: &str, port: u16) -> String {
    let Created { subdomain, path } = created;
    format!(
        "\nPortico shows a session ({upstream}) on port {port}. Open either link:\n\n  \
         by subdomain  {subdomain}\n  \
         by path       {path}\n\n\
         Or look at it from a shell:\n\n  \
         curl -i {subdomain}\n  \
         curl -i {path}\n\n\
         (A browser that does not know *.localhost, such as Safari, needs the link by path.)\n\
         Ctrl-C stops it and leaves nothing behind.\n"
    )
}
