//! Writes down what a process has counted, once: it asks at intervals, and keeps a batch with its
//! number and its content until the store confirms it, while later counts add up behind it. Where
//! the counts come from is its caller's business.
//!
//! **Whose.** A writer is the replica, by its name. A number is the time in milliseconds at which
//! the batch was made, or one more than the last: a process that comes back under the same name
//! goes on above the numbers of the one before, without having to ask for them.

mod counters;

mod pending;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use portico_core::usage::Reading;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::clock;
use crate::store::{Added, Store};
pub use counters::MeterCounters;
use pending::Pending;

/// Where counts come from.
pub trait Source: Send + 'static {
    /// What was counted since it was asked last. It may take its time, and looks at the clock then.
    fn read(
        &mut self,
        clock: fn() -> Timestamp,
    ) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>>;
}

/// The running task; it ends when this is dropped, and what waits is lost then.
#[must_use = "nothing is written down once this is dropped"]
pub struct Metering {
    task: JoinHandle<()>,
    finish: Option<oneshot::Sender<()>>,
}

impl Metering {
    /// To be called on the runtime that is to do the work.
    pub fn start(
        store: Arc<dyn Store>,
        writer: Name,
        interval: Duration,
        counters: MeterCounters,
        source: impl Source,
    ) -> Self {
        let (finish, finished) = oneshot::channel();
        let pending = Pending::new(writer, limits::USAGE_PENDING_ROWS_MAX);
        let writing = Writing { store, source, pending, counters, is_away: false, is_full: false };
        Self { task: tokio::spawn(writing.run(interval, finished)), finish: Some(finish) }
    }

    /// Asks once more and writes all of it down, for as long as `timeout`. Whether all is written.
    pub async fn finish(mut self, timeout: Duration) -> bool {
        if let Some(finish) = self.finish.take() {
            // A task that has ended already has panicked, which the next line finds.
            let _ = finish.send(());
        }
        let ended = tokio::time::timeout(timeout, &mut self.task).await;
        let is_written = matches!(ended, Ok(Ok(())));
        if !is_written {
            tracing::error!("not all usage could be written down before the end: some is lost");
        }
        is_written
    }
}

impl Drop for Metering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Writing<S> {
    store: Arc<dyn Store>,
    source: S,
    pending: Pending,
    counters: MeterCounters,
    is_away: bool,
    is_full: bool,
}

impl<S: Source> Writing<S> {
    async fn run(mut self, interval: Duration, mut finished: oneshot::Receiver<()>) {
        let mut ticks = interval_at(Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = &mut finished => break,
            }
            self.read().await;
            self.flush().await;
        }
        self.read().await;
        while !self.flush().await {
            tokio::time::sleep(limits::METER_RETRY).await;
        }
    }

    async fn read(&mut self) {
        let dropped = self.pending.add(self.source.read(clock::now).await);
        if dropped > 0 && !self.is_full {
            tracing::error!(
                rows_max = limits::USAGE_PENDING_ROWS_MAX,
                "more usage waits for the store than there is room for: the newest is lost"
            );
        }
        self.is_full = dropped > 0;
        self.counters.dropped(dropped);
        self.counters.pending(self.pending.rows());
    }

    /// One batch after the other, until one fails. Whether all is written.
    async fn flush(&mut self) -> bool {
        while let Some(attempt) = self.pending.attempt(clock::now()) {
            match self.store.add_usage(attempt.batch).await {
                Ok(added) => {
                    if attempt.is_first && added == Added::Before {
                        tracing::error!("another process writes usage under this one's name");
                    }
                    self.pending.confirmed();
                    self.counters.written();
                    if std::mem::take(&mut self.is_away) {
                        tracing::info!("usage is written again");
                    }
                }
                Err(error) => {
                    self.counters.failed();
                    if !std::mem::replace(&mut self.is_away, true) {
                        let error = crate::with_causes(&error);
                        tracing::warn!(error, "usage cannot be written: it waits for the store");
                    }
                    break;
                }
            }
        }
        self.counters.pending(self.pending.rows());
        self.pending.rows() == 0
    }
}

#[cfg(test)]
mod tests;
