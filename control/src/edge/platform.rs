//! The platform where users sign in, and as which of its clients. A client that Portico registered
//! is kept in the store, so that all replicas are the same one.

use std::time::Duration;

use portico_core::access::Binding;
use portico_core::limits;
use portico_core::record::{DocumentKey, Kind, Version};
use portico_core::session::Timestamp;
use tokio::sync::Mutex;

use crate::clock;
use crate::oidc::{Client, OidcError, Provider, RegisteredClient, Registration};
use crate::store::{Author, Expected, Store, StoreError, Write};

pub struct PlatformSettings {
    pub provider: Provider,
    pub client: ClientSource,
    pub scopes: String,
}

pub enum ClientSource {
    Fixed(Client),
    Registered(Registration),
}

pub struct Platform {
    pub(super) provider: Provider,
    pub(super) scopes: String,
    source: ClientSource,
    /// The registered client with the version of its document.
    known: Mutex<Option<(RegisteredClient, Version)>>,
}

#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    #[error(transparent)]
    Oidc(#[from] OidcError),
    #[error("the client's registration cannot be kept")]
    Store(#[from] StoreError),
}

impl Platform {
    pub fn new(settings: PlatformSettings) -> Self {
        let PlatformSettings { provider, client, scopes } = settings;
        Self { provider, scopes, source: client, known: Mutex::new(None) }
    }

    /// Whether sign-ins are to be renewed unseen.
    pub fn asks_for_later(&self) -> bool {
        self.scopes.split(' ').any(|scope| scope == "offline_access")
    }

    /// As whom to go there. One at a time: two that register at once would be two clients.
    pub async fn client(&self, store: &dyn Store) -> Result<Client, PlatformError> {
        let wanted = match &self.source {
            ClientSource::Fixed(client) => return Ok(client.clone()),
            ClientSource::Registered(wanted) => wanted,
        };
        let now = clock::now();
        let mut known = self.known.lock().await;
        let issuer = self.provider.issuer(now).await?;
        let serves = |client: &RegisteredClient| client.serves(&issuer, &wanted.redirect_uri, now);
        if let Some((client, _)) = known.as_ref().filter(|(client, _)| serves(client)) {
            return Ok(client.client());
        }
        for _ in 0..limits::CHANGE_TRIES_MAX {
            let stored = stored(store).await?;
            if let Some((client, version)) = stored.as_ref().filter(|(client, _)| serves(client)) {
                *known = Some((client.clone(), *version));
                return Ok(client.client());
            }
            let registered = self.provider.register(wanted, now).await?;
            let expected = match &stored {
                Some((_, version)) => Expected::Version(*version),
                None => Expected::Absent,
            };
            let write = Write::PutDocument {
                key: key(),
                body: registered.encode(),
                expected: Some(expected),
            };
            let author = Author::portico().saying("registered at the platform");
            if let Ok(stored) = store.write(write, author).await? {
                tracing::info!(issuer, client = registered.client_id, "registered at the platform");
                let client = registered.client();
                *known = Some((registered, stored.into_document().version));
                return Ok(client);
            }
            // Another replica was faster: its client is everybody's.
        }
        Err(StoreError::Ended.into())
    }

    /// The platform has said that it does not know this client: the next sign-in registers anew.
    pub async fn forget(&self, store: &dyn Store) {
        let Some((client, version)) = self.known.lock().await.take() else { return };
        tracing::warn!(
            client = client.client_id,
            "the platform does not know this client any more"
        );
        let write = Write::DeleteDocument { key: key(), expected: Some(version) };
        let author = Author::portico().saying("the platform does not know it any more");
        // Where it cannot be deleted, or has been, the next one finds out.
        if let Err(error) = store.write(write, author).await {
            tracing::warn!(error = crate::with_causes(&error), "the old registration stays");
        }
    }

    pub async fn keep_registered(&self, store: &dyn Store) {
        let mut failing = false;
        loop {
            let outcome = self.look(store).await;
            let pause = match &outcome {
                Ok(()) => limits::OIDC_CLIENT_CHECK,
                Err(_) => Duration::from_secs(10),
            };
            match outcome {
                Err(error) if !failing => {
                    let error = crate::with_causes(&error);
                    tracing::warn!(error, "the platform cannot sign users in at this moment");
                }
                Ok(()) if failing => tracing::info!("the platform can sign users in again"),
                Ok(()) | Err(_) => {}
            }
            failing = pause != limits::OIDC_CLIENT_CHECK;
            tokio::time::sleep(pause).await;
        }
    }

    /// A browser that is sent to a platform that has forgotten us is stranded there.
    async fn look(&self, store: &dyn Store) -> Result<(), PlatformError> {
        let client = self.client(store).await?;
        if !self.provider.knows(&client, clock::now()).await? {
            self.forget(store).await;
            self.client(store).await?;
        }
        Ok(())
    }

    /// What names a sign-in that the platform knows by this, the same on every replica: so it can
    /// be taken back by that name.
    pub fn login_of(kind: &str, text: &str) -> portico_core::access::LoginId {
        let digest = Binding::of(format!("{kind}\0{text}").as_bytes());
        let mut id = [0; portico_core::access::LoginId::BYTES];
        id.copy_from_slice(&digest.0[..portico_core::access::LoginId::BYTES]);
        portico_core::access::LoginId(id)
    }
}

fn key() -> DocumentKey {
    let name = "platform".parse().expect("a constant that is a name");
    DocumentKey { kind: Kind::Client, name }
}

/// One that cannot be read is of no use, and replaced.
async fn stored(store: &dyn Store) -> Result<Option<(RegisteredClient, Version)>, StoreError> {
    let Some(document) = store.document(key()).await? else { return Ok(None) };
    let nobody = RegisteredClient {
        issuer: String::new(),
        client_id: String::new(),
        client_secret: None,
        auth: crate::oidc::ClientAuth::None,
        redirect_uri: String::new(),
        registered_at: Timestamp(0),
        expires_at: None,
    };
    let client = RegisteredClient::decode(&document.body).unwrap_or(nobody);
    Ok(Some((client, document.version)))
}
