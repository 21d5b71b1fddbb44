//! Sign-in at the platform by OpenID Connect: what the platform says of itself (`discovery`,
//! `keys`), how Portico becomes one of its clients (`registration`), the authorization code flow
//! with PKCE (`flow`), what a token must be before it is believed (`token`, `identity`), and
//! `logout`.
//!
//! Nothing here knows of cookies, grants or sessions, keeps a sign-in between two calls, or reads a
//! clock: callers give the time, and what they must remember is what they get.

mod error;
mod discovery;
mod kept;
mod keys;
mod provider;
mod client;
mod registration;
mod pkce;
mod callback;
mod flow;
mod answer;
mod token;
mod identity;
mod logout;

#[cfg(test)]
mod tests;

pub use callback::{Callback, Outcome};
pub use client::{Client, ClientAuth};
pub use error::{CallbackError, Fault, OidcError, SettingsError, Step, TokenError};
pub use flow::{AuthorizeRequest, Prompt, SignedIn};
pub use identity::{ClaimNames, Identity};
pub use logout::LogoutOf;
pub use pkce::Verifier;
pub use provider::{Described, Place, Provider, ProviderSettings};
pub use registration::{RegisteredClient, Registration};
