//! Rows of the store, summed up by session, workspace or user, and by hour, day or all of the time.
//! It reads some hours at a time, so that what it holds is bounded by the rows of its answer.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::str::FromStr;

use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::session::{Name, UnknownWord};
use portico_core::usage::{Counted, Hour, Usage, UsageKey};

use crate::clock;
use crate::store::{Store, StoreError, UsageQuery};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Session,
    Workspace,
    User,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Hour,
    Day,
    Total,
}

/// What a row of the answer is of; what it is not is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub at: Hour,
    pub workspace: Option<Name>,
    pub user: Option<Name>,
    pub session: Option<SessionId>,
}

#[derive(Debug, Default)]
pub struct Page {
    pub items: Vec<(Group, Counted)>,
    /// The last one that is on it, where there are more.
    pub next: Option<Group>,
}

pub struct Sums<'a> {
    pub by: Dimension,
    pub step: Step,
    pub query: &'a UsageQuery,
}

const DAY: u32 = 24;
const READ: u32 = limits::USAGE_HOURS_PER_READ_MAX;

impl Sums<'_> {
    /// Those behind a group, of the workspaces that are reached. None where there are more than can
    /// be put together.
    pub async fn page(
        &self,
        store: &dyn Store,
        reaches: impl Fn(&Name) -> bool,
        after: Option<&Group>,
        items_max: usize,
    ) -> Result<Option<Page>, StoreError> {
        let (from, until) = self.kept();
        let mut groups = BTreeMap::<Group, Counted>::new();
        // What is before the cursor's day is not needed.
        let start = match (self.step, after) {
            (Step::Hour | Step::Day, Some(group)) => from.0.max(day(group.at).0),
            _ => from.0,
        };
        let mut next = start;
        while next < until.0 {
            let end = until.0.min(next - next % READ + READ);
            let query = UsageQuery { from: Hour(next), until: Hour(end), ..self.query.clone() };
            for Usage { of, counted } in store.usage(query).await? {
                if reaches(&of.workspace) {
                    *groups.entry(self.group(of)).or_default() += counted;
                }
            }
            if groups.len() > limits::USAGE_GROUPS_MAX {
                return Ok(None);
            }
            let is_whole = match self.step {
                Step::Hour => true,
                Step::Day => end % DAY == 0,
                Step::Total => false,
            };
            if is_whole && behind(&groups, after).count() > items_max {
                break;
            }
            next = end;
        }
        let mut page = Page::default();
        for (group, counted) in behind(&groups, after) {
            if page.items.len() >= items_max {
                page.next = page.items.last().map(|(group, _)| group.clone());
                break;
            }
            page.items.push((group.clone(), *counted));
        }
        Ok(Some(page))
    }

    /// The hours that there can be something of.
    fn kept(&self) -> (Hour, Hour) {
        let now = Hour::of(clock::now()).0;
        let oldest = now.saturating_sub(limits::USAGE_RETENTION.as_secs() as u32 / 3_600 + DAY);
        let (from, until) = (self.query.from.0.max(oldest), self.query.until.0.min(now + DAY));
        (Hour(from), Hour(until))
    }

    /// A name that was asked for is told, too.
    fn group(&self, UsageKey { hour, workspace, user, session }: UsageKey) -> Group {
        let at = match self.step {
            Step::Hour => hour,
            Step::Day => day(hour),
            Step::Total => self.query.from,
        };
        let query = self.query;
        let by_session = self.by == Dimension::Session;
        Group {
            at,
            workspace: (by_session || self.by == Dimension::Workspace || query.workspace.is_some())
                .then_some(workspace),
            user: (by_session || self.by == Dimension::User || query.user.is_some())
                .then_some(user),
            session: (by_session || query.session.is_some()).then_some(session),
        }
    }
}

fn behind<'g>(
    groups: &'g BTreeMap<Group, Counted>,
    after: Option<&Group>,
) -> impl Iterator<Item = (&'g Group, &'g Counted)> {
    groups.range((after.cloned().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
}

/// Its first hour, in UTC.
fn day(Hour(hour): Hour) -> Hour {
    Hour(hour - hour % DAY)
}

impl Group {
    /// No name has a comma in it.
    pub fn cursor(&self) -> String {
        let name = |name: &Option<Name>| name.as_ref().map_or("", Name::as_str).to_owned();
        let session = self.session.as_ref().map_or("", SessionId::as_str);
        format!("{},{},{},{session}", self.at.0, name(&self.workspace), name(&self.user))
    }

    pub fn of_cursor(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let at = parts.next()?.parse().ok().map(Hour)?;
        let mut name = || match parts.next()? {
            "" => Some(None),
            name => name.parse().ok().map(Some),
        };
        let (workspace, user) = (name()?, name()?);
        let session = match parts.next()? {
            "" => None,
            session => Some(SessionId::parse(session).ok()?),
        };
        parts.next().is_none().then_some(Self { at, workspace, user, session })
    }
}

macro_rules! words {
    ($type:ident: $words:literal, $($variant:ident = $word:literal),*) => {
        impl $type {
            pub const WORDS: &str = $words;

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord { expected: Self::WORDS }),
                }
            }
        }
    };
}
words!(Dimension: "session, workspace, user",
       Session = "session", Workspace = "workspace", User = "user");
words!(Step: "hour, day, total", Hour = "hour", Day = "day", Total = "total");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_what_it_was() {
        let all = Group {
            at: Hour(480_000),
            workspace: Some("genomics".parse().unwrap()),
            user: Some("ada@example.com".parse().unwrap()),
            session: Some(SessionId::parse("3e8370e7").unwrap()),
        };
        let some = Group { user: None, session: None, ..all.clone() };
        for group in [all, some] {
            assert_eq!(Group::of_cursor(&group.cursor()), Some(group));
        }
        for text in ["", "1", "1,a,b", "x,a,b,c", "1,a,b,_", "1,a,b,c,d", "-1,,,"] {
            assert_eq!(Group::of_cursor(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight() {
        assert_eq!(day(Hour::of(portico_core::session::Timestamp(1_795_593_599_999))).0 % 24, 0);
        for words in [Dimension::WORDS, Step::WORDS] {
            let known =
                |word: &str| word.parse::<Dimension>().is_ok() || word.parse::<Step>().is_ok();
            assert!(words.split(", ").all(known), "{words}");
        }
    }
}
