//! What was counted, by whose it is: rows of the API's answer, and sums of them for the workspaces
//! and users that they are of. It asks nothing and knows no time.

use std::collections::BTreeMap;

use portico_core::usage::{Counted, Rtt};
use serde_json::Value;

/// Of a row that is not a session's, some are empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Whose {
    pub session: String,
    pub workspace: String,
    pub user: String,
}

pub type Rows = BTreeMap<Whose, Counted>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Session,
    Workspace,
    User,
}

impl Dimension {
    pub fn of(self, whose: &Whose) -> Whose {
        match self {
            Self::Session => whose.clone(),
            Self::Workspace => Whose { workspace: whose.workspace.clone(), ..Whose::default() },
            Self::User => Whose { user: whose.user.clone(), ..Whose::default() },
        }
    }
}

/// Adds one item of `GET /v1/usage?by=session`; what it does not have is 0.
pub fn add(rows: &mut Rows, item: &Value) {
    let name = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let whose =
        Whose { session: name("session"), workspace: name("workspace"), user: name("user") };
    let number = |field: &str| item[field].as_u64().unwrap_or_default();
    let counted = Counted {
        connections: number("connections"),
        resets: number("resets"),
        requests: number("requests"),
        bytes_in: number("bytes_in"),
        bytes_out: number("bytes_out"),
        upstream_bytes_in: number("upstream_bytes_in"),
        upstream_bytes_out: number("upstream_bytes_out"),
        segments_in: number("segments_in"),
        segments_out: number("segments_out"),
        retransmits: number("retransmits"),
        rtt: round_trips(&item["rtt"]),
    };
    *rows.entry(whose).or_default() += counted;
}

fn round_trips(json: &Value) -> Rtt {
    let mut rtt = Rtt::default();
    let buckets = json["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (bucket, samples) in rtt.buckets.iter_mut().zip(buckets) {
        *bucket = samples.as_u64().unwrap_or_default();
    }
    rtt
}

/// What came in between. The least round-trip time of that is not known.
pub fn difference(later: &Counted, earlier: &Counted) -> Counted {
    let (later_numbers, earlier_numbers) = (later.numbers(), earlier.numbers());
    let numbers = std::array::from_fn(|i| later_numbers[i].saturating_sub(earlier_numbers[i]));
    let (later, earlier) = (later.rtt.buckets, earlier.rtt.buckets);
    let buckets = std::array::from_fn(|i| later[i].saturating_sub(earlier[i]));
    Counted::of_numbers(numbers, Rtt { buckets, minimum_us: 0 })
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    pub fn rows(items: &[(&str, &str, u64)]) -> Rows {
        let mut rows = Rows::new();
        for (session, workspace, bytes) in items {
            let item = json!({
                "session": session, "workspace": workspace, "user": "ada",
                "bytes_in": bytes, "bytes_out": 2 * bytes, "retransmits": 1, "segments_out": 100,
                "rtt": { "buckets": [0, 0, bytes] },
            });
            add(&mut rows, &item);
        }
        rows
    }

    #[test]
    fn an_item_is_read_and_an_earlier_one_taken_off() {
        let (rows, earlier) =
            (rows(&[("one", "genomics", 700)]), rows(&[("one", "genomics", 300)]));
        let (whose, counted) = rows.first_key_value().unwrap();
        assert_eq!((whose.session.as_str(), whose.user.as_str()), ("one", "ada"));
        let came = difference(counted, &earlier[whose]);
        assert_eq!((came.bytes_in, came.bytes_out, came.retransmits), (400, 800, 0));
        assert_eq!((came.rtt.samples(), came.rtt.quantile_us(0.5)), (400, Some(8)));
        assert!(difference(&earlier[whose], counted).is_nothing(), "never below 0");
    }

    #[test]
    fn a_workspace_is_the_sum_of_its_sessions() {
        let whose = rows(&[("one", "genomics", 1)]).into_keys().next().unwrap();
        let workspace = Dimension::Workspace.of(&whose);
        assert_eq!((workspace.session.as_str(), workspace.workspace.as_str()), ("", "genomics"));
        assert_eq!(Dimension::User.of(&whose).user, "ada");
        assert_eq!(Dimension::Session.of(&whose), whose);
    }
}
