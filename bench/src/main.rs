//! `portico-bench`: the load tool, its upstream, and side-by-side runs with other proxies.
//! The command line only; everything it does is in the library.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use portico_bench::compare;
use portico_bench::compare::case::Case;
use portico_bench::compare::kind::{Kind, Programs};
use portico_bench::compare::lab::LabOptions;
use portico_bench::compare::measure::Timing;
use portico_bench::load::engine::Outcome;
use portico_bench::load::fetch::{self, Connections, Step};
use portico_bench::load::{Plan, Target, echo, idle, kernel, paced, stalled};
use portico_bench::{accounting, backend, record, routable};

/// Below `compare --help`.
const EXAMPLES: &str = "\
Examples:
  portico-bench compare                          everything, about half an hour; writes bench/
  portico-bench compare --quick                  everything, shortly; writes nothing
  portico-bench compare --case get-64,tls-full --only portico-uring,haproxy,envoy
  portico-bench compare --case idle --only portico-uring,h2o,traefik --output target/bench

Compare ratios, not figures of different runs: the machine is another one every hour. A proxy whose
core is not near 100 % was waiting for the load; then the CPU time compares, the rate does not.
Ctrl-C ends every process that was started.";

/// Load, an upstream to put behind a proxy, and side-by-side runs.
#[derive(Parser)]
#[command(version)]
enum Cli {
    /// Serve as the upstream: GET gets 64 bytes, /bytes/N N bytes, an Upgrade an echo.
    Backend {
        /// Address to listen on; the first line of output says which one it became.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Make load on a proxy that is already there.
    #[command(subcommand)]
    Load(Load),
    /// Run Portico and other proxies side by side and compare CPU per unit of work.
    #[command(after_help = EXAMPLES)]
    Compare(Compare),
    /// Measure how soon a new session is routable, with many there, on both stores.
    Routable(Routable),
    /// Measure what accounting costs a request: on and off, in pairs.
    Accounting(Accounting),
    /// Record a page load and a notebook of the JupyterLab in target/tools, as sizes only.
    Record {
        /// The file to write.
        #[arg(long, default_value = "bench/src/compare/recordings/jupyterlab.json")]
        output: PathBuf,
    },
}

#[derive(Subcommand)]
enum Load {
    /// Keep-alive GETs in a closed loop.
    Get(Closed),
    /// GETs at a fixed rate, with latencies from when each was due.
    Paced {
        #[command(flatten)]
        closed: Closed,
        /// Requests a second.
        #[arg(long, default_value_t = 5000)]
        rate: u32,
    },
    /// Ping-pong on upgraded connections in a closed loop.
    Echo {
        #[command(flatten)]
        closed: Closed,
        /// Bytes of a message.
        #[arg(long, default_value_t = 64)]
        size: usize,
    },
    /// Hold idle upgraded connections and weigh the proxy.
    Idle {
        #[command(flatten)]
        weighed: Weighed,
        #[arg(long, default_value_t = 5000)]
        connections: usize,
    },
    /// Stop reading downloads of 1 GiB and weigh the proxy.
    Stalled {
        #[command(flatten)]
        weighed: Weighed,
        #[arg(long, default_value_t = 1)]
        readers: usize,
    },
}

#[derive(Args)]
struct Address {
    /// The proxy's listener.
    #[arg(long)]
    address: SocketAddr,
    /// Host header of the session.
    #[arg(long)]
    host: String,
    /// Value of a Cookie header, such as a grant.
    #[arg(long, default_value = "")]
    cookie: String,
}

#[derive(Args)]
struct Closed {
    #[command(flatten)]
    address: Address,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    #[arg(long, default_value_t = 1.0)]
    warm_up_seconds: f64,
}

#[derive(Args)]
struct Weighed {
    #[command(flatten)]
    address: Address,
    /// Process of the proxy; its children are weighed too.
    #[arg(long)]
    pid: u32,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Args)]
struct Laboratory {
    /// Proxies to run, separated by commas; by default all but h2o, traefik, sozu and pingora.
    #[arg(long, value_delimiter = ',', value_name = "PROXY")]
    only: Vec<Kind>,
    /// The programs, by path or by name.
    #[arg(long, default_value = "target/release/portico")]
    portico: PathBuf,
    #[arg(long, default_value = "haproxy")]
    haproxy: PathBuf,
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// Where bench/tools/install.sh put the other proxies.
    #[arg(long, default_value = "target/tools")]
    tools: PathBuf,
    /// Core of the proxy.
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// Core of the load and the upstream.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

#[derive(Args)]
struct Compare {
    #[command(flatten)]
    laboratory: Laboratory,
    /// Cases to run, separated by commas; all by default.
    #[arg(long, value_delimiter = ',')]
    case: Vec<Case>,
    /// How often each proxy has its turn in each case, in `paced` and with many routes three times
    /// that; tables have medians and the spread.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Length of one measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 0.5)]
    warm_up_seconds: f64,
    /// As with --repetitions 1, but short, with fewer idle connections, and a million of routes
    /// only by --case.
    #[arg(long)]
    quick: bool,
    /// Where RESULTS.md, results.json and plots/ go. Default: `bench`, for a whole run; a quick or
    /// a partial one writes nothing.
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Args)]
struct Routable {
    #[arg(long, default_value = "target/release/portico")]
    portico: PathBuf,
    /// Sessions that are there already.
    #[arg(long, default_value_t = 100_000)]
    loaded: usize,
    #[arg(long, default_value_t = 2_000)]
    creates: usize,
    /// Where RESULTS.md gets its section; without it the report is only printed.
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Args)]
struct Accounting {
    #[command(flatten)]
    laboratory: Laboratory,
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where RESULTS.md gets its section; without it the table is only printed.
    #[arg(long)]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    kernel::watch_interrupts();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portico-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    kernel::raise_file_limit()?;
    match cli {
        Cli::Backend { listen } => serve(listen),
        Cli::Load(load) => run_load(load),
        Cli::Compare(command) => compare::run(&command.options()),
        Cli::Routable(command) => command.run(),
        Cli::Accounting(command) => command.run(),
        Cli::Record { output } => record::run(&output),
    }
}

fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", listener.local_addr()?)?;
    output.flush()?;
    backend::serve(&listener)
}

fn run_load(load: Load) -> anyhow::Result<()> {
    match load {
        Load::Get(closed) => {
            let plan = closed.plan();
            let steps = vec![Step::small(&plan.target)];
            report("requests", &fetch::run(&plan, steps, Connections::Kept, |_| Ok(()))?)
        }
        Load::Paced { closed, rate } => {
            report("requests", &paced::run(&closed.plan(), rate, |_| Ok(()))?)
        }
        Load::Echo { closed, size } => {
            report("round trips", &echo::run(&closed.plan(), &[size], |_| Ok(()))?)
        }
        Load::Idle { weighed, connections } => {
            let hold = Duration::from_secs_f64(weighed.seconds);
            let target = weighed.address.target();
            println!("{}", idle::run(&target, connections, hold, weighed.pid)?);
            Ok(())
        }
        Load::Stalled { weighed, readers } => {
            let stall = Duration::from_secs_f64(weighed.seconds);
            let target = weighed.address.target();
            println!("{}", stalled::run(&target, readers, stall, weighed.pid)?);
            Ok(())
        }
    }
}

fn report(noun: &str, outcome: &Outcome) -> anyhow::Result<()> {
    println!(
        "{} {noun} in {:?} ({:.0}/s), {} errors, p50 {:?}, p99 {:?}",
        outcome.completed,
        outcome.window,
        outcome.per_second(),
        outcome.errors,
        outcome.latency.quantile(0.5),
        outcome.latency.quantile(0.99),
    );
    match &outcome.first_error {
        Some(error) => anyhow::bail!("{} errors; the first one: {error}", outcome.errors),
        None => Ok(()),
    }
}

impl Address {
    fn target(&self) -> Target {
        let (host, cookie) = (self.host.clone(), self.cookie.clone());
        Target { address: self.address, host, cookie, tls: None }
    }
}

impl Closed {
    fn plan(&self) -> Plan {
        Plan {
            target: self.address.target(),
            connections: self.connections,
            warm_up: Duration::from_secs_f64(self.warm_up_seconds),
            measure: Duration::from_secs_f64(self.seconds),
        }
    }
}

impl Routable {
    fn run(self) -> anyhow::Result<()> {
        let portico = std::path::absolute(&self.portico)?;
        let (loaded, creates) = (self.loaded, self.creates);
        let report = routable::run(&routable::Options { portico, loaded, creates })?;
        let command = format!("portico-bench routable --loaded {loaded} --creates {creates}");
        match self.output {
            Some(directory) => {
                routable::write(&directory, &report, &compare::machine::line(&command)?)
            }
            None => Ok(()),
        }
    }
}

impl Accounting {
    fn run(self) -> anyhow::Result<()> {
        let (pairs, seconds) = (self.pairs, self.seconds);
        let table = accounting::run(&accounting::Options {
            lab: self.laboratory.options(),
            pairs,
            timing: Timing {
                warm_up: Duration::from_millis(500),
                measure: Duration::from_secs_f64(seconds),
                connections_max: usize::MAX,
            },
        })?;
        let command = format!("portico-bench accounting --pairs {pairs} --seconds {seconds}");
        match self.output {
            Some(directory) => {
                accounting::write(&directory, &table, &compare::machine::line(&command)?)
            }
            None => Ok(()),
        }
    }
}

impl Laboratory {
    fn options(self) -> LabOptions {
        LabOptions {
            kinds: if self.only.is_empty() { Kind::DEFAULT.to_vec() } else { self.only },
            // A proxy is started in a directory of its own.
            programs: Programs {
                portico: absolute(self.portico),
                haproxy: self.haproxy,
                nginx: self.nginx,
                tools: absolute(self.tools),
            },
            proxy_core: self.proxy_core,
            load_core: self.load_core,
        }
    }
}

impl Compare {
    fn options(self) -> compare::findings::Options {
        let whole = !self.quick && self.case.is_empty() && self.laboratory.only.is_empty();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let seconds = |full: f64, quick: f64| {
            Duration::from_secs_f64(if self.quick { quick.min(full) } else { full })
        };
        let cases = match (self.case.is_empty(), self.quick) {
            (false, _) => self.case,
            (true, false) => Case::ALL.to_vec(),
            (true, true) => Case::ALL.into_iter().filter(|case| *case != Case::Routes1m).collect(),
        };
        compare::findings::Options {
            repetitions: if self.quick { 1 } else { self.repetitions.max(1) },
            timing: Timing {
                warm_up: seconds(self.warm_up_seconds, 0.3),
                measure: seconds(self.seconds, 1.0),
                connections_max: if self.quick { 500 } else { usize::MAX },
            },
            output: self.output.or_else(|| whole.then(|| "bench".into())),
            cases,
            lab: self.laboratory.options(),
            command: format!("portico-bench {}", arguments.join(" ")),
        }
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
