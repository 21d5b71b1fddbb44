//! `portico serve`, `proxy` and `control`: the life of a Portico from its settings to the last
//! signal.

use clap::{Arg, ArgAction, ArgMatches, Command};
use portico_control::replica::Role;
use portico_control::store::StoreSettings;
use portico_core::label::Label;
use portico_core::limits;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, Outcome};
use crate::logging::{self, Log};
use crate::replica::Replica;
use crate::settings::{self, Mistake, Mistakes, Settings, Sources, show};

/// `serve`, `proxy` and `control`: the same life with more or fewer roles.
pub fn commands() -> [Command; 3] {
    [
        with_settings(Command::new("serve"))
            .about("Run control and data plane in this process")
            .long_about(
                "Run control and data plane in this process: the /v1 API, the store, and the\n\
                 listeners that send clients to their sessions.\n\n\
                 A flag wins over PORTICO_* in the environment, that over the file, that over the\n\
                 names of today's installs (CONNECT_PROXY_URL and others), that over the default.",
            )
            .after_help(format!(
                "Examples:\n  \
                 portico serve --connect-url https://connect.example.com --proxy-http \
                 0.0.0.0:8080\n  \
                 portico serve --config portico.toml --io uring\n  \
                 portico serve --config portico.toml --print-config    what is in force\n\n{END}"
            )),
        with_settings(Command::new("proxy"))
            .about("Run only the data plane, beside others that share a Redis")
            .long_about(
                "Run only the data plane: the listeners that send clients to their sessions. It\n\
                 learns of sessions from the Redis that it shares with `portico control`, and\n\
                 goes on with what it knows, also after a restart, while that is away.",
            )
            .after_help(format!(
                "Example:\n  \
                 portico proxy --config portico.toml --store-url redis://redis:6379\n\n{END}"
            )),
        with_settings(Command::new("control"))
            .about("Run only the /v1 API, beside proxies that share a Redis")
            .long_about(
                "Run only the control plane: the /v1 API, for any number of `portico proxy` that\n\
                 share its Redis. Several may run; none of them has to for clients to be served.",
            )
            .after_help(format!(
                "Example:\n  \
                 portico control --config portico.toml --store-url redis://redis:6379\n\n{END}"
            )),
    ]
}

const END: &str = "Signals: TERM or INT drains, a second one ends at once; HUP reads \
                   certificates.\nExit codes: 64 correct your settings, 69 this machine lacks \
                   something, 1 our fault.";

fn with_settings(command: Command) -> Command {
    command
        .args(settings::arguments())
        .arg(
            Arg::new(PRINT)
                .long(PRINT)
                .action(ArgAction::SetTrue)
                .help("Print the settings in force with their origin, and start nothing"),
        )
        .arg(
            Arg::new(JSON)
                .long(JSON)
                .action(ArgAction::SetTrue)
                .requires(PRINT)
                .help("Print them as JSON"),
        )
}

const PRINT: &str = "print-config";
const JSON: &str = "json";

pub fn run(role: Role, matches: &ArgMatches) -> Outcome {
    let mut collected = settings::collect(Sources::of_process(matches));
    let checked = settings::check(&mut collected);
    if matches.get_flag(PRINT) {
        crate::say(&match matches.get_flag(JSON) {
            true => show::in_force_json(&collected),
            false => show::in_force(&collected),
        });
        return checked.map(|_| ()).map_err(Failure::from);
    }
    let (settings, notes) = checked?;
    check_shared(role, &settings)?;
    let log = logging::start(&settings.log)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), role = role.as_str(), "portico starts");
    logging::tell(&notes);
    runtime()?.block_on(serve(role, settings, &log))
}

/// An embedded store is of one process: roles of their own need one that they can share.
fn check_shared(role: Role, settings: &Settings) -> Outcome {
    match (role, &settings.store.settings) {
        (Role::Proxy | Role::Control, StoreSettings::Embedded(directory)) => {
            let mistake = Mistake {
                name: "store.url".to_owned(),
                origin: None,
                wrong: format!(
                    "embedded:{} is of one process, and `portico {}` shares its store with others",
                    directory.display(),
                    role.as_str()
                ),
                fix: "write redis://HOST:6379, or run `portico serve`".to_owned(),
            };
            Err(Mistakes(vec![mistake]).into())
        }
        (Role::All, _) | (_, StoreSettings::Redis(_)) => Ok(()),
    }
}

/// For the control plane; the workers bring their own.
pub fn runtime() -> Outcome<Runtime> {
    // Two, so that a slow answer of the API does not hold up `/readyz`.
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Failure::machine)
}

async fn serve(role: Role, settings: Settings, log: &Log) -> Outcome {
    // Before anything starts, or an early signal would kill it half-way.
    let signals = Signals::new()?;
    let label = Label::parse("label").map_err(Failure::ours)?;
    let (subdomain, path) = settings.domains.urls(&label, settings.routing);
    let replica = Replica::start(role, settings, log).await?;
    let addresses = &replica.addresses;
    tracing::info!(
        http = ?addresses.http,
        https = ?addresses.https,
        control = addresses.control.map(tracing::field::display),
        management = addresses.management.map(tracing::field::display),
        "portico listens"
    );
    if role.has_proxy() {
        tracing::info!(subdomain, path, "a session called `label` answers here");
    }
    let asked = signals.until_finished(&replica).await;
    replica.join().await;
    match asked {
        true => {
            tracing::info!("portico has ended");
            Ok(())
        }
        false => Err(Failure::ours(anyhow::anyhow!("the workers ended without being asked to"))),
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Outcome<Self> {
        let on = |kind| signal(kind).map_err(Failure::machine);
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Whether somebody asked for the end.
    async fn until_finished(mut self, replica: &Replica) -> bool {
        let mut certificates = tokio::time::interval(limits::CERTIFICATE_CHECK_INTERVAL);
        let mut signals = SignalsSeen::None;
        loop {
            tokio::select! {
                () = replica.finished() => return replica.is_draining(),
                _ = self.terminate.recv() => signals = stop(replica, signals, "SIGTERM"),
                _ = self.interrupt.recv() => signals = stop(replica, signals, "SIGINT"),
                () = replica.drain_requested() => drain(replica, "POST /drain"),
                _ = self.hangup.recv() => match replica.reload_certificates() {
                    Ok(()) => tracing::info!("certificates are read again"),
                    Err(error) => tracing::error!("the old certificates stay: {error}"),
                },
                _ = certificates.tick() => match replica.reload_changed_certificates() {
                    Ok(true) => tracing::info!("changed certificates are read"),
                    Ok(false) => {}
                    Err(error) => tracing::error!("the old certificates stay: {error}"),
                },
            }
        }
    }
}

/// Of those that end the process. A `POST /drain` before is none of them: Kubernetes sends SIGTERM
/// right after its preStop hook, and that must not cut what the hook let live.
#[derive(Clone, Copy)]
enum SignalsSeen {
    None,
    Some,
}

fn stop(replica: &Replica, seen: SignalsSeen, asked_by: &str) -> SignalsSeen {
    match seen {
        SignalsSeen::None => drain(replica, asked_by),
        SignalsSeen::Some => {
            tracing::warn!(asked_by, "a second signal: closing everything");
            replica.close_now();
        }
    }
    SignalsSeen::Some
}

fn drain(replica: &Replica, asked_by: &str) {
    match replica.is_draining() {
        true => tracing::info!(asked_by, "draining already; a second signal ends at once"),
        false => {
            tracing::info!(asked_by, "draining; a second signal ends at once");
            replica.drain();
        }
    }
}
