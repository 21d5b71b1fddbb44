//! Traffic quotas: how many bytes a user, an address, a workspace or whatever else a policy tells
//! apart may move in a time.

mod policy;
mod amount;
mod parse;

pub use amount::words as bytes_in_words;
pub use parse::{Mistake, Note};
pub use policy::{
    Action, Bucket, Extractor, Kind, Policy, Protocol, Quota, Quotas, Source, Span, TokenPlace,
    Unverified,
};
