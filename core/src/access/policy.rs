//! Whom a session's owner or its platform lets in.

use std::str::FromStr;
use std::sync::Arc;

use crate::limits;
use crate::session::{Name, NameError, UnknownWord};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The owner.
    #[default]
    Private,
    /// The owner, and whoever the platform says to be of the session's workspace.
    Workspace,
    /// The owner, and those who are named.
    Users,
    /// Everybody, where the operator allows it.
    Public,
}

/// A session's policy, and the users that it names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    pub policy: Policy,
    /// Kept also while the policy is another one.
    pub users: AllowedUsers,
}

/// Sorted, each once. None where there are none, as in most sessions: a million of them count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedUsers(Option<Arc<[Name]>>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowedUsersError {
    #[error("has more than {max} users", max = limits::ALLOWED_USERS_MAX)]
    TooMany,
    #[error("`{0}` {1}")]
    Name(String, NameError),
}

impl Policy {
    pub const WORDS: &str = "private, workspace, users, public";

    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Private => "private",
            Policy::Workspace => "workspace",
            Policy::Users => "users",
            Policy::Public => "public",
        }
    }
}

impl FromStr for Policy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "private" => Ok(Policy::Private),
            "workspace" => Ok(Policy::Workspace),
            "users" => Ok(Policy::Users),
            "public" => Ok(Policy::Public),
            _ => Err(UnknownWord { expected: Self::WORDS }),
        }
    }
}

impl AllowedUsers {
    pub fn of_words<'a>(
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, AllowedUsersError> {
        let mut names = Vec::new();
        for word in words {
            let name = word.parse().map_err(|e| AllowedUsersError::Name(word.to_owned(), e))?;
            names.push(name);
        }
        names.sort();
        names.dedup();
        match names.len() {
            0 => Ok(Self(None)),
            n if n > limits::ALLOWED_USERS_MAX => Err(AllowedUsersError::TooMany),
            _ => Ok(Self(Some(names.into()))),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.0.iter().flat_map(|names| names.iter())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn contains(&self, user: &Name) -> bool {
        self.0.as_ref().is_some_and(|names| names.binary_search(user).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_sorted_and_named_once() {
        let users = AllowedUsers::of_words(["eve", "bob", "eve"]).unwrap();
        assert_eq!(users.iter().map(Name::as_str).collect::<Vec<_>>(), ["bob", "eve"]);
        let (bob, ada) = ("bob".parse().unwrap(), "ada".parse().unwrap());
        assert!(users.contains(&bob) && !users.contains(&ada));
        assert!(AllowedUsers::of_words([]).unwrap().is_empty());
        assert!(matches!(AllowedUsers::of_words(["a b"]), Err(AllowedUsersError::Name(..))));
        let many: Vec<_> = (0..=limits::ALLOWED_USERS_MAX).map(|i| format!("u{i}")).collect();
        let many = AllowedUsers::of_words(many.iter().map(String::as_str));
        assert_eq!(many, Err(AllowedUsersError::TooMany));
    }

    #[test]
    fn a_policy_is_a_word() {
        for word in ["private", "workspace", "users", "public"] {
            assert_eq!(word.parse::<Policy>().unwrap().as_str(), word);
        }
        assert!("open".parse::<Policy>().is_err());
    }
}
