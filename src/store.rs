//! `portico store`: everything that a store holds, into a file and back. It opens the store that
//! the settings name by itself, so an embedded one must not be in use. Accepting a store is a
//! matter of the API and stands with its client.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use portico_control::store::Store;
use portico_control::transfer::{self, Resume, TransferError};

use crate::client::accept;
use crate::failure::{Failure, Outcome};
use crate::replica;
use crate::serve;
use crate::settings::{self, Settings, Sources};

pub fn command() -> Command {
    let file = Arg::new(FILE)
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The file; it holds hashes of tokens, so only its owner can read it");
    Command::new("store")
        .about("Back a store up, or move it: all sessions, workspaces, templates and tokens")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("export")
                .about("Write everything that the store holds to a file")
                .after_help(
                    "Examples:\n  \
                     portico store export --config portico.toml backup.portico\n  \
                     portico store export --store-url redis://redis:6379 backup.portico \
                     --resume\n\n\
                     Exit codes: 64 correct your settings, 69 the store is not there, 1 our fault.",
                )
                .args(settings::arguments())
                .arg(file.clone())
                .arg(
                    Arg::new(RESUME)
                        .long(RESUME)
                        .action(ArgAction::SetTrue)
                        .help("Go on where an export to this file was cut"),
                ),
        )
        .subcommand(accept::command())
        .subcommand(
            Command::new("import")
                .about("Write what an export holds to the store, beside what is there")
                .after_help(
                    "What is there already stays as it is; what differs is named. So an import \
                     that was cut is simply run again.\n\n\
                     Example:\n  \
                     portico store import --store-url redis://redis:6379 backup.portico",
                )
                .args(settings::arguments())
                .arg(file),
        )
}

const FILE: &str = "FILE";
const RESUME: &str = "resume";

pub fn run(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        Some(("export", matches)) => export(matches),
        Some(("import", matches)) => import(matches),
        other => unreachable!("clap lets only these subcommands through: {other:?}"),
    }
}

fn settings_of(matches: &ArgMatches) -> Outcome<Settings> {
    let mut sources = Sources::of_process(matches);
    // Nothing of what a connect host is for matters here.
    sources.set_default("connect_url", "https://connect.example.com");
    let mut collected = settings::collect(sources);
    Ok(settings::check(&mut collected)?.0)
}

fn path(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>(FILE).cloned().unwrap_or_default()
}

fn export(matches: &ArgMatches) -> Outcome {
    let settings = settings_of(matches)?;
    let path = path(matches);
    let resume = matches.get_flag(RESUME);
    let exported = serve::runtime()?.block_on(async {
        // First: a store that is not to be had must not leave an empty file.
        let store = replica::open_store(&settings).await?;
        let (file, from) = target(&path, resume).map_err(Failure::settings)?;
        let mut out = BufWriter::new(file);
        let exported = transfer::export(&*store, &mut out, from, &mut progress("exported")).await;
        let exported = exported.map_err(failed)?;
        out.get_ref().sync_all().map_err(Failure::machine)?;
        Ok::<_, Failure>(exported)
    })?;
    done(&format!(
        "{} sessions and {} documents are in {}",
        exported.sessions,
        exported.documents,
        path.display()
    ));
    Ok(())
}

/// A new file, or the one that was cut, without its last half line.
fn target(path: &Path, resume: bool) -> anyhow::Result<(File, Resume)> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if !resume {
        let made = options.create_new(true).open(path);
        let hint = "remove it, choose another, or go on with it by --resume";
        return Ok((
            made.with_context(|| format!("cannot make {shown}: {hint}"))?,
            Resume::default(),
        ));
    }
    let cut = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let from = transfer::resume(BufReader::new(cut))?;
    let mut file = options.open(path).with_context(|| format!("cannot write {shown}"))?;
    file.set_len(from.bytes)?;
    file.seek(SeekFrom::End(0))?;
    Ok((file, from))
}

fn import(matches: &ArgMatches) -> Outcome {
    let settings = settings_of(matches)?;
    let path = path(matches);
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()));
    let file = BufReader::new(file.map_err(Failure::settings)?);
    let imported = serve::runtime()?.block_on(async {
        let store = replica::open_store(&settings).await?;
        let store: &dyn Store = &*store;
        transfer::import(store, file, &mut progress("imported")).await.map_err(failed)
    })?;
    for name in &imported.different {
        let _ = writeln!(std::io::stderr(), "left as it is: {name}");
    }
    let different = imported.different.len();
    done(&format!(
        "{} created, {} were there already, {different} are there in another form",
        imported.created, imported.same
    ));
    Ok(())
}

fn failed(error: TransferError) -> Failure {
    match error {
        TransferError::Store(error) => error.into(),
        TransferError::File(_) => Failure::machine(error),
        TransferError::Header | TransferError::Line(_) | TransferError::Incomplete => {
            Failure::settings(error)
        }
    }
}

/// One line that grows, for a person who waits; nothing for a script.
fn progress(verb: &'static str) -> impl FnMut(u64) + Send {
    let shown = std::io::stderr().is_terminal();
    move |count| {
        if shown {
            let _ = write!(std::io::stderr(), "\r{count} {verb}");
        }
    }
}

fn done(text: &str) {
    let begin = if std::io::stderr().is_terminal() { "\r" } else { "" };
    let _ = writeln!(std::io::stderr(), "{begin}{text}");
}
