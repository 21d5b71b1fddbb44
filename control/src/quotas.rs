//! What a replica has counted goes to the store, and what all have counted comes back; what that
//! means for somebody is told to the log and to metrics. While the store is away each replica
//! counts for itself. Workers know nothing of this: they ask the ledger.

mod counters;

use std::sync::Arc;

use portico_core::limits;
use portico_core::quota::{Batch, Event, Ledger, What, bytes_in_words};
use portico_core::session::{Name, Timestamp};
use tokio::time::sleep;

use crate::clock;
use crate::store::{Store, StoreError};
use counters::Counters;

pub struct Quotas {
    ledger: Arc<Ledger>,
    store: Arc<dyn Store>,
    writer: Name,
    number: u64,
    /// Sent, and not answered: sent again as it is, so that it counts once.
    unanswered: Option<Batch>,
    /// How often a store that was there refused it.
    refusals: u32,
    gives_up: bool,
    is_away: bool,
    counters: Counters,
}

impl Quotas {
    /// Fails where the machine gives no random numbers.
    pub fn new(
        ledger: Arc<Ledger>,
        store: Arc<dyn Store>,
        metrics: &prometheus::Registry,
    ) -> Result<Self, StoreError> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(StoreError::Random)?;
        let writer = data_encoding::HEXLOWER.encode(&bytes);
        let writer = writer.parse().expect("32 hexadecimal digits are a name");
        let counters = Counters::register(metrics);
        Ok(Self {
            ledger,
            store,
            writer,
            number: 0,
            unanswered: None,
            refusals: 0,
            gives_up: false,
            is_away: false,
            counters,
        })
    }

    /// Runs until it is dropped. What was counted since the last talk is then lost: at most what an
    /// interval brings.
    pub async fn keep(mut self) {
        loop {
            self.talk(clock::now()).await;
            let checks = limits::QUOTA_SYNC.as_millis() / limits::QUOTA_EARLY_CHECK.as_millis();
            for _ in 0..checks {
                sleep(limits::QUOTA_EARLY_CHECK).await;
                if self.ledger.wants_sync() && !self.is_away {
                    break;
                }
            }
        }
    }

    /// All that there is to do at this moment.
    pub async fn talk(&mut self, now: Timestamp) {
        self.review(now);
        if let Err(error) = self.exchange(now).await {
            self.refused(&error, now);
            if !std::mem::replace(&mut self.is_away, true) {
                let error = crate::with_causes(&error);
                tracing::warn!(
                    error,
                    "the store is away: quotas count this replica's traffic only"
                );
            }
        } else if std::mem::take(&mut self.is_away) {
            tracing::info!("the store is back: quotas count all replicas' traffic");
        }
        self.ledger.sweep();
        self.review(now);
    }

    /// Until the store knows what was counted when it began, or most of it.
    async fn exchange(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if let Some(batch) = self.unanswered.take() {
            self.send(batch, now).await?;
        }
        let mut behind = self.ledger.behind();
        for round in 1..=limits::QUOTA_ROUNDS_MAX {
            let deltas = behind.take(now);
            if deltas.is_empty() {
                break;
            }
            self.number += 1;
            let (writer, number) = (self.writer.clone(), self.number);
            self.send(Batch { writer, number, at: now, deltas }, now).await?;
            if round.is_multiple_of(limits::QUOTA_ROUNDS_PER_SWEEP) {
                self.ledger.sweep();
            }
        }
        Ok(())
    }

    async fn send(&mut self, batch: Batch, now: Timestamp) -> Result<(), StoreError> {
        let sent = self.unanswered.insert(batch).clone();
        let store = self.store.clone();
        let mut call = store.charge_quotas(sent);
        let totals = loop {
            tokio::select! {
                totals = &mut call => break totals?,
                // Dates what was counted meanwhile.
                () = sleep(limits::QUOTA_SYNC) => self.review(clock::now()),
            }
        };
        (self.unanswered, self.refusals, self.gives_up) = (None, 0, false);
        self.ledger.apply(&totals, now);
        Ok(())
    }

    /// What a store refuses that is there, it may refuse for ever, and nothing behind it would be
    /// told: it is given up at last.
    fn refused(&mut self, error: &StoreError, now: Timestamp) {
        if error.is_absence() {
            return;
        }
        self.refusals += 1;
        if self.refusals < limits::QUOTA_REFUSALS_MAX {
            return;
        }
        self.refusals = 0;
        let Some(batch) = self.unanswered.take() else { return };
        self.ledger.give_up(&batch.deltas, now);
        self.counters.given_up();
        if !std::mem::replace(&mut self.gives_up, true) {
            let error = crate::with_causes(error);
            tracing::error!(error, "the store refuses what quotas count: some of it is not told");
        }
    }

    fn review(&mut self, now: Timestamp) {
        let review = self.ledger.review(now);
        self.counters.breached(&review.breached);
        for event in &review.events {
            self.counters.happened(event);
        }
        for event in review.events.iter().take(limits::QUOTA_EVENTS_LOGGED_MAX) {
            log(event);
        }
        let more = review.events.len().saturating_sub(limits::QUOTA_EVENTS_LOGGED_MAX);
        if more > 0 {
            tracing::warn!(more, "further quotas exceeded or cleared at this moment");
        }
    }
}

fn log(event: &Event) {
    let Event { what, bucket, value, quota, used, clears_at } = event;
    let bytes = bytes_in_words(quota.bytes.get());
    let (window_seconds, action) = (quota.span.length.as_secs(), quota.on_exceed.as_str());
    match what {
        What::Exceeded => {
            let clears_at = clock::rfc3339(*clears_at);
            tracing::warn!(
                %bucket, value, used, quota = bytes, window_seconds, action, clears_at,
                "quota exceeded"
            );
        }
        What::Cleared => {
            tracing::info!(
                %bucket, value, used, quota = bytes, window_seconds, action,
                "quota cleared"
            );
        }
    }
}
