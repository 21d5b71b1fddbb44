//! Who may ask for what: the token of a request, its scope and its workspaces, and the author that
//! a change is written down with. Everything here happens before a body is read.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use portico_core::limits;
use portico_core::session::{Name, Timestamp};

use super::Api;
use super::problem::{Kind, Problem};
use crate::clock;
use crate::store::Author;
use crate::token::{Caller, Scope};

/// Before anything of the body is read. RFC 6750 §3.1: `invalid_token` only to those who sent one.
pub async fn authenticate(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let now = clock::now();
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    if let Some(retry_after) = address.and_then(|address| api.failures.barred(address, now)) {
        return Err(Problem::new(Kind::TooManyFailures, "too many wrong tokens from this address")
            .retry_after(retry_after));
    }
    let mut given = request.headers().get_all(header::AUTHORIZATION).iter();
    let caller = match (given.next(), given.next()) {
        (Some(field), None) => api.settings.keyring.caller(field.as_bytes(), now),
        (None, _) => {
            return Err(Problem::new(
                Kind::Unauthorized,
                "send `Authorization: Bearer <token>` with a token of this Portico",
            ));
        }
        (Some(_), Some(_)) => None,
    };
    let Some(caller) = caller else {
        if let Some(address) = address {
            api.failures.note(address, now);
        }
        return Err(Problem::new(Kind::WrongToken, "this is not a token of this Portico"));
    };
    request.extensions_mut().insert(By { caller, address });
    Ok(next.run(request).await)
}

/// Who makes the request, and from where.
#[derive(Debug, Clone)]
pub struct By {
    pub caller: Caller,
    pub address: Option<IpAddr>,
}

impl By {
    /// One of these scopes is enough.
    pub fn require(&self, scopes: &[Scope]) -> Result<(), Problem> {
        if scopes.iter().any(|scope| self.caller.scopes.allow(*scope)) {
            return Ok(());
        }
        let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        let detail = format!(
            "the token `{}` lacks the scope {}: it has {:?}",
            self.caller.name,
            scopes.join(" or "),
            self.caller.scopes
        );
        Err(Problem::new(Kind::MissingScope, detail))
    }

    /// For what the caller names itself; what it cannot see is told as missing elsewhere.
    pub fn require_workspace(&self, workspace: &Name) -> Result<(), Problem> {
        if self.caller.reaches(workspace) {
            return Ok(());
        }
        let detail = format!("the token `{}` does not reach {workspace}", self.caller.name);
        Err(Problem::new(Kind::OutOfBounds, detail))
    }

    /// For what concerns all workspaces at once.
    pub fn require_unbounded(&self) -> Result<(), Problem> {
        if self.caller.workspaces.is_none() {
            return Ok(());
        }
        let detail = format!("the token `{}` is for some workspaces only", self.caller.name);
        Err(Problem::new(Kind::OutOfBounds, detail))
    }

    pub fn author(&self) -> Author {
        Author {
            name: self.caller.name.clone(),
            address: self.address,
            at: clock::now(),
            detail: None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for By {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Always there behind `authenticate`; without it nobody is let in.
        let by = parts.extensions.get::<By>().cloned();
        by.ok_or_else(|| Problem::new(Kind::Unauthorized, "send a token"))
    }
}

/// Wrong tokens by address: each costs a little time, and who owes too much is not listened to.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<IpAddr, u64>>);

impl Failures {
    /// How long this address is not listened to any more.
    fn barred(&self, address: IpAddr, Timestamp(now): Timestamp) -> Option<Duration> {
        let owed_until = self.owed().get(&address).copied()?;
        let burst = cost() * u64::from(limits::LOGIN_FAILURES_MAX);
        let ahead = owed_until.saturating_sub(now);
        (ahead > burst - cost()).then(|| Duration::from_millis(ahead + cost() - burst))
    }

    fn note(&self, address: IpAddr, Timestamp(now): Timestamp) {
        let mut owed = self.owed();
        if owed.len() >= limits::LOGIN_FAILURE_ADDRESSES_MAX && !owed.contains_key(&address) {
            owed.retain(|_, until| *until > now);
            if owed.len() >= limits::LOGIN_FAILURE_ADDRESSES_MAX {
                return;
            }
        }
        let until = owed.entry(address).or_default();
        *until = (*until).max(now) + cost();
    }

    /// A number is replaced whole, so what a panic left is as good as any.
    fn owed(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost() -> u64 {
    limits::LOGIN_FAILURE_COST.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_barred_after_too_many_failures_and_let_in_again() {
        let failures = Failures::default();
        let (one, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let now = Timestamp(1_000_000);
        for _ in 0..limits::LOGIN_FAILURES_MAX {
            assert_eq!(failures.barred(one, now), None);
            failures.note(one, now);
        }
        assert_eq!(failures.barred(one, now), Some(limits::LOGIN_FAILURE_COST));
        assert_eq!(failures.barred(other, now), None);
        let later = Timestamp(now.0 + cost());
        assert_eq!(failures.barred(one, later), None);
        failures.note(one, later);
        assert!(failures.barred(one, later).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failures = Failures::default();
        for number in 0..limits::LOGIN_FAILURE_ADDRESSES_MAX as u32 + 10 {
            failures.note(IpAddr::from(number.to_be_bytes()), Timestamp(1));
        }
        assert_eq!(failures.owed().len(), limits::LOGIN_FAILURE_ADDRESSES_MAX);
        failures.note(IpAddr::from([10, 0, 0, 1]), Timestamp(u64::MAX / 2));
        assert_eq!(failures.owed().len(), 1, "old ones make room");
    }
}
