//! The form of all signed tokens: base64url of a form byte, what kind it is, the id of the key, the
//! payload, and an HMAC-SHA-256 over all before it. A kind is never taken for another, because it
//! is signed with the rest. What a payload means is its own file's business.

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

use super::AccessState;
use super::keys::{Key, KeyId, Keys};
use super::login::LoginProof;
use crate::limits;
use crate::session::{Name, Timestamp};

const FORM: u8 = 1;
const HEAD_BYTES: usize = 1 + 1 + 4;
const TAG_BYTES: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Grant = 1,
    Login = 2,
    Ticket = 3,
}

/// Why a token is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("it is not a token of this kind")]
    Malformed,
    #[error("its key is unknown")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("its time is over")]
    Expired,
    #[error("it is of the future")]
    Future,
    #[error("it is of another session")]
    OtherSession,
    #[error("it was taken back")]
    Revoked,
    #[error("it is of another sign-in than this browser's")]
    OtherLogin,
    #[error("it was used before")]
    Used,
}

impl Invalid {
    pub const ALL: [Invalid; 9] = [
        Invalid::Malformed,
        Invalid::Key,
        Invalid::Signature,
        Invalid::Expired,
        Invalid::Future,
        Invalid::OtherSession,
        Invalid::Revoked,
        Invalid::OtherLogin,
        Invalid::Used,
    ];

    /// The value of the label `reason` in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Invalid::Malformed => "malformed",
            Invalid::Key => "unknown_key",
            Invalid::Signature => "signature",
            Invalid::Expired => "expired",
            Invalid::Future => "future",
            Invalid::OtherSession => "other_session",
            Invalid::Revoked => "revoked",
            Invalid::OtherLogin => "other_login",
            Invalid::Used => "used",
        }
    }
}

/// A payload being written. Lengths are two bytes: every text in a token is bounded far below.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(kind: Kind, key: KeyId) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[FORM, kind as u8]);
        bytes.extend_from_slice(&key.0.to_be_bytes());
        Self(bytes)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    pub(super) fn text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).expect("texts in tokens are bounded by `limits`");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn time(&mut self, Timestamp(milliseconds): Timestamp) {
        self.0.extend_from_slice(&milliseconds.to_be_bytes());
    }

    pub(super) fn signed(mut self, key: &Key) -> String {
        let tag = hmac::sign(&key.hmac, &self.0);
        self.0.extend_from_slice(tag.as_ref());
        BASE64URL_NOPAD.encode(&self.0)
    }
}

/// A payload being read. Everything is optional, because anybody may have written it; what is read
/// means nothing before `verify`.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = u16::from_be_bytes(self.array()?);
        std::str::from_utf8(self.take(usize::from(length))?).ok()
    }

    pub(super) fn name(&mut self) -> Option<Name> {
        self.text()?.parse().ok()
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp(u64::from_be_bytes(self.array()?)))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
}

/// The bytes of a token that is well-formed on the outside.
pub(super) struct Opened {
    bytes: Vec<u8>,
}

impl Opened {
    /// Nothing but form, kind and length is looked at: the signature costs most and comes last.
    pub(super) fn decode(token: &[u8], kind: Kind) -> Result<Self, Invalid> {
        if token.len() > limits::ACCESS_TOKEN_BYTES_MAX {
            return Err(Invalid::Malformed);
        }
        let bytes = BASE64URL_NOPAD.decode(token).map_err(|_| Invalid::Malformed)?;
        if bytes.len() < HEAD_BYTES + TAG_BYTES || bytes[..2] != [FORM, kind as u8] {
            return Err(Invalid::Malformed);
        }
        Ok(Self { bytes })
    }

    pub(super) fn payload(&self) -> Reader<'_> {
        Reader { bytes: &self.bytes[HEAD_BYTES..self.bytes.len() - TAG_BYTES], at: 0 }
    }

    /// That one of our keys signed it, and that it holds: what every token needs before it means
    /// anything.
    pub(super) fn prove(
        &self,
        user: &Name,
        login: LoginProof,
        times: (Timestamp, Timestamp),
        state: &AccessState,
        now: Timestamp,
    ) -> Result<(), Invalid> {
        self.verify(&state.keys)?;
        holds(user, login, times, state, now)
    }

    /// That one of our keys signed it.
    pub(super) fn verify(&self, keys: &Keys) -> Result<(), Invalid> {
        let id = KeyId(u32::from_be_bytes(
            self.bytes[2..HEAD_BYTES].try_into().map_err(|_| Invalid::Malformed)?,
        ));
        let key = keys.find(id).ok_or(Invalid::Key)?;
        let (signed, tag) = self.bytes.split_at(self.bytes.len() - TAG_BYTES);
        hmac::verify(&key.hmac, signed, tag).map_err(|_| Invalid::Signature)
    }
}

/// Its time is now, and neither its user nor its sign-in was taken back.
pub(super) fn holds(
    user: &Name,
    login: LoginProof,
    (from, to): (Timestamp, Timestamp),
    state: &AccessState,
    now: Timestamp,
) -> Result<(), Invalid> {
    check_time(from, to, now)?;
    match state.revocations.cover(user, login) {
        true => Err(Invalid::Revoked),
        false => Ok(()),
    }
}

/// Clocks of replicas differ a little.
fn check_time(from: Timestamp, to: Timestamp, now: Timestamp) -> Result<(), Invalid> {
    if now >= to {
        return Err(Invalid::Expired);
    }
    match from > now.plus(limits::CLOCK_SKEW_MAX) {
        true => Err(Invalid::Future),
        false => Ok(()),
    }
}
