//! A workspace: whether it may have routes at all, and what its sessions may use together. The
//! stored and configured forms are values (`AllowList`, `Limits`); what the workers ask at each
//! request is one `Workspace`, shared by all of its routes. It must not know who changes it.

mod gate;
mod registry;
mod stored;

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use crate::session::{Name, NameError};

pub use gate::{Excess, Share, Workspace};
pub use registry::Registry;
pub use stored::{Origin, StoredAllowList};

/// Which workspaces have routes. As today's setting says it: unset = all, a list = only those,
/// empty = none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllowList {
    #[default]
    All,
    Only(BTreeSet<Name>),
}

/// What one workspace may use, of everything that has a bound. None: as much as the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Sessions that exist, in whatever state.
    pub sessions_max: Option<NonZeroU64>,
    /// Requests under way and open WebSockets, together.
    pub connections_max: Option<NonZeroU64>,
    pub requests_per_second_max: Option<NonZeroU64>,
    /// Both directions together.
    pub bytes_per_second_max: Option<NonZeroU64>,
}

impl AllowList {
    /// From the words of a list; blank ones are what a trailing comma leaves.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let words = words.into_iter().map(str::trim).filter(|word| !word.is_empty());
        Ok(Self::Only(words.map(str::parse).collect::<Result<_, _>>()?))
    }

    pub fn allows(&self, workspace: &Name) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(workspace),
        }
    }
}

impl Limits {
    pub const NONE: Self = Self {
        sessions_max: None,
        connections_max: None,
        requests_per_second_max: None,
        bytes_per_second_max: None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_allows_only_those_and_an_empty_one_nobody() {
        assert!(AllowList::All.allows(&name("12345")));
        let some = AllowList::of_words(["12345", " 67890 ", ""]).unwrap();
        assert!(some.allows(&name("12345")) && some.allows(&name("67890")));
        assert!(!some.allows(&name("1234")));
        let none = AllowList::of_words([""]).unwrap();
        assert_eq!(none, AllowList::Only(BTreeSet::new()));
        assert!(!none.allows(&name("12345")));
        assert!(AllowList::of_words(["a b"]).is_err());
    }
}
