//! The `/v1` API: how the platform creates, reads, changes and deletes sessions, and how operators
//! rule over workspaces, templates and tokens. It owns tokens, JSON, status codes and validation;
//! what is stored, and when workers see it, is not its business.

mod operation;

mod operations;

mod openapi;

mod docs;

mod schema;

mod problem;

mod auth;

mod request;

mod fields;

mod wire;

mod sessions;

mod tickets;

mod connections;

mod activity;

mod usage;

mod access;

mod workspaces;

mod templates;

mod tokens;

mod store;

mod replicas;

mod quotas;

mod events;

mod observe;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::MethodRouter;
use portico_core::access::Policy;
use portico_core::domain::Domains;
use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::quota::Ledger;
use portico_core::session::Routing;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
use tokio::sync::Semaphore;

pub use crate::access::SharedAccess;
use crate::events::Events;
use crate::rules::SharedRules;
use crate::store::Store;
use crate::token::{Keyring, Scope};
use auth::{By, Failures};
use events::Listeners;
use observe::Counters;
use operation::{Access, Operation, Place};
use problem::{Kind, Problem};
pub use quotas::near as near_quotas;

pub struct ApiSettings {
    pub domains: Domains,
    /// For sessions that are created without `routing`.
    pub default_routing: Routing,
    /// For sessions that are created without `access`.
    pub default_policy: Policy,
    /// Whether a session may be open to everybody.
    pub public_sessions: bool,
    /// How long what comes of a ticket can be renewed, as after a sign-in.
    pub login_lifetime: Duration,
    /// The keys that tickets are signed with; the feed fills it.
    pub access: SharedAccess,
    pub upstream_networks: UpstreamNetworks,
    /// Of the settings, in force where nothing else is stored.
    pub allowed_workspaces: AllowList,
    pub catalogue: Catalogue,
    pub keyring: Keyring,
    pub rules: SharedRules,
    pub events: Events,
    /// What this process counts; without a data plane nothing.
    pub quotas: Arc<Ledger>,
    /// Where the API's own counters are registered.
    pub metrics: prometheus::Registry,
}

struct Api {
    settings: ApiSettings,
    store: Arc<dyn Store>,
    counters: Counters,
    failures: Failures,
    listeners: Listeners,
    usage_reads: Semaphore,
}

/// All of the API, to be served on a listener of its own, with the addresses of its clients.
/// Nothing of it answers without a token but its description (`operations::documents` says why).
pub fn router(settings: ApiSettings, store: Arc<dyn Store>) -> Router {
    let counters = Counters::register(&settings.metrics);
    let (failures, listeners) = (Failures::default(), Listeners::default());
    let usage_reads = Semaphore::new(limits::USAGE_READS_MAX);
    let api = Arc::new(Api { settings, store, counters, failures, listeners, usage_reads });
    let (mut open, mut closed) = (Router::new(), Router::new());
    for operation in operations::all() {
        let (path, access) = (operation.path, operation.access);
        match access {
            Access::Open => open = open.route(path, operation.handler.fallback(wrong_method)),
            Access::Scopes(scopes) => closed = closed.route(path, guarded(operation, scopes)),
        }
    }
    closed
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(api.clone(), auth::authenticate))
        .merge(open)
        .layer(from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

/// The OpenAPI 3.1 document: what `control/openapi.json` must be.
pub fn document() -> &'static str {
    openapi::text()
}

/// The handler, reached only by a token with one of these scopes, before a body is read.
fn guarded(operation: Operation, scopes: &'static [Scope]) -> MethodRouter<Arc<Api>> {
    let takes_query = operation.has(Place::Query);
    operation.handler.layer(from_fn(move |by: By, request: Request, next: Next| async move {
        by.require(scopes)?;
        if !takes_query {
            request::no_query(request.uri())?;
        }
        Ok::<_, Problem>(next.run(request).await)
    }))
}

async fn unknown_path(request: Request) -> Problem {
    Problem::new(Kind::UnknownPath, format!("the API has no {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(Kind::WrongMethod, format!("{method} is not possible on {path}: see Allow"))
}
