//! Who may open which session: the policy of a session, the signed tokens that prove who asks, and
//! what takes them back. All of it is decided from a request, a route and the time; what stores a
//! key or signs a user in is not known here.

mod policy;
mod token;
mod keys;
mod grant;
mod proven;
mod login;
mod ticket;
mod revocation;
mod cookies;
mod origin;
mod gate;
mod admission;

pub use admission::{Admitted, Cause, Question, Refused, Verdict};
pub use cookies::{
    Carrier, CookieName, GRANT_FIELD, LOGIN_COOKIE, START_COOKIE, TRIES_MAX, expired_cookies,
    host_cookie,
};
pub use gate::{AllowedOrigins, Gate, Mode};
pub use grant::Grant;
pub use keys::{Key, KeyId, Keys};
pub use login::{Login, LoginId, LoginProof, Reach};
pub use policy::{Access, AllowedUsers, AllowedUsersError, Policy};
pub use proven::Proven;
pub use revocation::{Revocation, Revocations, Revoked};
pub use ticket::{Binding, Ticket};
pub use token::Invalid;

/// What a route table holds besides routes: the keys by which tokens are believed, and whom they
/// are not believed of any more.
/// Its parts are shared by all tables that have them alike.
#[derive(Debug, Clone, Default)]
pub struct AccessState {
    pub keys: Keys,
    pub revocations: Revocations,
}
