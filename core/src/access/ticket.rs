//! The ticket: carries one user to one session, once, within a minute. The platform asks for one
//! through the API; a sign-in makes one to get from the connect host to the session's own host.
//! That it is used only once is its redeemer's business.

use aws_lc_rs::digest;

use super::AccessState;
use super::keys::Key;
use super::login::LoginProof;
use super::token::{Invalid, Kind, Opened, Reader, Writer};
use crate::label::SessionId;
use crate::session::{Name, Timestamp};

/// What ties a ticket to the browser that asked for it: the digest of a secret in its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding(pub [u8; Binding::BYTES]);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub id: [u8; Ticket::ID_BYTES],
    pub user: Name,
    pub session: SessionId,
    pub session_created_at: Timestamp,
    pub login: LoginProof,
    pub member: bool,
    pub recheck: bool,
    /// Of the grant that it becomes.
    pub until: Timestamp,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// None: whoever brings it first, as the platform's.
    pub binding: Option<Binding>,
    /// Where to go on the session: a path that is checked again before it is used.
    pub to: Box<str>,
}

impl Binding {
    pub const BYTES: usize = 32;

    pub fn of(nonce: &[u8]) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, nonce).as_ref());
        Self(bytes)
    }

    pub fn parse(text: &[u8]) -> Option<Self> {
        data_encoding::BASE64URL_NOPAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for Binding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::BASE64URL_NOPAD.encode(&self.0))
    }
}

impl Ticket {
    pub const ID_BYTES: usize = 16;

    pub fn token(&self, key: &Key) -> String {
        let mut out = Writer::new(Kind::Ticket, key.id);
        out.bytes(&self.id);
        self.login.write(&mut out);
        out.flag(self.member);
        out.flag(self.recheck);
        for time in [self.session_created_at, self.issued_at, self.expires_at, self.until] {
            out.time(time);
        }
        out.flag(self.binding.is_some());
        if let Some(binding) = self.binding {
            out.bytes(&binding.0);
        }
        out.text(self.user.as_str());
        out.text(self.session.as_str());
        out.text(&self.to);
        out.signed(key)
    }

    pub fn verify(token: &[u8], state: &AccessState, now: Timestamp) -> Result<Self, Invalid> {
        let opened = Opened::decode(token, Kind::Ticket)?;
        let ticket = Self::read(opened.payload()).ok_or(Invalid::Malformed)?;
        let holds = (ticket.issued_at, ticket.expires_at);
        opened.prove(&ticket.user, ticket.login, holds, state, now)?;
        Ok(ticket)
    }

    fn read(mut payload: Reader<'_>) -> Option<Self> {
        let (id, login) = (payload.array()?, LoginProof::read(&mut payload)?);
        let (member, recheck) = (payload.flag()?, payload.flag()?);
        let session_created_at = payload.time()?;
        let (issued_at, expires_at, until) = (payload.time()?, payload.time()?, payload.time()?);
        let binding = match payload.flag()? {
            true => Some(Binding(payload.array()?)),
            false => None,
        };
        let (user, session) = (payload.name()?, SessionId::parse(payload.text()?).ok()?);
        let to = payload.text()?.into();
        payload.is_at_end().then_some(Self {
            id,
            user,
            session,
            session_created_at,
            login,
            member,
            recheck,
            until,
            issued_at,
            expires_at,
            binding,
            to,
        })
    }
}
