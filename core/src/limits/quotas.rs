//! Of traffic quotas: what a policy may hold, what a process counts, and how replicas share it.

use std::time::Duration;

use super::{NAME_BYTES_MAX, WORKSPACE_LIMIT_MAX};

/// A policy, its buckets, and the quotas and extractors of one: an operator writes them by hand.
pub const QUOTA_POLICY_BYTES_MAX: usize = 1024 * 1024;
pub const QUOTA_BUCKETS_MAX: usize = 16;
pub const QUOTAS_PER_BUCKET_MAX: usize = 8;
pub const QUOTA_EXTRACTORS_MAX: usize = 16;
/// What is counted apart: a user, an address, a claim. A longer one is counted by its hash.
pub const QUOTA_VALUE_BYTES_MAX: usize = NAME_BYTES_MAX;
/// A token that a claim is read from; a larger one has none.
pub const QUOTA_TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Windows: shorter ones are a rate, which a workspace's limits have; longer ones a contract.
pub const QUOTA_WINDOW_MIN: Duration = Duration::from_secs(1);
pub const QUOTA_WINDOW_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// A sliding window moves by this part of itself, which is how much too early it may deny.
pub const QUOTA_SLOTS: u64 = 60;
/// Accounts of a process, a few hundred bytes each; each bucket has the same part of them. Beyond
/// it traffic is counted in the overflow account of its bucket; from 7/8 of it on those without
/// traffic are let go, down to 3/4.
pub const QUOTA_ACCOUNTS_MAX: usize = 65_536;
/// What an account has not told the store yet, by when it was; while the store is away for long,
/// the oldest are put together.
pub const QUOTA_PARTS_MAX: usize = 64;
/// Replicas tell the store so often what they have counted, and sooner when an account has gathered
/// this part of its smallest quota, which is looked for so often.
pub const QUOTA_SYNC: Duration = Duration::from_secs(1);
pub const QUOTA_EARLY_PART: u64 = 64;
pub const QUOTA_EARLY_CHECK: Duration = Duration::from_millis(100);
/// Windows of accounts in one call of the store: a script of Redis over so many takes about 1 ms,
/// in which Redis does nothing else.
pub const QUOTA_DELTAS_MAX: usize = 256;
/// Such calls in one talk; who is left has gathered least, and has his turn with the next. So a
/// flood of accounts holds up what a busy one has to tell for some 100 ms. After so many calls it
/// is looked whether accounts that are told now can make room.
pub const QUOTA_ROUNDS_MAX: usize = 64;
pub const QUOTA_ROUNDS_PER_SWEEP: usize = 8;
/// A store that is there and refuses a call so often will always do so; the call is given up.
pub const QUOTA_REFUSALS_MAX: u32 = 8;
/// Bytes of one account in one call: RFC 8259 §6, and Lua's numbers. Windows that have ended, and
/// writers that are silent, which one call forgets, and after how long a writer's last number is
/// forgotten: it does not try again for longer.
pub const QUOTA_BYTES_MAX: u64 = WORKSPACE_LIMIT_MAX;
pub const QUOTAS_FORGET_PER_WRITE: usize = 2 * QUOTA_DELTAS_MAX;
pub const QUOTA_WRITER_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a policy's file is looked at: who changed it waits for it.
pub const QUOTA_POLICY_CHECK: Duration = Duration::from_secs(1);
/// Quotas used up or free again, of which one look writes a line each; the rest are one line.
pub const QUOTA_EVENTS_LOGGED_MAX: usize = 100;
/// Accounts that a process tells the others of, the fullest, with each heartbeat.
pub const QUOTAS_TOLD_MAX: usize = 200;
/// Accounts that the API lists.
pub const QUOTAS_LISTED_MAX: usize = 1_000;

const _: () = assert!(QUOTA_EARLY_CHECK.as_millis() < QUOTA_SYNC.as_millis());
const _: () = assert!(QUOTAS_PER_BUCKET_MAX <= QUOTA_DELTAS_MAX, "an account fits into a call");
const _: () = assert!(QUOTA_ROUNDS_PER_SWEEP <= QUOTA_ROUNDS_MAX);
const _: () = assert!(QUOTAS_PER_BUCKET_MAX <= u32::BITS as usize, "a bit for each");
const _: () = assert!(QUOTAS_FORGET_PER_WRITE > QUOTA_DELTAS_MAX, "forgetting keeps up");
