//! A user's sign-in: who it is, until when, and of which workspaces. Its token is in a cookie of
//! the connect host; grants carry the proof of which sign-in they come.

use std::fmt;
use std::str::FromStr;

use super::AccessState;
use super::keys::Key;
use super::token::{Invalid, Kind, Opened, Reader, Writer};
use crate::limits;
use crate::session::{Name, Timestamp};

/// Of one sign-in; random, or made from what the platform calls it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginId(pub [u8; LoginId::BYTES]);

/// Which sign-in something comes of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginProof {
    pub id: LoginId,
    pub at: Timestamp,
}

/// What somebody gets with a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Who signed in: every session that lets the user in.
    Sessions,
    /// Who came with a ticket, which is for one session: nothing but what stands beside it. Else
    /// a stolen ticket would open all that its user has.
    Ticket,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: Name,
    pub proof: LoginProof,
    pub reach: Reach,
    pub until: Timestamp,
    /// Of which the platform says that the user is a member.
    pub workspaces: Vec<Name>,
}

impl LoginId {
    pub const BYTES: usize = 16;
}

impl fmt::Display for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for LoginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LoginId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("is not 32 hexadecimal digits")
    }
}

impl LoginProof {
    pub(super) fn write(self, out: &mut Writer) {
        out.bytes(&self.id.0);
        out.time(self.at);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self { id: LoginId(reader.array()?), at: reader.time()? })
    }
}

impl Login {
    pub fn is_member(&self, workspace: &Name) -> bool {
        self.workspaces.contains(workspace)
    }

    /// Of the workspaces the first `LOGIN_WORKSPACES_MAX`: a cookie has 4 KiB.
    pub fn token(&self, key: &Key) -> String {
        let mut out = Writer::new(Kind::Login, key.id);
        self.proof.write(&mut out);
        out.flag(self.reach == Reach::Sessions);
        out.time(self.until);
        out.text(self.user.as_str());
        for workspace in self.workspaces.iter().take(limits::LOGIN_WORKSPACES_MAX) {
            out.text(workspace.as_str());
        }
        out.signed(key)
    }

    pub fn verify(token: &[u8], state: &AccessState, now: Timestamp) -> Result<Self, Invalid> {
        let opened = Opened::decode(token, Kind::Login)?;
        let login = Self::read(opened.payload()).ok_or(Invalid::Malformed)?;
        opened.prove(&login.user, login.proof, (login.proof.at, login.until), state, now)?;
        Ok(login)
    }

    fn read(mut payload: Reader<'_>) -> Option<Self> {
        let proof = LoginProof::read(&mut payload)?;
        let reach = match payload.flag()? {
            true => Reach::Sessions,
            false => Reach::Ticket,
        };
        let (until, user) = (payload.time()?, payload.name()?);
        let mut workspaces = Vec::new();
        while !payload.is_at_end() {
            workspaces.push(payload.name()?);
        }
        Some(Self { user, proof, reach, until, workspaces })
    }
}
