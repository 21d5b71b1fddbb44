//! The bearer tokens of the API: secrets that are never shown (`secret`), what each may do
//! (`scope`), how they are kept (`stored`, hashed), and all that are in force (`keyring`).

mod keyring;
mod scope;
mod secret;
mod stored;

pub use keyring::{Caller, Keyring, KeyringFollower, OWN_NAME};
pub use scope::{Scope, Scopes};
pub use secret::{Token, TokenError};
pub use stored::StoredToken;
