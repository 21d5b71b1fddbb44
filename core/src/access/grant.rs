//! The grant: signed proof that a user may use one session, for a short time, renewed while it is
//! used.

use std::sync::Arc;
use std::time::Duration;

use super::AccessState;
use super::keys::Key;
use super::login::LoginProof;
use super::proven::Proven;
use super::token::{self, Invalid, Kind, Opened, Reader, Writer};
use crate::route::Route;
use crate::session::{Name, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub user: Name,
    pub session: Box<str>,
    /// When that session was created: another one may get its id after it.
    pub session_created_at: Timestamp,
    pub login: LoginProof,
    /// The platform said that the user is of the session's workspace.
    pub member: bool,
    /// `until` is as long as the platform's own answer holds, and is to be asked for again before.
    pub recheck: bool,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// No renewal goes beyond.
    pub until: Timestamp,
}

impl Grant {
    pub fn token(&self, key: &Key) -> String {
        let mut out = Writer::new(Kind::Grant, key.id);
        self.login.write(&mut out);
        out.flag(self.member);
        out.flag(self.recheck);
        for time in [self.session_created_at, self.issued_at, self.expires_at, self.until] {
            out.time(time);
        }
        out.text(self.user.as_str());
        out.text(&self.session);
        out.signed(key)
    }

    /// A token that is good for this route now. What it is not good for is found before the
    /// signature is looked at, which costs most.
    pub fn verify(
        token: &[u8],
        route: &Route,
        state: &AccessState,
        proven: &Proven,
        now: Timestamp,
    ) -> Result<Arc<Self>, Invalid> {
        if let Some(grant) = proven.find(token, &state.keys) {
            grant.is_of(route)?;
            grant.holds(state, now)?;
            return Ok(grant);
        }
        let opened = Opened::decode(token, Kind::Grant)?;
        let grant = Self::read(opened.payload()).ok_or(Invalid::Malformed)?;
        grant.is_of(route)?;
        opened.verify(&state.keys)?;
        grant.holds(state, now)?;
        let grant = Arc::new(grant);
        proven.keep(token, &state.keys, &grant);
        Ok(grant)
    }

    fn is_of(&self, route: &Route) -> Result<(), Invalid> {
        let same = *self.session == *route.session() && self.session_created_at == route.created_at;
        if same { Ok(()) } else { Err(Invalid::OtherSession) }
    }

    fn holds(&self, state: &AccessState, now: Timestamp) -> Result<(), Invalid> {
        token::holds(&self.user, self.login, (self.issued_at, self.expires_at), state, now)
    }

    fn read(mut payload: Reader<'_>) -> Option<Self> {
        let login = LoginProof::read(&mut payload)?;
        let (member, recheck) = (payload.flag()?, payload.flag()?);
        let session_created_at = payload.time()?;
        let (issued_at, expires_at, until) = (payload.time()?, payload.time()?, payload.time()?);
        let (user, session) = (payload.name()?, payload.text()?.into());
        payload.is_at_end().then_some(Self {
            user,
            session,
            session_created_at,
            login,
            member,
            recheck,
            issued_at,
            expires_at,
            until,
        })
    }

    /// The same grant for another while, once half of this one's is over and more can be had.
    pub fn renewed(&self, lifetime: Duration, now: Timestamp) -> Option<Self> {
        let half = self.issued_at.0 + self.expires_at.0.saturating_sub(self.issued_at.0) / 2;
        let expires_at = now.plus(lifetime).min(self.until);
        let worth_it = now.0 >= half && expires_at > self.expires_at;
        worth_it.then(|| Self { issued_at: now, expires_at, ..self.clone() })
    }

    /// More than half of the platform's own answer is over.
    pub fn wants_recheck(&self, now: Timestamp) -> bool {
        self.recheck
            && now.0 >= self.issued_at.0 + self.until.0.saturating_sub(self.issued_at.0) / 2
    }
}
