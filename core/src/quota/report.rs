//! What is said of accounts: when a quota is used up and when it is free again, how many are used
//! up, and how much of each is used.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use super::account::Account;
use super::ledger::Ledger;
use super::policy::{Kind, Quota};
use crate::session::{Name, Timestamp};

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub what: What,
    pub bucket: Name,
    /// A hash where the value is private.
    pub value: String,
    pub quota: Quota,
    pub used: u64,
    /// When it will be free again, if nothing more is counted.
    pub clears_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Exceeded,
    Cleared,
}

/// What has happened since the last review, and how things stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Review {
    pub events: Vec<Event>,
    /// By bucket and action: how many accounts are over. All of the policy, also with none.
    pub breached: BTreeMap<(Name, &'static str), u64>,
}

/// One quota of one account, over or near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub bucket: Name,
    /// A hash where the value is private.
    pub value: String,
    pub quota: Quota,
    pub used: u64,
    /// Of a fixed window.
    pub ends_at: Option<Timestamp>,
    /// Where it is used up.
    pub clears_at: Option<Timestamp>,
}

impl Ledger {
    pub fn review(&self, now: Timestamp) -> Review {
        let mut review = Review::default();
        for bucket in &self.policy().buckets {
            for quota in &bucket.quotas {
                review.breached.insert((bucket.name.clone(), quota.on_exceed.as_str()), 0);
            }
        }
        for account in self.select(|account| account.is_busy()) {
            let mut books = account.books();
            account.update(&mut books, now);
            let exceeded = account.exceeded.load(Relaxed);
            let told = account.told.swap(exceeded, Relaxed);
            for (at, quota) in books.quotas.iter().enumerate() {
                let bit = 1 << at;
                if exceeded & bit != 0 {
                    let key = (account.bucket.clone(), quota.on_exceed.as_str());
                    *review.breached.entry(key).or_default() += 1;
                }
                let what = match (told & bit != 0, exceeded & bit != 0) {
                    (false, true) => What::Exceeded,
                    (true, false) => What::Cleared,
                    (true, true) | (false, false) => continue,
                };
                review.events.push(Event {
                    what,
                    bucket: account.bucket.clone(),
                    value: account.shown().into_owned(),
                    quota: *quota,
                    used: books.used(quota.span, now),
                    clears_at: books.times(quota.span, quota.bytes.get(), now).1,
                });
            }
        }
        review
    }

    /// Every quota of which at least so many percent are used, the fullest first.
    pub fn usage(&self, percent: u64, now: Timestamp) -> Vec<Usage> {
        let mut usage = Vec::new();
        for account in self.select(|_| true) {
            let enough = |usage: &Usage| {
                u128::from(usage.used) * 100
                    >= u128::from(usage.quota.bytes.get()) * u128::from(percent)
            };
            usage.extend(usage_of(&account, now).into_iter().filter(enough));
        }
        usage.sort_by(|a, b| {
            let part = |usage: &Usage, other: &Usage| {
                u128::from(usage.used) * u128::from(other.quota.bytes.get())
            };
            let fuller = part(b, a).cmp(&part(a, b));
            fuller.then_with(|| (&a.bucket, &a.value).cmp(&(&b.bucket, &b.value)))
        });
        usage
    }
}

/// Every quota of one account.
pub(super) fn usage_of(account: &Account, now: Timestamp) -> Vec<Usage> {
    let mut books = account.books();
    account.update(&mut books, now);
    let usage = |quota: &Quota| {
        let (used, bytes) = (books.used(quota.span, now), quota.bytes.get());
        let (ends_at, clears_at) = books.times(quota.span, bytes, now);
        Usage {
            bucket: account.bucket.clone(),
            value: account.shown().into_owned(),
            quota: *quota,
            used,
            ends_at: ends_at.filter(|_| quota.span.kind == Kind::Fixed),
            clears_at: (used >= bytes).then_some(clears_at),
        }
    };
    books.quotas.iter().map(usage).collect()
}
