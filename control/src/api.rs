//! The `/v1` API: how the platform creates, reads, changes and deletes sessions. It owns tokens,
//! JSON, status codes and validation; what is stored, and when workers see it, is not its business.

mod problem;

mod fields;

mod wire;

mod sessions;

mod observe;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use portico_core::domain::Domains;
use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::session::Routing;

use crate::store::Store;
use crate::token::Token;
use observe::Counters;
use problem::{Kind, Problem};

pub struct ApiSettings {
    pub domains: Domains,
    /// For sessions that are created without `routing`.
    pub default_routing: Routing,
    pub upstream_networks: UpstreamNetworks,
    pub token: Token,
    /// Where the API's own counters are registered.
    pub metrics: prometheus::Registry,
}

struct Api {
    settings: ApiSettings,
    store: Arc<dyn Store>,
    counters: Counters,
}

/// All of the API, to be served on a listener of its own. Nothing of it answers without the token.
pub fn router(settings: ApiSettings, store: Arc<dyn Store>) -> Router {
    let counters = Counters::register(&settings.metrics);
    let api = Arc::new(Api { settings, store, counters });
    Router::new()
        .route("/v1/sessions", get(sessions::list).post(sessions::create))
        .route(
            "/v1/sessions/{id}",
            get(sessions::fetch).patch(sessions::change).delete(sessions::delete),
        )
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(limits::API_BODY_BYTES_MAX))
        .layer(from_fn_with_state(api.clone(), authorize))
        .layer(from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

/// Before anything of the body is read. RFC 6750 §3.1: `invalid_token` only to those who sent one.
async fn authorize(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let mut given = request.headers().get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (Some(field), None) if api.settings.token.authorizes(field.as_bytes()) => {
            Ok(next.run(request).await)
        }
        (None, _) => Err(Problem::new(
            Kind::Unauthorized,
            "send `Authorization: Bearer <token>` with the token of this Portico's settings",
        )),
        (Some(_), _) => {
            Err(Problem::new(Kind::WrongToken, "this is not the token of this Portico"))
        }
    }
}

async fn unknown_path(request: Request) -> Problem {
    Problem::new(Kind::UnknownPath, format!("the API has no {}", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(Kind::WrongMethod, format!("{method} is not possible on {path}: see Allow"))
}
