//! The edge app: Portico's own pages below `/_portico/`, by which users sign in and out and tickets
//! become grants. It runs on the control plane's threads of every process with a data plane, reads
//! the same route table as the workers, and must not know how a request got here.
//!
//! A sign-in: the session's host sends a browser to the connect host (`sign_in`), that to the
//! platform and back (`platform`), then it is decided who may (`hand_over`), and a ticket carries
//! the user to the session's host, where it becomes a grant (`open`).

mod asked;
mod answer;
mod place;
mod platform;
mod sign_in;
mod hand_over;
mod open;
mod logout;
mod recheck;
mod counters;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use portico_core::access::{AccessState, Gate, Grant, Revocation};
use portico_core::domain::Domains;
use portico_core::record::{DocumentKey, Kind};
use portico_core::route::Route;
use portico_core::session::{Name, Timestamp};

use crate::feed::SharedTable;
use crate::store::{Author, Store, StoreError, Write};
use crate::webhook::Webhook;
use counters::Counters;
pub use platform::{ClientSource, Platform, PlatformSettings};
use recheck::Rechecks;

pub struct EdgeSettings {
    pub domains: Domains,
    pub gate: Gate,
    pub login_lifetime: Duration,
    /// None: there is nowhere to sign in, and sessions open by tickets only.
    pub platform: Option<Platform>,
    pub webhook: Option<Webhook>,
    pub metrics: prometheus::Registry,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

pub(crate) struct Inner {
    settings: EdgeSettings,
    table: SharedTable,
    store: Arc<dyn Store>,
    counters: Counters,
    rechecks: Rechecks,
    /// Tickets of sign-ins that were used here: they are bound to a browser, which comes back to
    /// any replica, but cannot be copied to another browser.
    used: open::Used,
}

impl Edge {
    pub fn new(settings: EdgeSettings, table: SharedTable, store: Arc<dyn Store>) -> Self {
        let counters = Counters::register(&settings.metrics);
        let (rechecks, used) = (Rechecks::default(), open::Used::default());
        Self(Arc::new(Inner { settings, table, store, counters, rechecks, used }))
    }

    /// Gets to know the platform before the first user does, and stays known to it. Runs until it
    /// is dropped.
    pub async fn keep_registered(self) {
        if let Some(platform) = &self.0.settings.platform {
            platform.keep_registered(&*self.0.store).await;
        }
    }

    /// The pages of the connect host. To be asked with a `Door` among the request's extensions.
    pub fn connect_router(&self) -> Router {
        let router = Router::new()
            .route("/_portico/login", get(sign_in::login))
            .route("/_portico/callback", get(sign_in::callback))
            .route("/_portico/logout", get(logout::page).post(logout::log_out))
            .route("/_portico/signed-out", get(logout::signed_out))
            .route("/_portico/backchannel-logout", post(logout::back_channel));
        self.with_tickets(router)
    }

    /// Those of a session's own host.
    pub fn session_router(&self) -> Router {
        self.with_tickets(Router::new())
    }

    fn with_tickets(&self, router: Router<Self>) -> Router {
        router
            .route("/_portico/open", get(open::open).post(open::open_asked))
            .route("/_portico/grant", post(open::grant))
            .fallback(answer::not_found)
            .with_state(self.clone())
    }

    /// A grant whose `until` is the platform's word was used, and half of that is over. Answers the
    /// newer word, once it is there.
    pub fn recheck(&self, grant: &Grant, route: &Arc<Route>) -> Option<Timestamp> {
        recheck::recheck(&self.0, grant, route)
    }

    /// Writes down what happened to whom; that it cannot be written stops nobody.
    pub fn note(&self, action: &'static str, route: &Route, detail: String) {
        self.0.note(action, route, detail);
    }
}

impl Inner {
    fn access(&self) -> AccessState {
        self.table.load().access().clone()
    }

    fn note(&self, action: &'static str, route: &Route, detail: String) {
        let (store, subject) = (self.store.clone(), format!("sessions/{}", route.session()));
        let workspace = Some(route.workspace.name.clone());
        let write = Write::Note { action: action.to_owned(), subject, workspace };
        tokio::spawn(async move {
            let written = store.write(write, Author::portico().saying(&detail)).await;
            if let Err(error) = written {
                let error = crate::with_causes(&error);
                tracing::warn!(error, action, detail, "not written to the audit log");
            }
        });
    }

    async fn revoke(&self, revocation: &Revocation, words: &str) -> Result<(), StoreError> {
        let name = crate::access::revocation_name(&revocation.of);
        let key = DocumentKey { kind: Kind::Revocation, name };
        let write = Write::PutDocument { key, body: revocation.encode(), expected: None };
        // Without a condition there is nothing to conflict with.
        self.store.write(write, Author::portico().saying(words)).await.map(drop)
    }
}

/// Random bytes; where this machine gives none, nobody can sign in.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// A name for the log, of somebody who is known.
fn known(user: &Name) -> &str {
    user.as_str()
}
