//! The names of everything that Portico keeps in a Redis. All of them carry one hash tag, the
//! prefix in braces, so that in a Cluster they are in one slot and a script may change them in one
//! step. There is a fixed number of them, two for each hour of usage, and those of quotas, which
//! expire: none has a session's or a workspace's name in it, but for accounts of quotas.

use portico_core::quota::WindowKey;
use portico_core::record::Kind;
use portico_core::session::Name;
use portico_core::usage::Hour;

use super::super::quotas;
use super::Failure;

/// Parts of the keys' names, in the order in which the scripts take them.
const OF_SCRIPTS: [&str; 13] = [
    "identity",
    "form",
    "position",
    "log",
    "audit",
    "sessions",
    "labels",
    "ids",
    "workspaces",
    "tombstones",
    "once",
    "once-order",
    "redeemed",
];

#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Braces in the prefix would make another hash tag of it.
    pub fn new(prefix: &str) -> Result<Self, Failure> {
        match prefix.parse::<Name>() {
            Ok(_) if !prefix.contains(['{', '}']) => Ok(Self { prefix: prefix.to_owned() }),
            _ => Err(Failure::Prefix(prefix.to_owned())),
        }
    }

    /// A random text; a string.
    pub fn identity(&self) -> String {
        self.key("identity")
    }

    /// The form of all this; a string.
    pub fn form(&self) -> String {
        self.key("form")
    }

    /// Of the newest change; a string.
    pub fn position(&self) -> String {
        self.key("position")
    }

    /// The change log: a stream with the ids `<position>-0`.
    pub fn log(&self) -> String {
        self.key("log")
    }

    /// The audit log: a stream with the ids `<position>-0`.
    pub fn audit(&self) -> String {
        self.key("audit")
    }

    /// id → record; a hash.
    pub fn sessions(&self) -> String {
        self.key("sessions")
    }

    /// The ids in order: a sorted set, all scores 0.
    pub fn ids(&self) -> String {
        self.key("ids")
    }

    /// `<workspace>\0<id>` in order: a sorted set, all scores 0. One for all workspaces, because a
    /// script must not touch a key that it was not given.
    pub fn workspaces(&self) -> String {
        self.key("workspaces")
    }

    /// Labels of deleted sessions by the position of the deletion; a sorted set.
    pub fn tombstones(&self) -> String {
        self.key("tombstones")
    }

    /// name → document; a hash for each kind.
    pub fn documents(&self, kind: Kind) -> String {
        self.key(&format!("documents:{kind}"))
    }

    /// Names of living processes by the end of their time in milliseconds of Redis's clock; a
    /// sorted set.
    pub fn beats(&self) -> String {
        self.key("beats")
    }

    /// What those processes say of themselves; a hash, name → note.
    pub fn notes(&self) -> String {
        self.key("beats:notes")
    }

    /// Writer → its last number, in 20 digits; a hash.
    pub fn usage_writers(&self) -> String {
        self.key("usage-writers")
    }

    /// Session → what each writer last said of its activity; a hash.
    pub fn activity(&self) -> String {
        self.key("activity")
    }

    /// The numbers of an hour's rows; a string that ends by itself.
    pub fn usage_rows(&self, Hour(hour): Hour) -> String {
        self.key(&format!("usage:{hour}"))
    }

    /// `<workspace>\0<user>\0<session>` → the place of its row; a hash that ends by itself.
    pub fn usage_slots(&self, Hour(hour): Hour) -> String {
        self.key(&format!("usage:{hour}:slots"))
    }

    /// What the script that adds usage is given. The orders are sorted sets: writers and sessions
    /// by when they were last written.
    pub fn of_usage(&self, hours: &[Hour]) -> Vec<String> {
        let fixed = [
            self.identity(),
            self.form(),
            self.usage_writers(),
            self.key("usage-writers-order"),
            self.activity(),
            self.key("activity-order"),
        ];
        let hours = hours.iter().flat_map(|hour| [self.usage_rows(*hour), self.usage_slots(*hour)]);
        fixed.into_iter().chain(hours).collect()
    }

    /// What is counted in a window of a quota's account; a hash.
    pub fn quota(&self, of: &WindowKey) -> String {
        self.key(&format!("quota:{}", quotas::name(of)))
    }

    /// The number of the last batch that a process has counted; a string.
    pub fn quota_writer(&self, writer: &Name) -> String {
        self.key(&format!("quota-writer:{writer}"))
    }

    /// What a script is given, but for the documents.
    pub fn of_scripts(&self) -> impl Iterator<Item = String> {
        OF_SCRIPTS.into_iter().map(|name| self.key(name))
    }

    fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_have_one_hash_tag() {
        let keys = Keys::new("connect:session").unwrap();
        assert_eq!(keys.identity(), "{connect:session}:identity");
        assert_eq!(keys.documents(Kind::AllowList), "{connect:session}:documents:allow-list");
        let all = keys.of_scripts().chain(keys.of_usage(&[Hour(7)]));
        assert!(all.into_iter().all(|key| key.starts_with("{connect:session}:")));
        for prefix in ["", "a{b", "a}b", "a b", "{}"] {
            assert!(Keys::new(prefix).is_err(), "{prefix}");
        }
    }
}
