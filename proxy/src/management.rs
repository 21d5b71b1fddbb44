//! What operators and their machines ask of a process: whether it lives, whether to send it
//! traffic, what it counts, and to drain. Served on a listener of its own, on the control-plane
//! threads, so that a busy worker cannot make a healthy process look dead. Does not know how the
//! answers are found: readiness and drain are closures.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::{Map, Value, json};

/// Whether this process wants traffic, and what there is to say about it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    pub ready: bool,
    /// Further members of the answer, for people: what is loaded, how old it is, what is missing.
    pub detail: Map<String, Value>,
}

struct Management {
    registry: Registry,
    ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    drain: Arc<dyn Fn() + Send + Sync>,
}

/// `GET /healthz`: 200 while the process runs. `GET /readyz`: 200 or 503 with JSON. `GET /metrics`:
/// Prometheus' text. `POST /drain`: 202, and the drain begins.
pub fn router(
    registry: Registry,
    ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    drain: Arc<dyn Fn() + Send + Sync>,
) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/drain", post(begin_drain))
        .with_state(Arc::new(Management { registry, ready, drain }))
}

async fn readyz(State(management): State<Arc<Management>>) -> Response {
    let Readiness { ready, detail } = (management.ready)();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = Map::from_iter([("ready".to_owned(), json!(ready))]);
    body.extend(detail.into_iter().filter(|(name, _)| name != "ready"));
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

async fn metrics(State(management): State<Arc<Management>>) -> Response {
    match TextEncoder::new().encode_to_string(&management.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Browsers say where a request comes from, and no page has a reason to drain a replica: without
/// this check, any page that an operator opens could do so through the operator's own network.
async fn begin_drain(State(management): State<Arc<Management>>, headers: HeaderMap) -> Response {
    if is_of_a_page(&headers) {
        return (StatusCode::FORBIDDEN, "not from a browser\n").into_response();
    }
    (management.drain)();
    (StatusCode::ACCEPTED, "draining\n").into_response()
}

pub(crate) fn is_of_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    struct World {
        address: SocketAddr,
        ready: Arc<AtomicBool>,
        drains: Arc<AtomicUsize>,
        _runtime: tokio::runtime::Runtime,
    }

    fn world() -> World {
        let registry = Registry::new();
        let gauge = prometheus::IntGauge::new("a_gauge", "A gauge.").unwrap();
        registry.register(Box::new(gauge)).unwrap();
        let ready = Arc::new(AtomicBool::new(true));
        let drains = Arc::new(AtomicUsize::new(0));
        let (asked, drained) = (ready.clone(), drains.clone());
        let router = router(
            registry,
            Arc::new(move || Readiness {
                ready: asked.load(Ordering::Relaxed),
                detail: Map::from_iter([("sessions".to_owned(), json!(3))]),
            }),
            Arc::new(move || {
                drained.fetch_add(1, Ordering::Relaxed);
            }),
        );
        let runtime =
            tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        World { address, ready, drains, _runtime: runtime }
    }

    impl World {
        fn ask(&self, method: &str, path: &str, more: &str) -> String {
            let mut stream = TcpStream::connect(self.address).unwrap();
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{more}\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        }
    }

    #[test]
    fn health_readiness_and_metrics_are_answered() {
        let world = world();
        assert!(world.ask("GET", "/healthz", "").starts_with("HTTP/1.1 200 "));
        let ready = world.ask("GET", "/readyz", "");
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
        assert!(ready.ends_with("\r\n\r\n{\"ready\":true,\"sessions\":3}"), "{ready}");
        world.ready.store(false, Ordering::Relaxed);
        let unready = world.ask("GET", "/readyz", "");
        assert!(unready.starts_with("HTTP/1.1 503 "), "{unready}");
        assert!(unready.contains("{\"ready\":false,"), "{unready}");
        let metrics = world.ask("GET", "/metrics", "");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
        assert!(metrics.ends_with("# TYPE a_gauge gauge\na_gauge 0\n"), "{metrics}");
        assert!(world.ask("GET", "/else", "").starts_with("HTTP/1.1 404 "));
    }

    #[test]
    fn a_drain_is_for_post_and_not_for_pages() {
        let world = world();
        for (method, more, status) in [
            ("GET", "", "405"),
            ("POST", "Origin: null\r\n", "403"),
            ("POST", "Sec-Fetch-Site: cross-site\r\n", "403"),
        ] {
            let answer = world.ask(method, "/drain", more);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        assert_eq!(world.drains.load(Ordering::Relaxed), 0);
        assert!(world.ask("POST", "/drain", "").starts_with("HTTP/1.1 202 "));
        assert_eq!(world.drains.load(Ordering::Relaxed), 1);
    }
}
