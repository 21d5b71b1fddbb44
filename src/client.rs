//! The operator's client of the API: `portico session|ticket|workspace|token|event …`. It turns a
//! command line into requests and answers into tables; what is allowed, valid or possible is the
//! API's to say, so nothing is checked here that the API checks.

pub mod failure;

pub mod place;

mod connection;

pub mod api;

mod follow;

mod words;

pub mod table;

pub mod output;

mod session;

mod workspace;

mod template;

mod token;

mod ticket;

mod access;

mod stream;

mod event;

pub mod accept;
mod replica;

mod usage;
mod top;
mod quota;

mod audit;

mod bulk;

mod explain;

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};
use clap_complete::Shell;

use api::Api;
use failure::{Failure, Outcome};
use output::Output;
use place::Place;

/// Said at the end of every `--help`.
const CODES: &str = "\
Where and as whom:
  --api or PORTICO_API says where the API is. The token is read from --token-file, or is
  PORTICO_TOKEN, or is read from PORTICO_TOKEN_FILE, ./portico-data/token or
  /var/lib/portico/token: the first of these that is there. It is never an argument, because
  others on the machine can read those.

Exit codes:
   0  done
   1  Portico's fault, here or there (5xx)
   2  there is no such thing (404, 410)
   3  somebody else was there first, or the state forbids it (409, 412)
  64  the command line, a value (400, 422) or the token file is wrong
  69  the API cannot be reached
  75  try again later (429, 503); it says when
  77  the token may not do this (401, 403)";

#[derive(Subcommand)]
enum Noun {
    Session(Of<session::Action>),
    Ticket(Of<ticket::Action>),
    Access(Of<access::Action>),
    Workspace(Of<workspace::Action>),
    Template(Of<template::Action>),
    Token(Of<token::Action>),
    Event(Alone<event::Flags>),
    Usage(Alone<usage::Flags>),
    Top(Alone<top::Flags>),
    Replica(Of<replica::Action>),
    Quota(Of<quota::Action>),
    Audit(Alone<audit::Flags>),
    Bulk(Alone<bulk::Flags>),
    Explain(Alone<explain::Flags>),
    Completions(Completions),
}

/// A noun with actions.
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Of<A: Subcommand> {
    #[command(flatten)]
    place: place::Flags,
    #[command(subcommand)]
    action: A,
}

/// A noun that is an action by itself.
#[derive(Args)]
struct Alone<A: Args> {
    // First, or it would come under the heading of the others.
    #[command(flatten)]
    flags: A,
    #[command(flatten)]
    place: place::Flags,
}

/// Print a script that completes `portico` in a shell
#[derive(Args)]
#[command(after_help = "Examples:
  portico completions bash > /etc/bash_completion.d/portico
  portico completions zsh > \"${fpath[1]}/_portico\"
  portico completions fish > ~/.config/fish/completions/portico.fish")]
struct Completions {
    shell: Shell,
}

/// What the actions of every noun work with.
struct Client {
    api: Api,
    out: Output,
}

/// `portico` with a subcommand for each noun.
pub fn commands(portico: Command) -> Command {
    let portico = Noun::augment_subcommands(portico);
    TEXTS.iter().fold(portico, |portico, (noun, about, examples)| {
        portico.mut_subcommand(noun, |command| {
            let command = command.about(*about).after_help(*examples);
            with_codes(command).mut_subcommands(with_codes)
        })
    })
}

/// `-h` has the examples, `--help` the rest, too.
fn with_codes(command: Command) -> Command {
    let examples = command.get_after_help().map(|text| format!("{text}\n\n"));
    command.after_long_help(examples.unwrap_or_default() + CODES)
}

const TEXTS: &[(&str, &str, &str)] = &[
    ("session", "Sessions: create, watch, change and end them", session::EXAMPLES),
    ("ticket", "Tickets: the way into a session, once", ticket::EXAMPLES),
    ("access", "Access: keys of grants, and taking grants back", access::EXAMPLES),
    ("workspace", "Workspaces: which may have sessions, and their limits", workspace::EXAMPLES),
    ("template", "Templates: the catalogue of tools", template::EXAMPLES),
    ("token", "Tokens: who may use the API, and for what", token::EXAMPLES),
    (
        "event",
        "Follow changes of sessions, workspaces and replicas as they happen",
        event::EXAMPLES,
    ),
    ("usage", "What sessions, workspaces and users have used", usage::EXAMPLES),
    ("top", "Who uses the edge just now: a live view", top::EXAMPLES),
    ("replica", "Replicas: the Portico processes", replica::EXAMPLES),
    ("quota", "Traffic quotas: who is over one, or near", quota::EXAMPLES),
    ("audit", "Who changed what, when and from where", audit::EXAMPLES),
    (
        "explain",
        "What becomes of a URL: its session, who may open it, where it goes",
        explain::EXAMPLES,
    ),
    ("bulk", "Create and delete many sessions with one request", bulk::EXAMPLES),
];

/// None when the subcommand is not one of this client.
pub fn run(portico: &Command, matches: &ArgMatches) -> Option<ExitCode> {
    if let Some(("store", matches)) = matches.subcommand()
        && let Some(("accept", matches)) = matches.subcommand()
    {
        return Some(ended(on_a_runtime(accept::run(matches))));
    }
    if !Noun::has_subcommand(matches.subcommand_name()?) {
        return None;
    }
    let outcome = match Noun::from_arg_matches(matches) {
        Ok(Noun::Completions(Completions { shell })) => complete(portico.clone(), shell),
        Ok(noun) => on_a_runtime(act(noun)),
        Err(usage) => Err(Failure::usage(usage)),
    };
    Some(ended(outcome))
}

fn ended(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.text() {
                output::note(&text);
            }
            failure.code()
        }
    }
}

fn on_a_runtime(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::ours)?;
    let outcome = runtime.block_on(work);
    // A name that is still being looked up holds nobody up.
    runtime.shutdown_background();
    outcome
}

async fn act(noun: Noun) -> Outcome {
    match noun {
        Noun::Session(Of { place, action }) => session::run(client(place)?, action).await,
        Noun::Ticket(Of { place, action }) => ticket::run(client(place)?, action).await,
        Noun::Access(Of { place, action }) => access::run(client(place)?, action).await,
        Noun::Workspace(Of { place, action }) => workspace::run(client(place)?, action).await,
        Noun::Template(Of { place, action }) => template::run(client(place)?, action).await,
        Noun::Token(Of { place, action }) => token::run(client(place)?, action).await,
        Noun::Event(Alone { place, flags }) => event::run(client(place)?, flags).await,
        Noun::Usage(Alone { place, flags }) => usage::run(client(place)?, flags).await,
        Noun::Top(Alone { place, flags }) => top::run(client(place)?, flags).await,
        Noun::Replica(Of { place, action }) => replica::run(client(place)?, action).await,
        Noun::Quota(Of { place, action }) => quota::run(client(place)?, action).await,
        Noun::Audit(Alone { place, flags }) => audit::run(client(place)?, flags).await,
        Noun::Bulk(Alone { place, flags }) => bulk::run(client(place)?, flags).await,
        Noun::Explain(Alone { place, flags }) => explain::run(place, flags).await,
        Noun::Completions(_) => Ok(()),
    }
}

fn client(flags: place::Flags) -> Outcome<Client> {
    let out = Output::new(flags.json);
    Ok(Client { api: Api::new(Place::of(&flags)?), out })
}

fn complete(mut portico: Command, shell: Shell) -> Outcome {
    // Into memory, because it panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut portico, "portico", &mut script);
    output::write(&script)
}
