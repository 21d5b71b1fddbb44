//! Traffic quotas: how many bytes a user, an address, a workspace or whatever else a policy tells
//! apart may move in a time, and what happens beyond. It must not know of sockets or stores: a
//! request's facts, bytes and the time come in, an answer and deltas for the store go out.
//!
//! **On the path of traffic.** `Ledger::open` finds the accounts of a request: one look into a
//! table for each bucket. `Accounts::charge` is one addition for each account, and
//! `Accounts::standing` a few loads: it answers from a verdict that holds until so many more bytes
//! have gone through, or until a moment. Both directions count, and are summed.
//!
//! **Replicas** tell the store what they have counted, every `limits::QUOTA_SYNC` and sooner when
//! an account has gathered 1/64 of its smallest quota, and learn what all of them have. Between two
//! such talks a replica knows the total as of the last one and all of its own bytes. So with R
//! replicas, each moving at most r bytes a second of one account, a store that answers within L and
//! is asked every T, what goes through beyond a quota of q bytes is bounded by
//!
//! ```text
//! overshoot <= R * (min(r * T, q / 64 + r * C) + 2 * r * L + m)
//! ```
//!
//! each replica's bytes between two of its own talks, and those that are not charged yet. The data
//! plane charges and asks every `limits::SWEEP_INTERVAL`, so m is what all connections of the
//! account move on one replica in that time, at most r times it, and an early talk comes at most
//! C = `limits::QUOTA_EARLY_CHECK` + `limits::SWEEP_INTERVAL` after the bytes that ask for it.
//! While the store is away each replica counts for itself, and R * q can go through in a window. A
//! fixed window may let its quota through just before it ends and once more just after; a sliding
//! one never lets more through in any time of its length, and in turn may deny 1/60 of its length
//! too long.
//!
//! **Windows and clocks.** A fixed window begins at the first byte as the first replica that told
//! the store wrote it down; sub-windows of sliding ones are multiples of their length since 1970.
//! All times are those of replicas, whose clocks may differ by `limits::CLOCK_SKEW_MAX`; so may the
//! end of a window. Bytes are dated when the books are next opened, at most one interval late.
//!
//! **Room.** There are at most `limits::QUOTA_ACCOUNTS_MAX` accounts, of which each bucket has the
//! same part for itself. `Ledger::sweep` lets go of those without traffic before that many are
//! there; what they had is asked of the store when they come back. If still none is free, newcomers
//! are counted together in their bucket's overflow account `other`, which has the quotas of one: a
//! flood of made-up values uses up its own quota and that of whoever is new in the same bucket at
//! the same time, and neither the memory nor the room of buckets whose values nobody can make up.
//!
//! **Whom to believe.** `client_ip`, `user`, `workspace` and `session` are what the edge itself
//! knows. A `header` is what the client sent. A `jwt` is **not verified**: a claim can be forged,
//! to be counted as nobody, or as somebody else, whose quota is then used up by a stranger. So
//! claims are read only from requests through `trusted_networks`, whose proxy is taken to have
//! verified the token, unless the source says `"accept_unverified": true`. Prefer `user`.

mod policy;
mod amount;
mod parse;
mod extract;
mod window;
mod books;
mod standing;
mod account;
mod share;
mod ledger;
mod talk;
mod report;
mod foresee;
#[cfg(test)]
mod tests;

pub use account::Account;
pub use amount::words as bytes_in_words;
pub use extract::{Known, Value, client_address};
pub use foresee::{Asker, Counted, Forecast, Foreseen};
pub use ledger::{Accounts, Ledger};
pub use parse::{Mistake, Note};
pub use policy::{
    Action, Bucket, Extractor, Kind, Policy, Protocol, Quota, Quotas, Source, Span, TokenPlace,
    Unverified,
};
pub use report::{Event, Review, Usage, What};
pub use share::{Batch, Delta, Total, WindowKey};
pub use standing::Standing;
pub use talk::Behind;
pub use window::Part;
