//! What takes grants back before their time: all of one sign-in, or all of one user, that began
//! before a moment. Kept for as long as such a grant could still be valid.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::login::{LoginId, LoginProof};
use crate::record::{RecordError, member, of_form};
use crate::session::{Name, Timestamp};

const FORM: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub of: Revoked,
    /// Sign-ins up to this moment.
    pub before: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Revoked {
    Login(LoginId),
    User(Name),
}

/// Shared by the tables, which are many and short-lived.
#[derive(Debug, Clone, Default)]
pub struct Revocations(Arc<HashMap<Revoked, Timestamp>>);

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    before_ms: u64,
}

impl Revocation {
    pub fn encode(&self) -> Vec<u8> {
        let (login, user) = match &self.of {
            Revoked::Login(id) => (Some(id.to_string()), None),
            Revoked::User(name) => (None, Some(name.to_string())),
        };
        let wire = Wire { v: FORM, login, user, before_ms: self.before.0 };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(body: &[u8]) -> Result<Self, RecordError> {
        let wire: Wire = of_form(body, FORM)?;
        let of = match (wire.login, wire.user) {
            (Some(login), None) => Revoked::Login(member("login", login.parse())?),
            (None, Some(user)) => Revoked::User(member("user", user.parse())?),
            _ => member("login", Err("or else `user` must be there"))?,
        };
        Ok(Self { of, before: Timestamp(wire.before_ms) })
    }
}

impl Revocations {
    /// Whether what comes of this sign-in was taken back.
    pub fn cover(&self, user: &Name, login: LoginProof) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let covers = |of: &Revoked| self.0.get(of).is_some_and(|before| login.at <= *before);
        covers(&Revoked::Login(login.id)) || covers(&Revoked::User(user.clone()))
    }

    pub fn insert(&mut self, revocation: Revocation) {
        let before = Arc::make_mut(&mut self.0).entry(revocation.of).or_insert(Timestamp(0));
        *before = revocation.before.max(*before);
    }

    pub fn remove(&mut self, of: &Revoked) {
        Arc::make_mut(&mut self.0).remove(of);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_before_is_taken_back_and_what_comes_later_is_not() {
        let (ada, bob): (Name, Name) = ("ada".parse().unwrap(), "bob".parse().unwrap());
        let login = |id: u8, at| LoginProof { id: LoginId([id; 16]), at: Timestamp(at) };
        let mut revocations = Revocations::default();
        assert!(!revocations.cover(&ada, login(1, 5)));
        let of_ada = Revocation { of: Revoked::User(ada.clone()), before: Timestamp(10) };
        let of_login = Revocation { of: Revoked::Login(LoginId([2; 16])), before: Timestamp(7) };
        for revocation in [&of_ada, &of_login] {
            assert_eq!(&Revocation::decode(&revocation.encode()).unwrap(), revocation);
            revocations.insert(revocation.clone());
        }
        assert!(revocations.cover(&ada, login(1, 10)) && !revocations.cover(&ada, login(1, 11)));
        assert!(revocations.cover(&bob, login(2, 7)) && !revocations.cover(&bob, login(3, 7)));
        revocations.remove(&of_ada.of);
        assert!(!revocations.cover(&ada, login(1, 5)));
        assert!(Revocation::decode(br#"{"v":1,"before_ms":1}"#).is_err());
    }
}
