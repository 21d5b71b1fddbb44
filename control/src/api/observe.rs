//! One counter for every request, and one log line for every one that was refused or changed
//! something. It looks at requests and answers from outside and must not alter what they mean.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{IntCounterVec, Opts, Registry};

use super::Api;
use super::problem::Kind;

pub struct Counters {
    /// Requests to the API by method (`other` for unknown ones), route (`none` for unknown paths)
    /// and status.
    requests: IntCounterVec,
}

impl Counters {
    pub fn register(metrics: &Registry) -> Self {
        let about = Opts::new("portico_api_requests_total", "Requests to the /v1 API");
        let requests = IntCounterVec::new(about, &["method", "route", "status"])
            .expect("the name and the labels are valid");
        if let Err(error) = metrics.register(Box::new(requests.clone())) {
            tracing::error!(error = %error, "the API's counters will not be shown");
        }
        Self { requests }
    }
}

pub async fn observe(
    State(api): State<Arc<Api>>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    // Sessions change at any time, and what one token may read is not for a cache on the way.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let status = response.status();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    api.counters.requests.with_label_values(&[word(&method), route, status.as_str()]).inc();
    if !method.is_safe() || status.is_client_error() || status.is_server_error() {
        let location = response.headers().get(header::LOCATION).and_then(|l| l.to_str().ok());
        tracing::info!(
            method = %method,
            path = location.unwrap_or(&path),
            status = status.as_u16(),
            problem = response.extensions().get::<Kind>().map(|kind| kind.slug()),
            took_us = started.elapsed().as_micros() as u64,
            "api request"
        );
    }
    response
}

/// A bounded set, because a method is whatever a client writes.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
