//! The log of the process: one event, one line on standard error, as key=value or JSON. Standard
//! output is the access log's. A thread of its own writes, so that a reader who stalls costs lines,
//! which are counted, and never a worker's time.

use std::io::IsTerminal;

use portico_core::limits;
use prometheus::IntCounter;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Outcome};
use crate::settings::{LogFormat, LogSettings, Note};

/// The running log. What waits is written when this is dropped, for a second at most.
#[must_use = "the log ends when this is dropped"]
pub struct Log {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

pub fn start(settings: &LogSettings) -> Outcome<Log> {
    let filter = EnvFilter::builder().parse(&settings.filter).map_err(Failure::settings)?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(limits::LOG_QUEUE_MAX)
        .thread_name("log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match settings.format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    match started {
        Ok(()) => Ok(Log { dropped, _writer: guard }),
        Err(error) => Err(Failure::ours(anyhow::anyhow!("the log could not be started: {error}"))),
    }
}

impl Log {
    /// The metric of the lines that were lost.
    pub fn dropped(&self) -> Outcome<impl Collector + 'static> {
        let counter = IntCounter::new(
            "portico_log_lines_dropped_total",
            "Lines of the log that were dropped because its queue was full.",
        );
        Ok(Dropped { seen: self.dropped.clone(), counter: counter.map_err(Failure::ours)? })
    }
}

/// Brought up to date when it is asked for.
struct Dropped {
    seen: ErrorCounter,
    counter: IntCounter,
}

impl Collector for Dropped {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let seen = self.seen.dropped_lines() as u64;
        self.counter.inc_by(seen.saturating_sub(self.counter.get()));
        self.counter.collect()
    }
}

pub fn tell(notes: &[Note]) {
    for note in notes {
        match note {
            Note::Information(text) => tracing::info!(part = "settings", "{text}"),
            Note::Warning(text) => tracing::warn!(part = "settings", "{text}"),
        }
    }
}
