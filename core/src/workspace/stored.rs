//! The stored forms of the allow-list and of a workspace's limits.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::{AllowList, Limits};
use crate::record::{RecordError, member, of_form};
use crate::session::Name;

const FORM: u32 = 1;

/// The allow-list with who set it: a process's settings give way to what the API was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAllowList {
    pub list: AllowList,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Settings,
    Api,
}

#[derive(Serialize, Deserialize)]
struct ListWire {
    v: u32,
    /// `null` is all.
    allowed: Option<Vec<String>>,
    origin: Origin,
}

#[derive(Serialize, Deserialize)]
struct LimitsWire {
    v: u32,
    sessions_max: Option<NonZeroU64>,
    connections_max: Option<NonZeroU64>,
    requests_per_second_max: Option<NonZeroU64>,
    bytes_per_second_max: Option<NonZeroU64>,
}

impl StoredAllowList {
    pub fn encode(&self) -> Vec<u8> {
        let allowed = match &self.list {
            AllowList::All => None,
            AllowList::Only(names) => Some(names.iter().map(Name::to_string).collect()),
        };
        let wire = ListWire { v: FORM, allowed, origin: self.origin };
        serde_json::to_vec(&wire).expect("strings always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: ListWire = of_form(bytes, FORM)?;
        let list = match &wire.allowed {
            None => AllowList::All,
            Some(words) => {
                let names: Result<_, _> = words.iter().map(|word| word.parse()).collect();
                AllowList::Only(member("allowed", names)?)
            }
        };
        Ok(Self { list, origin: wire.origin })
    }
}

impl Limits {
    pub fn encode(&self) -> Vec<u8> {
        let Self { sessions_max, connections_max, requests_per_second_max, bytes_per_second_max } =
            *self;
        let wire = LimitsWire {
            v: FORM,
            sessions_max,
            connections_max,
            requests_per_second_max,
            bytes_per_second_max,
        };
        serde_json::to_vec(&wire).expect("numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let wire: LimitsWire = of_form(bytes, FORM)?;
        Ok(Self {
            sessions_max: wire.sessions_max,
            connections_max: wire.connections_max,
            requests_per_second_max: wire.requests_per_second_max,
            bytes_per_second_max: wire.bytes_per_second_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for list in [AllowList::All, AllowList::of_words([]).unwrap()] {
            for origin in [Origin::Api, Origin::Settings] {
                let stored = StoredAllowList { list: list.clone(), origin };
                assert_eq!(StoredAllowList::decode(&stored.encode()).unwrap(), stored);
            }
        }
        let limits = Limits { connections_max: NonZeroU64::new(7), ..Limits::NONE };
        assert_eq!(Limits::decode(&limits.encode()).unwrap(), limits);
    }

    #[test]
    fn damage_and_newer_forms_are_errors() {
        let list = br#"{"v":1,"allowed":["a b"],"origin":"api"}"#;
        let error = StoredAllowList::decode(list).unwrap_err();
        assert!(matches!(error, RecordError::Member { member: "allowed", .. }), "{error}");
        assert!(matches!(Limits::decode(br#"{"v":2}"#), Err(RecordError::Newer { .. })));
        assert!(matches!(
            Limits::decode(br#"{"v":1,"sessions_max":0}"#),
            Err(RecordError::Json(_))
        ));
    }
}
