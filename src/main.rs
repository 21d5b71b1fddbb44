//! The binary: one subcommand for each thing that Portico does for an operator. It wires the roles
//! together and contains no logic.

mod serve;

mod demo;

mod check;

mod client;

mod store;

mod healthz;

mod settings;

mod replica;

mod logging;

mod failure;

use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use failure::Outcome;
use portico_control::replica::Role;
use settings::show;

fn main() -> ExitCode {
    let command = command();
    let outcome = match command.clone().try_get_matches() {
        // The client has exit codes of its own: the fault may be the API's, or its answer a no.
        Ok(matches) => match (client::run(&command, &matches), matches.subcommand()) {
            (Some(code), _) => return code,
            // Its code is that of the worst that it found.
            (None, Some(("check", matches))) => return check::run(matches),
            (None, _) => run(&matches),
        },
        Err(usage) => {
            // Nothing is left to tell anybody when standard error is gone.
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { failure::SETTINGS } else { 0 });
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The code says whose turn it is, also where standard error is full or gone.
            let _ = writeln!(std::io::stderr(), "portico: {failure}");
            failure.code()
        }
    }
}

fn run(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        Some(("serve", matches)) => serve::run(Role::All, matches),
        Some(("proxy", matches)) => serve::run(Role::Proxy, matches),
        Some(("control", matches)) => serve::run(Role::Control, matches),
        Some(("demo", matches)) => demo::run(matches),
        Some(("store", matches)) => store::run(matches),
        Some(("healthz", matches)) => healthz::run(matches),
        Some(("settings", matches)) => {
            print_settings(matches);
            Ok(())
        }
        other => unreachable!("clap lets only these subcommands through: {other:?}"),
    }
}

fn command() -> Command {
    let portico = Command::new("portico")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The edge in front of interactive sessions")
        .after_help(
            "Examples:\n  \
             portico demo                            a sample session, nothing to set up\n  \
             portico check --config portico.toml     is everything there that it needs?\n  \
             portico demo --upstream http://127.0.0.1:8888   your own tool instead\n  \
             portico serve --config portico.toml     the real thing\n  \
             portico serve --help                    every setting as a flag\n  \
             portico control, portico proxy          its halves, sharing a Redis\n  \
             portico store export backup.portico     all that a store holds\n  \
             portico settings                        every setting as a file\n  \
             portico session list                    the client of a running Portico",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(serve::commands())
        .subcommand(check::command())
        .subcommand(demo::command())
        .subcommand(store::command())
        .subcommand(healthz::command())
        .subcommand(settings_command());
    client::commands(portico)
}

fn settings_command() -> Command {
    Command::new("settings")
        .about("Print an example settings file with every key")
        .arg(
            Arg::new("example")
                .long("example")
                .action(ArgAction::SetTrue)
                .help("The file, deploy/portico.example.toml (the default)"),
        )
        .arg(
            Arg::new("markdown")
                .long("markdown")
                .action(ArgAction::SetTrue)
                .conflicts_with("example")
                .help("The table, deploy/SETTINGS.md"),
        )
}

fn print_settings(matches: &ArgMatches) {
    say(&match matches.get_flag("markdown") {
        true => show::markdown(),
        false => show::example(),
    });
}

/// On standard output, which may be a pipe that nobody reads any more.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which clap otherwise finds only in the subcommand that is run.
    #[test]
    fn the_command_line_has_no_contradictions() {
        command().debug_assert();
    }
}
