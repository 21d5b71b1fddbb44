//! What is counted of one value of one bucket. All workers of a process share it: to count is one
//! addition, to ask a few loads, and only whoever finds that the answer may have changed opens the
//! books. The atomics order nothing between each other: a worker may see an answer that is a moment
//! old, or a bucket's pace with the time of the one before, and sees the right one at its next
//! question.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::books::Books;
use super::extract::hashed;
use super::policy::{Action, Quotas};
use super::standing::Standing;
use crate::limits;
use crate::session::{Name, Timestamp};

#[derive(Debug)]
pub struct Account {
    pub bucket: Name,
    /// Empty for the overflow account of the bucket.
    pub value: Box<str>,
    pub is_private: bool,
    /// Charged and not in the books yet.
    unsettled: AtomicU64,
    /// In the books and not told to the store.
    unsent: AtomicU64,
    /// The answer is good while less than this is unsettled, and before this moment.
    room: AtomicU64,
    until: AtomicU64,
    /// With more unsettled than this the store wants to know; not for quotas that are used up.
    early: AtomicU64,
    /// An action, 0 for none; its pace; and when it ends.
    action: AtomicU8,
    bytes_per_second: AtomicU64,
    clears_at: AtomicU64,
    /// A bit for each quota that is used up, and for each of which that was said.
    pub(super) exceeded: AtomicU32,
    pub(super) told: AtomicU32,
    /// Connections of this process that it holds to its pace now.
    slowed: AtomicU64,
    /// When it was last opened or charged, in milliseconds.
    pub(super) touched: AtomicU64,
    smallest: AtomicU64,
    is_asked: AtomicBool,
    books: Mutex<Books>,
    /// Of the ledger: somebody has gathered enough for the store to know early.
    wanted: Arc<AtomicBool>,
}

const WARN: u8 = 1;
const THROTTLE: u8 = 2;
const DENY: u8 = 3;

impl Account {
    pub(super) fn new(
        bucket: Name,
        value: Box<str>,
        is_private: bool,
        quotas: Quotas,
        wanted: Arc<AtomicBool>,
    ) -> Self {
        let account = Self {
            bucket,
            value,
            is_private,
            unsettled: AtomicU64::new(0),
            unsent: AtomicU64::new(0),
            room: AtomicU64::new(0),
            until: AtomicU64::new(0),
            early: AtomicU64::new(0),
            action: AtomicU8::new(0),
            bytes_per_second: AtomicU64::new(0),
            clears_at: AtomicU64::new(0),
            exceeded: AtomicU32::new(0),
            told: AtomicU32::new(0),
            slowed: AtomicU64::new(0),
            touched: AtomicU64::new(0),
            smallest: AtomicU64::new(smallest(&quotas)),
            is_asked: AtomicBool::new(false),
            books: Mutex::new(Books::new(quotas)),
            wanted,
        };
        account.update(&mut account.books(), Timestamp(0));
        account
    }

    /// Bytes went through, in either direction.
    pub fn charge(&self, bytes: u64) {
        self.unsettled.fetch_add(bytes, Relaxed);
    }

    pub fn standing(&self, now: Timestamp) -> Standing {
        let unsettled = self.unsettled.load(Relaxed);
        if unsettled >= self.early.load(Relaxed) && !self.wanted.load(Relaxed) {
            self.wanted.store(true, Relaxed);
        }
        if unsettled >= self.room.load(Relaxed) || now.0 >= self.until.load(Relaxed) {
            // Who holds them brings a new answer; until then the one before does.
            match self.books.try_lock() {
                Ok(mut books) => self.update(&mut books, now),
                Err(TryLockError::Poisoned(books)) => self.update(&mut books.into_inner(), now),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        self.answer(now)
    }

    fn answer(&self, now: Timestamp) -> Standing {
        let action = match self.action.load(Relaxed) {
            WARN => Action::Warn,
            THROTTLE => match NonZeroU64::new(self.bytes_per_second.load(Relaxed)) {
                Some(bytes_per_second) => Action::Throttle { bytes_per_second },
                None => return Standing::Open,
            },
            DENY => Action::Deny,
            _ => return Standing::Open,
        };
        let retry_after = Timestamp(self.clears_at.load(Relaxed)).since(now);
        Standing::of(action, self.bucket.clone(), retry_after)
    }

    /// A connection is held to its pace from now on, whichever worker has it; `speed_up` once when
    /// it is not any more, also because it has ended.
    pub fn slow_down(&self) {
        self.slowed.fetch_add(1, Relaxed);
    }

    pub fn speed_up(&self) {
        let one_less = |slowed: u64| slowed.checked_sub(1);
        let before = self.slowed.fetch_update(Relaxed, Relaxed, one_less);
        debug_assert!(before.is_ok(), "it was slowed down before");
    }

    /// How many connections of this process share its pace now.
    pub fn slowed(&self) -> u64 {
        self.slowed.load(Relaxed)
    }

    /// For logs, heartbeats and the API, none of which shows what clients keep in their fields.
    pub fn shown(&self) -> Cow<'_, str> {
        match self.is_private {
            true => Cow::Owned(hashed(self.value.as_bytes())),
            false => Cow::Borrowed(self.name()),
        }
    }

    pub fn name(&self) -> &str {
        if self.value.is_empty() { "other" } else { &self.value }
    }

    /// One change at a time, each of which leaves the books in order, so what a panic left is good.
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what was charged, and answers by it from now on.
    pub(super) fn update(&self, books: &mut Books, now: Timestamp) {
        let bytes = self.unsettled.swap(0, Relaxed);
        if bytes > 0 {
            self.touched.fetch_max(now.0, Relaxed);
        }
        books.settle(bytes, now);
        let judged = books.judge(now);
        let unsent = books.unsent();
        self.unsent.store(unsent, Relaxed);
        self.is_asked.store(books.is_asked, Relaxed);
        self.smallest.store(smallest(&books.quotas), Relaxed);
        let early = (judged.smallest_free / limits::QUOTA_EARLY_PART).max(1);
        self.early.store(early.saturating_sub(unsent), Relaxed);
        let exceeded_before = self.exceeded.swap(judged.exceeded, Relaxed);
        if judged.exceeded & !exceeded_before != 0 && unsent > 0 {
            // Others do not know that it is used up.
            self.wanted.store(true, Relaxed);
        }
        self.room.store(judged.room, Relaxed);
        self.until.store(judged.until.0, Relaxed);
        self.clears_at.store(judged.clears_at.0, Relaxed);
        let action = match judged.action {
            None => 0,
            Some(Action::Warn) => WARN,
            Some(Action::Throttle { bytes_per_second }) => {
                self.bytes_per_second.store(bytes_per_second.get(), Relaxed);
                THROTTLE
            }
            Some(Action::Deny) => DENY,
        };
        self.action.store(action, Relaxed);
    }

    pub(super) fn replace(&self, quotas: Quotas, now: Timestamp) {
        let mut books = self.books();
        // First by what was, so that nothing is counted twice.
        self.update(&mut books, now);
        books.replace(quotas);
        self.told.store(0, Relaxed);
        self.update(&mut books, now);
    }

    /// Whether something can have changed since it was last looked at.
    pub(super) fn is_busy(&self) -> bool {
        self.unsettled.load(Relaxed) > 0
            || self.exceeded.load(Relaxed) != 0
            || self.told.load(Relaxed) != 0
            || self.is_behind()
    }

    /// Whether the store is to be told or asked.
    pub(super) fn is_behind(&self) -> bool {
        let gathered = self.unsettled.load(Relaxed) > 0 || self.unsent.load(Relaxed) > 0;
        gathered || !self.is_asked.load(Relaxed)
    }

    /// What it has gathered, in 1/1024 of its smallest quota.
    pub(super) fn urgency(&self) -> u64 {
        let gathered = self.unsettled.load(Relaxed).saturating_add(self.unsent.load(Relaxed));
        gathered / (self.smallest.load(Relaxed) >> 10).max(1)
    }
}

fn smallest(quotas: &Quotas) -> u64 {
    quotas.iter().map(|quota| quota.bytes.get()).min().unwrap_or(u64::MAX)
}
