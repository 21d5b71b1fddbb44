//! The `/v1` API: how the platform creates, reads, changes and deletes sessions, and how operators
//! rule over workspaces, templates and tokens. It owns tokens, JSON, status codes and validation;
//! what is stored, and when workers see it, is not its business.

mod problem;

mod auth;

mod request;

mod fields;

mod wire;

mod sessions;

mod workspaces;

mod templates;

mod tokens;

mod replicas;

mod events;

mod observe;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post, put};
use portico_core::domain::Domains;
use portico_core::network::UpstreamNetworks;
use portico_core::session::Routing;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;

use crate::events::Events;
use crate::rules::SharedRules;
use crate::store::Store;
use crate::token::{Keyring, Scope};
use auth::{By, Failures};
use events::Listeners;
use observe::Counters;
use problem::{Kind, Problem};

pub struct ApiSettings {
    pub domains: Domains,
    /// For sessions that are created without `routing`.
    pub default_routing: Routing,
    pub upstream_networks: UpstreamNetworks,
    /// Of the settings, in force where nothing else is stored.
    pub allowed_workspaces: AllowList,
    pub catalogue: Catalogue,
    pub keyring: Keyring,
    pub rules: SharedRules,
    pub events: Events,
    /// Where the API's own counters are registered.
    pub metrics: prometheus::Registry,
}

struct Api {
    settings: ApiSettings,
    store: Arc<dyn Store>,
    counters: Counters,
    failures: Failures,
    listeners: Listeners,
}

/// All of the API, to be served on a listener of its own. Nothing of it answers without a token.
pub fn router(settings: ApiSettings, store: Arc<dyn Store>) -> Router {
    let counters = Counters::register(&settings.metrics);
    let (failures, listeners) = (Failures::default(), Listeners::default());
    let api = Arc::new(Api { settings, store, counters, failures, listeners });
    Router::new()
        .merge(of_sessions())
        .merge(of_operators())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(api.clone(), auth::authenticate))
        .layer(from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

fn of_sessions() -> Router<Arc<Api>> {
    use Scope::{SessionsRead, SessionsWrite};
    let change = MethodRouter::new().patch(sessions::change).delete(sessions::delete);
    Router::new()
        .route("/v1/sessions", needing(SessionsRead, get(sessions::list)))
        .route("/v1/sessions", needing(SessionsWrite, post(sessions::create)))
        .route("/v1/sessions/{id}", needing(SessionsRead, get(sessions::fetch)))
        .route("/v1/sessions/{id}", needing(SessionsWrite, change))
        .route("/v1/bulk/sessions", needing(SessionsWrite, post(sessions::bulk)))
        .route("/v1/events", needing(SessionsRead, get(events::listen)))
}

fn of_operators() -> Router<Arc<Api>> {
    use Scope::{Admin, SessionsRead, WorkspacesWrite};
    let list = put(workspaces::put_list).delete(workspaces::delete_list);
    let limits = put(workspaces::put).delete(workspaces::delete);
    let template = put(templates::put).delete(templates::delete);
    Router::new()
        .route("/v1/workspaces", needing(SessionsRead, get(workspaces::list)))
        .route("/v1/workspaces", needing(WorkspacesWrite, list))
        .route("/v1/workspaces/{name}", needing(SessionsRead, get(workspaces::fetch)))
        .route("/v1/workspaces/{name}", needing(WorkspacesWrite, limits))
        .route("/v1/templates", needing(SessionsRead, get(templates::list)))
        .route("/v1/templates/{key}", needing(SessionsRead, get(templates::fetch)))
        .route("/v1/templates/{key}", needing(Admin, template))
        .route("/v1/tokens", needing(Admin, get(tokens::list).post(tokens::create)))
        .route("/v1/tokens/{name}", needing(Admin, get(tokens::fetch).delete(tokens::revoke)))
        .route("/v1/tokens/{name}/rotate", needing(Admin, post(tokens::rotate)))
        .route("/v1/replicas", needing(SessionsRead, get(replicas::list)))
        .route("/v1/audit", needing(Admin, get(replicas::audit)))
}

/// Handlers that only a token with this scope reaches, before anything of a body is read.
fn needing(scope: Scope, handlers: MethodRouter<Arc<Api>>) -> MethodRouter<Arc<Api>> {
    handlers.layer(from_fn(move |by: By, request: Request, next: Next| async move {
        by.require(scope)?;
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
