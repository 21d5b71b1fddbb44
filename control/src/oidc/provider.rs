//! The platform as the provider of identities: one for a process, shared by all its sign-ins. It
//! keeps what the platform says of itself and the keys; everything else is asked each time.

use std::sync::Arc;

use portico_core::limits;
use portico_core::session::Timestamp;

use super::discovery::{Document, candidates, discover};
use super::kept::Kept;
use super::keys::Keys;
use super::registration::register;
use super::token::{Claims, Kind, verified};
use super::{ClaimNames, OidcError, RegisteredClient, Registration, SettingsError, TokenError};
use crate::outbound::Outbound;

/// Where its document is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The issuer itself.
    Issuer(String),
    /// The platform's URL: the issuer is there, or at `/api` below it.
    Platform(String),
}

#[derive(Debug, Clone)]
pub struct ProviderSettings {
    pub place: Place,
    pub claims: ClaimNames,
}

/// Of a platform's document, what decides on how Portico is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub issuer: String,
    /// There is an endpoint at which Portico can become a client.
    pub registers_clients: bool,
    pub tells_logout: bool,
}

pub struct Provider {
    pub(super) outbound: Outbound,
    pub(super) claims: ClaimNames,
    issuers: Vec<String>,
    document: Kept<Document>,
    keys: Kept<Keys>,
}

impl Provider {
    /// Asks nobody yet: the platform may start after Portico.
    pub fn new(settings: ProviderSettings, outbound: Outbound) -> Result<Self, SettingsError> {
        Ok(Self {
            outbound,
            claims: settings.claims,
            issuers: candidates(&settings.place)?,
            document: Kept::default(),
            keys: Kept::default(),
        })
    }

    /// Sign-ins travel in clear: for tests, or for an operator to be warned of.
    pub fn is_plain(&self) -> bool {
        self.issuers.iter().any(|issuer| issuer.starts_with("http:"))
    }

    /// As the platform writes it; it is found out when it is first needed.
    pub async fn issuer(&self, now: Timestamp) -> Result<String, OidcError> {
        Ok(self.document(now).await?.issuer.clone())
    }

    /// What it says of itself, for an operator.
    pub async fn described(&self, now: Timestamp) -> Result<Described, OidcError> {
        let document = self.document(now).await?;
        Ok(Described {
            issuer: document.issuer.clone(),
            registers_clients: document.registration.is_some(),
            tells_logout: document.backchannel_logout,
        })
    }

    /// Whether it answers: who is sent to a platform that does not is told nothing there.
    pub async fn answers(&self, now: Timestamp) -> Result<(), OidcError> {
        let fetch = || discover(&self.outbound, &self.issuers);
        self.document.newest(now, limits::OIDC_PRESENCE_TTL, fetch).await.map(drop)
    }

    /// Becomes a client of the platform. Each call makes a new one, so its result is kept.
    pub async fn register(
        &self,
        wanted: &Registration,
        now: Timestamp,
    ) -> Result<RegisteredClient, OidcError> {
        let document = self.document(now).await?;
        register(&self.outbound, &document, wanted, now).await
    }

    pub(super) async fn document(&self, now: Timestamp) -> Result<Arc<Document>, OidcError> {
        let fetch = || discover(&self.outbound, &self.issuers);
        self.document.value(now, limits::OIDC_CACHE_TTL, fetch).await
    }

    /// The claims of a token if it is to be believed. A key that is not known has the keys fetched
    /// anew, once, and only if they are not so new already.
    pub(super) async fn believed(
        &self,
        token: &str,
        kind: Kind,
        client_id: &str,
        now: Timestamp,
        blame: fn(TokenError) -> OidcError,
    ) -> Result<Claims, OidcError> {
        let document = self.document(now).await?;
        let judge = |keys: &Keys| verified(token, kind, keys, &document.issuer, client_id, now);
        let fetch = || Keys::fetch(&self.outbound, &document.keys);
        let keys = self.keys.value(now, limits::OIDC_CACHE_TTL, fetch).await?;
        let mut outcome = judge(&keys);
        if matches!(outcome, Err(TokenError::UnknownKey)) {
            let newer = self.keys.value(now, limits::OIDC_KEYS_REFETCH, fetch).await?;
            if !Arc::ptr_eq(&keys, &newer) {
                outcome = judge(&newer);
            }
        }
        outcome.map_err(blame)
    }
}
