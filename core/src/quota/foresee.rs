//! How a request would stand with the quotas, for who asks without making one: nothing is opened,
//! counted or let go of for it.

use std::net::{IpAddr, Ipv4Addr};

use super::extract::{Known, Value};
use super::ledger::Ledger;
use super::policy::{Bucket, Source};
use super::report::{Usage, usage_of};
use super::standing::Standing;
use crate::session::{Name, Timestamp};

/// A request that nobody has made: what of it is known.
#[derive(Debug, Clone, Copy)]
pub struct Foreseen<'a> {
    pub workspace: &'a str,
    pub session: &'a str,
    pub asker: Asker<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker<'a> {
    User(&'a str),
    /// Whoever it is, the edge will know.
    Unknown,
    /// The edge asks nobody who they are.
    Nobody,
}

/// One bucket of the policy, and the request in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    pub bucket: Name,
    pub counted: Counted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// With all that has this value. No usage: nothing was counted of it here lately.
    As {
        value: String,
        standing: Standing,
        usage: Vec<Usage>,
    },
    /// The request itself decides, by this kind of source (`client_ip`, `header`, ...).
    ByRequest(&'static str),
    NotHere,
}

/// The value of a bucket, as far as it can be told.
enum Told<'a> {
    Value(Value<'a>),
    ByRequest(&'static str),
    Nothing,
}

impl Ledger {
    /// One for each bucket of the policy in force.
    pub fn foresee(&self, of: Foreseen<'_>, now: Timestamp) -> Vec<Forecast> {
        let policy = self.policy();
        let forecast = |bucket: &Bucket| Forecast {
            bucket: bucket.name.clone(),
            counted: match bucket.told(of) {
                Told::Value(value) => self.stands(bucket, &value, now),
                Told::ByRequest(source) => Counted::ByRequest(source),
                Told::Nothing => Counted::NotHere,
            },
        };
        policy.buckets.iter().map(forecast).collect()
    }

    fn stands(&self, bucket: &Bucket, value: &Value<'_>, now: Timestamp) -> Counted {
        match self.would_be(&bucket.name, &value.text) {
            Some(account) => Counted::As {
                value: account.shown().into_owned(),
                standing: account.standing(now),
                usage: usage_of(&account, now),
            },
            None => Counted::As {
                value: value.text.clone().into_owned(),
                standing: Standing::Open,
                usage: Vec::new(),
            },
        }
    }
}

impl Bucket {
    /// The first extractor that yields something decides, as for `value`; from the first one on
    /// that may yield something of what is not known, nothing else is.
    fn told<'a>(&self, of: Foreseen<'a>) -> Told<'a> {
        for extractor in self.extractors.iter().filter(|extractor| extractor.applies()) {
            let source = &extractor.source;
            match (source, of.asker) {
                (Source::Header { .. } | Source::Jwt { .. } | Source::ClientIp, _)
                | (Source::User, Asker::Unknown) => return Told::ByRequest(source.kind()),
                _ => {}
            }
            if let Some(value) = source.value(&of.known()) {
                return Told::Value(value);
            }
        }
        Told::Nothing
    }
}

impl<'a> Foreseen<'a> {
    fn known(self) -> Known<'a> {
        Known {
            fields: &[],
            // Sources that look at it are not asked.
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            is_trusted: false,
            workspace: self.workspace,
            session: self.session,
            user: match self.asker {
                Asker::User(user) => Some(user),
                Asker::Unknown | Asker::Nobody => None,
            },
        }
    }
}
