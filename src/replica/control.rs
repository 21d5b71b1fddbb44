//! The control plane of a replica: what follows the feed for the API, the API itself, and what it
//! does in its own time. Wiring only.

use std::sync::Arc;

use axum::Router;
use portico_control::access::{AccessFollower, SharedAccess};
use portico_control::api::{self, ApiSettings};
use portico_control::events::{Events, EventsFollower};
use portico_control::feed::Follower;
use portico_control::idle::{IdleHandle, IdleSessions, OnIdle};
use portico_control::lifespan::{Lifespans, LifespansHandle};
use portico_control::rules::SharedRules;
use portico_control::store::view::View;
use portico_control::store::{Store, viewed::Viewed};
use portico_control::token::{Keyring, Token};
use portico_core::network::UpstreamNetworks;
use portico_core::quota::Ledger;

use crate::settings::Settings;

pub struct Control {
    keyring: Keyring,
    rules: SharedRules,
    access: SharedAccess,
    events: Events,
    events_follower: Option<EventsFollower>,
    lifespans: Lifespans,
    idle: IdleSessions,
    view: View,
}

/// What the control plane does in its own time, until this is dropped.
pub struct Chores {
    _lifespans: LifespansHandle,
    _idle: IdleHandle,
}

impl Control {
    pub fn new(settings: &Settings, token: Option<&Token>) -> Self {
        let allowed = settings.allowed_workspaces.clone();
        let (events, events_follower) = Events::new();
        Self {
            keyring: Keyring::new(token),
            rules: SharedRules::new(allowed, settings.catalogue.clone()),
            access: SharedAccess::default(),
            events,
            events_follower: Some(events_follower),
            lifespans: Lifespans::default(),
            idle: IdleSessions::default(),
            view: View::default(),
        }
    }

    /// To be handed to the feed, once. `remote`: the store may be away, so what is known is kept.
    pub fn followers(&mut self, remote: bool) -> Vec<Box<dyn Follower>> {
        let mut followers: Vec<Box<dyn Follower>> = vec![
            Box::new(self.keyring.follower()),
            Box::new(self.rules.follower()),
            Box::new(AccessFollower::new(self.access.clone())),
            Box::new(self.lifespans.follower()),
            Box::new(self.idle.follower()),
        ];
        if let Some(events) = self.events_follower.take() {
            followers.push(Box::new(events));
        }
        if remote {
            followers.push(Box::new(self.view.follower()));
        }
        followers
    }

    /// The API, and the handle of the rest.
    pub fn serve(
        self,
        settings: &Settings,
        store: Arc<dyn Store>,
        upstream_networks: UpstreamNetworks,
        metrics: prometheus::Registry,
        quotas: Arc<Ledger>,
    ) -> (Router, Chores) {
        let on_idle = match settings.accounting.stop_idle {
            true => OnIdle::Stop,
            false => OnIdle::Tell,
        };
        let chores = Chores {
            _lifespans: self.lifespans.start(store.clone()),
            _idle: self.idle.start(store.clone(), on_idle),
        };
        let store: Arc<dyn Store> = match super::is_remote(settings) {
            true => Arc::new(Viewed::new(store, self.view)),
            false => store,
        };
        let settings = ApiSettings {
            domains: settings.domains.clone(),
            default_routing: settings.routing,
            default_policy: settings.access.default_policy,
            public_sessions: settings.access.gate.public_sessions,
            login_lifetime: settings.access.login_lifetime,
            access: self.access,
            upstream_networks,
            allowed_workspaces: settings.allowed_workspaces.clone(),
            catalogue: settings.catalogue.clone(),
            keyring: self.keyring,
            rules: self.rules,
            events: self.events,
            quotas,
            metrics,
        };
        (api::router(settings, store), chores)
    }
}
