//! From the settings of access to what carries them out: the edge app with its platform and
//! webhook, where there is a data plane that asks for grants.

use std::fs;
use std::sync::Arc;

use portico_control::edge::{
    ClientSource as Source, Edge, EdgeSettings, Platform, PlatformSettings,
};
use portico_control::feed::SharedTable;
use portico_control::oidc::{ClaimNames, Client, Place, Provider, ProviderSettings, Registration};
use portico_control::outbound::Outbound;
use portico_control::secret::Secret;
use portico_control::store::Store;
use portico_control::webhook::{Webhook, WebhookSettings};
use portico_core::domain::Domains;

use crate::failure::{Failure, Outcome};
use crate::settings::{AccessSettings, ClientSource, Issuer, Settings, SignIn};

/// To be called on the control plane's runtime.
pub fn edge(
    settings: &Settings,
    table: SharedTable,
    store: Arc<dyn Store>,
    metrics: prometheus::Registry,
) -> Outcome<Edge> {
    let access = &settings.access;
    let outbound = outbound(access)?;
    if access.sign_in.is_none() {
        tracing::info!(
            "nobody can sign in: sessions open by the platform's tickets only. Set platform_url \
             (or access.issuer) and access.registration_token_file (or access.client_id)"
        );
    }
    let platform = access.sign_in.as_ref();
    let platform = platform.map(|sign_in| platform_of(sign_in, &settings.domains, &outbound));
    let webhook = access.webhook.as_ref().map(|webhook| {
        let settings = WebhookSettings {
            url: webhook.url.clone(),
            token: webhook.token.as_ref().map(|token| Secret::new(token.0.clone())),
            timeout: webhook.timeout,
        };
        Webhook::new(settings, outbound.clone()).map_err(Failure::settings)
    });
    let edge = EdgeSettings {
        domains: settings.domains.clone(),
        gate: access.gate.clone(),
        login_lifetime: access.login_lifetime,
        platform: platform.transpose()?,
        webhook: webhook.transpose()?,
        metrics,
    };
    Ok(Edge::new(edge, table, store))
}

pub fn outbound(access: &AccessSettings) -> Outcome<Outbound> {
    let roots = match &access.ca_file {
        Some(path) => fs::read(path).map_err(Failure::settings)?,
        None => Vec::new(),
    };
    Outbound::new(&roots).map_err(Failure::settings)
}

fn platform_of(sign_in: &SignIn, domains: &Domains, outbound: &Outbound) -> Outcome<Platform> {
    let connect = &domains.connect;
    let redirect_uri = format!("{connect}/_portico/callback");
    let client = match &sign_in.client {
        ClientSource::Fixed { id, secret } => {
            let secret = Some(Secret::new(secret.0.clone()));
            Source::Fixed(Client::fixed(id.as_str(), secret, redirect_uri))
        }
        ClientSource::Registers(token) => Source::Registered(Registration {
            client_name: sign_in.client_name.clone(),
            redirect_uri,
            post_logout_redirect_uri: format!("{connect}/_portico/signed-out"),
            backchannel_logout_uri: format!("{connect}/_portico/backchannel-logout"),
            token: Some(Secret::new(token.0.clone())),
        }),
    };
    let provider = provider(sign_in, outbound)?;
    if provider.is_plain() {
        tracing::warn!(
            "users sign in at a platform without TLS: whoever is on the way can be them"
        );
    }
    let scopes = sign_in.scopes.join(" ");
    Ok(Platform::new(PlatformSettings { provider, client, scopes }))
}

/// Asks nobody yet.
pub fn provider(sign_in: &SignIn, outbound: &Outbound) -> Outcome<Provider> {
    let place = match &sign_in.issuer {
        Issuer::Given(url) => Place::Issuer(url.clone()),
        Issuer::OfPlatform(url) => Place::Platform(url.clone()),
    };
    let claims = ClaimNames {
        user: sign_in.user_claim.clone(),
        workspaces: Some(sign_in.workspaces_claim.clone()),
    };
    Provider::new(ProviderSettings { place, claims }, outbound.clone()).map_err(Failure::settings)
}
