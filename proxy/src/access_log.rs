//! The access log: a line on standard output for each request that ended. A worker hands over plain
//! values and goes on; formatting, redaction and writing are one thread's work. A reader of the
//! output who is slow costs lines, which are counted, never a worker's time.

mod line;

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use portico_core::label::Label;
use portico_core::limits::{ACCESS_LOG_FIELD_BYTES_MAX, ACCESS_LOG_QUEUE_MAX};

use crate::metrics::WorkerCounters;
use crate::metrics::labels::Limit;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLog {
    #[default]
    Off,
    /// One object a line.
    Json,
    /// `key=value` pairs.
    Text,
}

/// A request that ended. Texts are as the client sent them: `redact` and escaping come later.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// When the request's head was complete.
    pub time: SystemTime,
    /// As the access rules see it: from a PROXY header or a trusted proxy, if there is one.
    pub client: SocketAddr,
    pub session: Option<Label>,
    pub host: Field,
    pub method: Field,
    pub target: Field,
    /// 0 when the connection ended before there was an answer.
    pub status: u16,
    /// From and to the client, heads included.
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration: Duration,
    /// The request became a relay; bytes and duration are the relay's.
    pub upgrade: bool,
    pub user_agent: Option<Field>,
}

/// A text from a head, cut to a bounded length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Field(Box<str>);

impl Field {
    pub fn new(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(ACCESS_LOG_FIELD_BYTES_MAX)];
        Self(String::from_utf8_lossy(bytes).into())
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a worker holds; clones write to the same log. The thread ends with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct AccessLogSender(SyncSender<Entry>);

impl AccessLogSender {
    /// Never waits: a line that finds the queue full is dropped and counted.
    pub fn log(&self, entry: Entry, counters: &WorkerCounters) {
        if self.0.try_send(entry).is_err() {
            counters.access_log_dropped.add(1);
            counters.limit_reached.at(Limit::AccessLogQueue).add(1);
        }
    }
}

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct AccessLogWriter(JoinHandle<()>);

impl AccessLogWriter {
    /// Waits for the lines that are queued, once all senders are dropped. Not for ever: nobody may
    /// be reading standard output any more.
    pub fn finish(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.0.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// `None` when the log is off.
pub(crate) fn start(log: AccessLog) -> io::Result<Option<(AccessLogSender, AccessLogWriter)>> {
    let format = match log {
        AccessLog::Off => return Ok(None),
        AccessLog::Json => line::json,
        AccessLog::Text => line::text,
    };
    start_with(format, io::stdout()).map(Some)
}

type Format = fn(&Entry, &mut Vec<u8>);

fn start_with(
    format: Format,
    output: impl Write + Send + 'static,
) -> io::Result<(AccessLogSender, AccessLogWriter)> {
    let (sender, receiver) = sync_channel(ACCESS_LOG_QUEUE_MAX);
    let thread = thread::Builder::new()
        .name("access-log".to_owned())
        .spawn(move || write_all(&receiver, format, output))?;
    Ok((AccessLogSender(sender), AccessLogWriter(thread)))
}

/// Lines are written together while more wait, and at once when none does.
fn write_all(receiver: &Receiver<Entry>, format: Format, output: impl Write) {
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    let mut failed = false;
    let mut line = Vec::new();
    while let Ok(first) = receiver.recv() {
        let mut next = Ok(first);
        while let Ok(entry) = next {
            line.clear();
            format(&entry, &mut line);
            line.push(b'\n');
            report_once(output.write_all(&line), &mut failed);
            next = receiver.try_recv();
        }
        report_once(output.flush(), &mut failed);
        if next.err() == Some(TryRecvError::Disconnected) {
            return;
        }
    }
}

/// An output that is gone must not fill the other log with one message a line.
fn report_once(result: io::Result<()>, failed: &mut bool) {
    match result {
        Ok(()) => *failed = false,
        Err(error) if !*failed => {
            *failed = true;
            tracing::error!(%error, "the access log cannot be written; lines are lost");
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
