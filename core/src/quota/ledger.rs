//! All accounts of a process, and the policy that they follow. What is said of them is elsewhere:
//! to the store in `talk`, to the log and to an operator in `report`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::account::Account;
use super::extract::{Known, Recalled, Value};
use super::policy::{Bucket, Policy, Quotas};
use super::standing::Standing;
use crate::limits;
use crate::session::{Name, Timestamp};

#[derive(Debug)]
pub struct Ledger {
    /// Written only when the policy is replaced.
    shelves: RwLock<Shelves>,
    hasher: RandomState,
    accounts_max: usize,
    is_idle: AtomicBool,
    wanted: Arc<AtomicBool>,
    generation: AtomicU64,
    replicas: AtomicU64,
}

#[derive(Debug, Default)]
struct Shelves {
    policy: Arc<Policy>,
    shelves: Vec<Shelf>,
    /// Of each shelf.
    accounts_max: usize,
}

/// The accounts of one bucket, which has a part of the room for itself: whoever makes up values of
/// one bucket takes no room of another, whose values nobody can make up.
#[derive(Debug)]
struct Shelf {
    quotas: Quotas,
    /// Without the overflow account.
    accounts: AtomicUsize,
    drawers: [Drawer; DRAWERS],
    overflow: Arc<Account>,
}

type Drawer = Mutex<HashMap<Box<str>, Arc<Account>>>;

/// So that workers seldom meet: each request opens one drawer of each bucket, for a look.
const DRAWERS: usize = 16;

/// What one request or relay is counted in. Cheap where there is none.
#[derive(Debug, Clone, Default)]
pub struct Accounts(Box<[Arc<Account>]>);

impl Accounts {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.0.iter()
    }

    /// Bytes went through, in either direction.
    pub fn charge(&self, bytes: u64) {
        self.0.iter().for_each(|account| account.charge(bytes));
    }

    /// The sternest of all.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let standings = self.0.iter().map(|account| account.standing(now));
        standings.fold(Standing::Open, Standing::and)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::with_room(Policy::default(), limits::QUOTA_ACCOUNTS_MAX)
    }
}

impl Ledger {
    pub fn new(policy: Policy) -> Self {
        Self::with_room(policy, limits::QUOTA_ACCOUNTS_MAX)
    }

    /// For so many accounts besides the overflow accounts, so that tests need not open all.
    pub fn with_room(policy: Policy, accounts_max: usize) -> Self {
        let ledger = Self {
            shelves: RwLock::default(),
            hasher: RandomState::new(),
            accounts_max,
            is_idle: AtomicBool::new(true),
            wanted: Arc::default(),
            generation: AtomicU64::new(0),
            replicas: AtomicU64::new(1),
        };
        ledger.replace(policy, Timestamp(0));
        ledger
    }

    /// Whether nothing is counted: without a policy all of this costs one load.
    pub fn is_idle(&self) -> bool {
        self.is_idle.load(Relaxed)
    }

    pub fn policy(&self) -> Arc<Policy> {
        self.read().policy.clone()
    }

    /// Another one with each policy: what was opened before follows the buckets of the one before,
    /// until it is opened anew with `reopen`. One load.
    pub fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// How many replicas share a pace.
    pub fn share(&self) -> NonZeroU64 {
        NonZeroU64::new(self.replicas.load(Relaxed)).unwrap_or(NonZeroU64::MIN)
    }

    pub fn set_share(&self, replicas: NonZeroU64) {
        self.replicas.store(replicas.get(), Relaxed);
    }

    /// What a request is counted in, and what comes of it.
    pub fn open(&self, known: &Known<'_>, now: Timestamp) -> Accounts {
        if self.is_idle() {
            return Accounts::default();
        }
        let shelves = self.read();
        let accounts = shelves.policy.extract(known).filter_map(|(at, value)| {
            let shelf = shelves.shelves.get(at)?;
            let bucket = &shelves.policy.buckets[at];
            Some(self.account(shelf, shelves.accounts_max, bucket, &value, now))
        });
        Accounts(accounts.collect())
    }

    /// What an open connection is counted in from now on, after another `generation`. The fields of
    /// its request are not known any more: `known` is without. A bucket in which they decide goes
    /// on with the value that the connection has in the bucket of that name, and does not count one
    /// that has none; all others are opened anew. Costs what `open` does, and a look through the
    /// connection's few accounts.
    ///
    /// Whoever calls it keeps the generation that was read before `open` or `reopen`, so that a
    /// policy that comes in between is found at the next look.
    pub fn reopen(&self, accounts: &Accounts, known: &Known<'_>, now: Timestamp) -> Accounts {
        if self.is_idle() {
            return Accounts::default();
        }
        let shelves = self.read();
        let buckets = shelves.policy.buckets.iter().zip(&shelves.shelves);
        let reopened = buckets.filter_map(|(bucket, shelf)| {
            let value = match bucket.recall(known) {
                Recalled::Value(value) => value,
                Recalled::Nothing => return None,
                Recalled::OfFields => {
                    let had = accounts.iter().find(|account| account.bucket == bucket.name)?;
                    Value { text: Cow::Borrowed(&*had.value), is_private: had.is_private }
                }
            };
            Some(self.account(shelf, shelves.accounts_max, bucket, &value, now))
        });
        Accounts(reopened.collect())
    }

    fn account(
        &self,
        shelf: &Shelf,
        accounts_max: usize,
        bucket: &Bucket,
        value: &Value<'_>,
        now: Timestamp,
    ) -> Arc<Account> {
        let account = self.placed(shelf, accounts_max, bucket, value);
        account.touched.fetch_max(now.0, Relaxed);
        account
    }

    fn placed(
        &self,
        shelf: &Shelf,
        accounts_max: usize,
        bucket: &Bucket,
        value: &Value<'_>,
    ) -> Arc<Account> {
        // Only an overflow account has no value.
        if value.text.is_empty() {
            return shelf.overflow.clone();
        }
        let mut drawer = self.drawer(shelf, &value.text);
        if let Some(account) = drawer.get(value.text.as_ref()) {
            return account.clone();
        }
        if shelf.accounts.fetch_add(1, Relaxed) >= accounts_max {
            shelf.accounts.fetch_sub(1, Relaxed);
            return shelf.overflow.clone();
        }
        let text: Box<str> = value.text.as_ref().into();
        let (quotas, wanted) = (shelf.quotas.clone(), self.wanted.clone());
        let account =
            Account::new(bucket.name.clone(), text.clone(), value.is_private, quotas, wanted);
        let account = Arc::new(account);
        drawer.insert(text, account.clone());
        account
    }

    /// Another policy. Buckets that are told apart as before keep their accounts, and what is
    /// counted in windows that they have still; where there are more buckets now, a kept one may
    /// have more accounts than its part until they are swept.
    pub fn replace(&self, policy: Policy, now: Timestamp) {
        let mut shelves = self.shelves.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *shelves);
        let mut old: Vec<_> =
            before.policy.buckets.iter().cloned().zip(before.shelves).map(Some).collect();
        shelves.shelves = policy
            .buckets
            .iter()
            .map(|bucket| {
                let quotas: Quotas = bucket.quotas.as_slice().into();
                let alike = |old: &&mut Option<(Bucket, Shelf)>| {
                    old.as_ref().is_some_and(|(other, _)| other.counts_like(bucket))
                };
                match old.iter_mut().find(alike).and_then(Option::take) {
                    Some((_, mut shelf)) => {
                        shelf.each(|account| account.replace(quotas.clone(), now));
                        shelf.quotas = quotas;
                        shelf
                    }
                    None => self.shelf(bucket, quotas),
                }
            })
            .collect();
        // Who still holds one of these is not held up by it any more.
        for (_, shelf) in old.into_iter().flatten() {
            shelf.each(|account| account.replace(Quotas::default(), now));
        }
        shelves.accounts_max = (self.accounts_max / policy.buckets.len().max(1)).max(1);
        self.is_idle.store(policy.is_empty(), Relaxed);
        shelves.policy = Arc::new(policy);
        self.generation.fetch_add(1, Relaxed);
    }

    fn shelf(&self, bucket: &Bucket, quotas: Quotas) -> Shelf {
        let (name, wanted) = (bucket.name.clone(), self.wanted.clone());
        let overflow = Account::new(name, Box::default(), false, quotas.clone(), wanted);
        Shelf {
            quotas,
            accounts: AtomicUsize::new(0),
            drawers: Default::default(),
            overflow: Arc::new(overflow),
        }
    }

    /// Whether an account has gathered so much that the store should know before the interval is
    /// over. Asks once: the answer is no again after it was yes.
    pub fn wants_sync(&self) -> bool {
        self.wanted.load(Relaxed) && self.wanted.swap(false, Relaxed)
    }

    /// The account of a value of a bucket, if it is here; the overflow account of none.
    pub(super) fn find(&self, bucket: &Name, value: &str) -> Option<Arc<Account>> {
        let shelves = self.read();
        let at = shelves.policy.buckets.iter().position(|found| found.name == *bucket)?;
        let shelf = shelves.shelves.get(at)?;
        match value {
            "" => Some(shelf.overflow.clone()),
            value => self.drawer(shelf, value).get(value).cloned(),
        }
    }

    /// The account that a request of this value would be counted in; none if it would be a new one.
    pub(super) fn would_be(&self, bucket: &Name, value: &str) -> Option<Arc<Account>> {
        self.find(bucket, value).or_else(|| {
            let shelves = self.read();
            let at = shelves.policy.buckets.iter().position(|found| found.name == *bucket)?;
            let shelf = shelves.shelves.get(at)?;
            let is_full = shelf.accounts.load(Relaxed) >= shelves.accounts_max;
            is_full.then(|| shelf.overflow.clone())
        })
    }

    /// Lets go of accounts without traffic of buckets that have too many: those first that were not
    /// used for longest, and none that is over a quota, in use, or not told to the store. One that
    /// comes back asks the store what it had. Answers how many went.
    pub fn sweep(&self) -> usize {
        let shelves = self.read();
        shelves.shelves.iter().map(|shelf| self.sweep_one(shelf, shelves.accounts_max)).sum()
    }

    fn sweep_one(&self, shelf: &Shelf, accounts_max: usize) -> usize {
        let accounts = shelf.accounts.load(Relaxed);
        if accounts < (accounts_max / 8 * 7).max(1) {
            return 0;
        }
        let wanted = accounts.saturating_sub(accounts_max / 4 * 3);
        let mut idle = Vec::new();
        for drawer in &shelf.drawers {
            let drawer = locked(drawer);
            let accounts = drawer.values().filter(|account| is_idle(account));
            idle.extend(accounts.map(|a| (a.touched.load(Relaxed), a.value.clone())));
        }
        idle.sort_unstable();
        let mut gone = 0;
        for (_, value) in idle.into_iter().take(wanted) {
            let mut drawer = self.drawer(shelf, &value);
            // Somebody may have come for it meanwhile; from here on nobody can.
            if drawer.get(&value).is_some_and(is_idle) {
                drawer.remove(&value);
                gone += 1;
            }
        }
        shelf.accounts.fetch_sub(gone, Relaxed);
        gone
    }

    pub fn accounts(&self) -> usize {
        self.read().shelves.iter().map(|shelf| shelf.accounts.load(Relaxed)).sum()
    }

    /// Those that are wanted, outside of all locks.
    pub(super) fn select(&self, wanted: impl Fn(&Account) -> bool) -> Vec<Arc<Account>> {
        let mut selected = Vec::new();
        for shelf in &self.read().shelves {
            shelf.each(|account| {
                if wanted(account) {
                    selected.push(account.clone());
                }
            });
        }
        selected
    }

    fn drawer<'s>(
        &self,
        shelf: &'s Shelf,
        value: &str,
    ) -> MutexGuard<'s, HashMap<Box<str>, Arc<Account>>> {
        locked(&shelf.drawers[self.hasher.hash_one(value) as usize % DRAWERS])
    }

    fn read(&self) -> RwLockReadGuard<'_, Shelves> {
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn each(&self, mut visit: impl FnMut(&Arc<Account>)) {
        visit(&self.overflow);
        for drawer in &self.drawers {
            locked(drawer).values().for_each(&mut visit);
        }
    }
}

/// One insertion or removal at a time, so what a panic left is as good as any.
fn locked(drawer: &Drawer) -> MutexGuard<'_, HashMap<Box<str>, Arc<Account>>> {
    drawer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody else holds it, and nothing is lost with it.
fn is_idle(account: &Arc<Account>) -> bool {
    Arc::strong_count(account) == 1 && !account.is_busy() && account.books().is_told()
}
