//! What a token may do. A scope to write includes the one to read the same, and `admin` all.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    SessionsRead,
    SessionsWrite,
    /// To send users into sessions, and nothing else.
    TicketsWrite,
    WorkspacesWrite,
    UsageRead,
    Admin,
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not one of {}", Scope::WORDS)]
pub struct UnknownScope;

impl Scope {
    pub const WORDS: &str =
        "sessions:read, sessions:write, tickets:write, workspaces:write, usage:read, admin";
    pub const ALL: [Self; 6] = [
        Self::SessionsRead,
        Self::SessionsWrite,
        Self::TicketsWrite,
        Self::WorkspacesWrite,
        Self::UsageRead,
        Self::Admin,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionsRead => "sessions:read",
            Self::SessionsWrite => "sessions:write",
            Self::TicketsWrite => "tickets:write",
            Self::WorkspacesWrite => "workspaces:write",
            Self::UsageRead => "usage:read",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

impl Scopes {
    pub const ADMIN: Self = Self(1 << Scope::Admin as u8);

    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }

    pub fn allow(self, wanted: Scope) -> bool {
        let granting: &[Scope] = match wanted {
            Scope::SessionsRead => &[Scope::SessionsRead, Scope::SessionsWrite],
            Scope::TicketsWrite => &[Scope::TicketsWrite, Scope::SessionsWrite],
            Scope::SessionsWrite | Scope::WorkspacesWrite | Scope::UsageRead => &[wanted],
            Scope::Admin => &[],
        };
        self.0 & Scope::Admin.bit() != 0 || granting.iter().any(|scope| self.0 & scope.bit() != 0)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Scope::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_itself_and_what_it_includes() {
        let writes = Scopes::of([Scope::SessionsWrite]);
        assert!(writes.allow(Scope::SessionsWrite) && writes.allow(Scope::SessionsRead));
        assert!(!writes.allow(Scope::WorkspacesWrite) && !writes.allow(Scope::Admin));
        let reads = Scopes::of([Scope::SessionsRead, Scope::UsageRead]);
        assert!(reads.allow(Scope::SessionsRead) && !reads.allow(Scope::SessionsWrite));
        for scope in Scope::ALL {
            assert!(Scopes::ADMIN.allow(scope));
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert!(Scope::WORDS.contains(scope.as_str()));
            assert!(!Scopes::default().allow(scope));
        }
    }
}
