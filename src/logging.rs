//! The log of the process: one event, one line on standard error, as key=value or JSON. Standard
//! output is the access log's.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Outcome};
use crate::settings::{LogFormat, LogSettings, Note};

pub fn start(settings: &LogSettings) -> Outcome {
    let filter = EnvFilter::builder().parse(&settings.filter).map_err(Failure::settings)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match settings.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::ours(anyhow::anyhow!("the log could not be started: {error}")))
}

pub fn tell(notes: &[Note]) {
    for note in notes {
        match note {
            Note::Information(text) => tracing::info!(part = "settings", "{text}"),
            Note::Warning(text) => tracing::warn!(part = "settings", "{text}"),
        }
    }
}
