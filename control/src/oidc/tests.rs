//! Sign-ins at a small platform of our own, which can do everything wrong. The real one (npm's
//! `oidc-provider`) is met by the tests of the whole.

mod platform;
mod signer;
mod discovery;
mod registration;
mod flow;
mod tokens;
mod logout;
