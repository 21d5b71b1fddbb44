//! What is said of accounts to the store, and what comes of its answer.

use std::sync::Arc;

use super::account::Account;
use super::ledger::Ledger;
use super::share::{Delta, Total, WindowKey};
use super::window::Part;
use crate::limits;
use crate::session::Timestamp;

/// Those that the store is to be told of, the most urgent last. Each is held only until it was
/// taken, because none that is held is swept.
#[derive(Debug)]
pub struct Behind(Vec<Arc<Account>>);

impl Behind {
    /// The next, at most `QUOTA_DELTAS_MAX`; none when all were taken. To be called only after the
    /// answer to the deltas before was applied.
    pub fn take(&mut self, now: Timestamp) -> Vec<Delta> {
        let mut deltas = Vec::new();
        while let Some(account) = self.0.last() {
            let mut books = account.books();
            if deltas.len() + books.windows() > limits::QUOTA_DELTAS_MAX {
                break;
            }
            account.update(&mut books, now);
            let told = books.take(now).into_iter().map(|(span, parts)| {
                let (bucket, value) = (account.bucket.clone(), account.value.clone());
                Delta { of: WindowKey { bucket, value, span }, parts }
            });
            deltas.extend(told);
            account.update(&mut books, now);
            drop(books);
            self.0.pop();
        }
        deltas
    }
}

impl Ledger {
    /// Whom the store is to be told of, to be taken in batches: one look through all accounts.
    pub fn behind(&self) -> Behind {
        let mut accounts = self.select(Account::is_behind);
        if accounts.len() > limits::QUOTA_DELTAS_MAX {
            accounts.sort_by_cached_key(|account| account.urgency());
        }
        Behind(accounts)
    }

    /// What the store does not know yet, the most urgent first, at most `QUOTA_DELTAS_MAX`; as much
    /// again may be left. To be called only after the answer to the deltas before was applied.
    pub fn take_deltas(&self, now: Timestamp) -> Vec<Delta> {
        self.behind().take(now)
    }

    /// The deltas that were taken last are never told: this replica alone goes on counting them,
    /// until the store says what it knows.
    pub fn give_up(&self, deltas: &[Delta], now: Timestamp) {
        let of_one = |a: &Delta, b: &Delta| a.of.bucket == b.of.bucket && a.of.value == b.of.value;
        for deltas in deltas.chunk_by(of_one) {
            let key = &deltas[0].of;
            let Some(account) = self.find(&key.bucket, &key.value) else { continue };
            let mut books = account.books();
            account.update(&mut books, now);
            books.give_up(now);
            account.update(&mut books, now);
        }
    }

    /// The store's answer to the deltas that were taken last, in their order.
    pub fn apply(&self, totals: &[Total], now: Timestamp) {
        let of_one = |a: &Total, b: &Total| a.of.bucket == b.of.bucket && a.of.value == b.of.value;
        for totals in totals.chunk_by(of_one) {
            let key = &totals[0].of;
            let Some(account) = self.find(&key.bucket, &key.value) else { continue };
            let mut books = account.books();
            account.update(&mut books, now);
            books.learn(
                totals.iter().map(|total| -> (_, &[Part]) { (total.of.span, &total.parts) }),
            );
            account.update(&mut books, now);
        }
    }
}
