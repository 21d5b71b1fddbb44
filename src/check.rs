//! `portico check`: every prerequisite looked at before, or while, Portico runs. Each check is a
//! function that knows one subject; here is which there are, that they run side by side and that
//! none of them can hide another. What is right is known where it is used at the start, and not
//! here.

mod line;

mod settings;

mod names;

mod certificates;

mod platform;

mod clock;

mod redis;

mod directory;

mod machine;

mod ports;

mod policy;

mod request;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use portico_proxy::Fault;
use tokio::task::JoinSet;

use crate::client::place;
use crate::failure::{self, Failure};
use crate::settings::{Settings, Sources, arguments};
use line::Line;

/// For all that one check waits for. Each of its waits has an end of its own that is sooner.
const TIMEOUT: Duration = Duration::from_secs(60);

const RUNNING: &str = "running";
const AGAINST: &str = "against";

/// What all checks look at.
pub struct Plan {
    settings: Settings,
    platform_url: Option<String>,
    /// Subjects of which the settings say something wrong: nothing more is to be said of them.
    wrong: BTreeSet<&'static str>,
    /// Where a session is to be opened through a Portico that runs.
    request: Option<request::Target>,
    place: place::Flags,
}

type Check = fn(Arc<Plan>) -> Pin<Box<dyn Future<Output = Vec<Line>> + Send>>;

/// The subject, and what looks at it, in the order in which they are told.
const CHECKS: &[(&str, Check)] = &[
    ("domains", |plan| Box::pin(names::domains(plan))),
    ("domains", |plan| Box::pin(names::look_up(plan))),
    ("certificates", |plan| Box::pin(certificates::check(plan))),
    ("platform", |plan| Box::pin(platform::check(plan))),
    ("access", |plan| Box::pin(policy::access(plan))),
    ("store", |plan| Box::pin(redis::check(plan))),
    ("store", |plan| Box::pin(directory::check(plan))),
    ("ports", |plan| Box::pin(ports::check(plan))),
    ("files", |plan| Box::pin(machine::files(plan))),
    ("io_uring", |plan| Box::pin(machine::io_uring(plan))),
    ("ebpf", |plan| Box::pin(machine::ebpf(plan))),
    ("routing", |plan| Box::pin(policy::routing(plan))),
    ("quotas", |plan| Box::pin(policy::quotas(plan))),
    ("request", |plan| Box::pin(request::check(plan))),
];

pub fn command() -> Command {
    let command = Command::new("check")
        .about("Look whether everything is there that Portico needs")
        .long_about(
            "Look whether everything is there that Portico needs: the settings, DNS,\n\
             certificates, the Platform, the store, and what this machine allows. One line for\n\
             each: ok, warning or failed, with what to do.\n\
             Nothing is changed, and nothing is started.",
        )
        .after_help(
            "Examples:\n  \
             portico check --config portico.toml              before the first start\n  \
             portico check --config portico.toml --running    with a session opened through it\n  \
             portico check --config portico.toml --against https://connect.example.com\n  \
             portico check --config portico.toml --json       for programs\n\n\
             Exit codes: 0 nothing failed, 64 correct your settings, 69 this machine, or what it\n\
             needs around it, lacks something, 1 our fault.",
        )
        .args(arguments())
        .arg(
            Arg::new(RUNNING)
                .long(RUNNING)
                .action(ArgAction::SetTrue)
                .help("Open a session through the Portico that runs here with these settings"),
        )
        .arg(
            Arg::new(AGAINST)
                .long(AGAINST)
                .value_name("URL")
                .conflicts_with(RUNNING)
                .help("Open a session through this URL, as clients do; needs --api, too"),
        );
    place::Flags::augment_args(command)
}

pub fn run(matches: &ArgMatches) -> ExitCode {
    let lines = match look(matches) {
        Ok(lines) => lines,
        Err(failure) => {
            crate::client::output::note(&failure.to_string());
            return failure.code();
        }
    };
    match matches.get_flag("json") {
        true => crate::say(&format!("{:#}\n", json(&lines))),
        false => crate::say(&text(&lines)),
    }
    match line::fault(&lines) {
        None => ExitCode::SUCCESS,
        Some(Fault::Settings) => ExitCode::from(failure::SETTINGS),
        Some(Fault::Machine) => ExitCode::from(failure::MACHINE),
        Some(Fault::Us) => ExitCode::FAILURE,
    }
}

fn look(matches: &ArgMatches) -> Result<Vec<Line>, Failure> {
    let place = place::Flags::from_arg_matches(matches).map_err(Failure::settings)?;
    let against = matches.get_one::<String>(AGAINST);
    let request = request::Target::of(matches.get_flag(RUNNING), against.map(String::as_str));
    let request = request.map_err(Failure::settings)?;
    let read = settings::read(Sources::of_process(matches));
    let (mut lines, wrong) = (read.lines, read.wrong);
    if let Some(settings) = read.settings {
        let platform_url = read.platform_url;
        let plan = Plan { settings, platform_url, wrong, request, place };
        let runtime = crate::serve::runtime()?;
        lines.extend(runtime.block_on(all(Arc::new(plan))));
        // A name that is still being looked up holds nobody up.
        runtime.shutdown_background();
    }
    Ok(lines)
}

/// Side by side, told in their order.
async fn all(plan: Arc<Plan>) -> Vec<Line> {
    let mut running = JoinSet::new();
    for (index, (subject, check)) in CHECKS.iter().enumerate() {
        if plan.wrong.contains(subject) {
            continue;
        }
        let (plan, subject) = (plan.clone(), *subject);
        running.spawn(async move {
            // On a task of its own, so that a panic is told like everything else.
            let looked = tokio::time::timeout(TIMEOUT, tokio::spawn(check(plan))).await;
            let lines = match looked {
                Ok(Ok(lines)) => lines,
                Ok(Err(panic)) => vec![Line::ours(subject, format!("it ended early: {panic}"))],
                Err(_) => vec![Line::ours(subject, format!("nothing within {TIMEOUT:?}"))],
            };
            (index, lines)
        });
    }
    let mut found = running.join_all().await;
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().flat_map(|(_, lines)| lines).collect()
}

/// What waits without letting others go on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn text(lines: &[Line]) -> String {
    let mut text: String = lines.iter().map(|line| line.text() + "\n").collect();
    let count = |word: &str| lines.iter().filter(|line| line.status.as_str() == word).count();
    let (warnings, failed) = (count("warning"), count("failed"));
    text += &format!("{} ok, {warnings} warnings, {failed} failed\n", count("ok"));
    text
}

fn json(lines: &[Line]) -> serde_json::Value {
    serde_json::json!({
        "failed": line::fault(lines).is_some(),
        "checks": lines.iter().map(Line::json).collect::<Vec<_>>(),
    })
}
