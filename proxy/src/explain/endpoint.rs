//! `GET /explain?url=…` on the management listener. It is for whoever can reach that listener, as
//! the metrics are, and says of one session what the API says to a token. So pages of browsers are
//! kept out, which could otherwise ask through an operator's own network.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Explainer;
use super::asked::{Asked, Parameters};
use crate::management::is_of_a_page;

/// 200 with JSON; 400 for what is no question, 403 for a browser's page.
pub fn router(explainer: Arc<Explainer>) -> Router {
    Router::new().route("/explain", get(explain)).with_state(explainer)
}

async fn explain(
    State(explainer): State<Arc<Explainer>>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    if is_of_a_page(&headers) || !is_asked_by_address(&headers) {
        let text = "not from a browser, and by the listener's address: http://127.0.0.1:9090/…\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let asked = match parameters {
        Ok(Query(parameters)) => Asked::of(&parameters).map_err(|unasked| unasked.to_string()),
        Err(rejection) => Err(rejection.body_text()),
    };
    match asked {
        Ok(asked) => {
            let told = explainer.explain(&asked).await;
            ([(header::CACHE_CONTROL, "no-store")], axum::Json(told)).into_response()
        }
        Err(wrong) => (StatusCode::BAD_REQUEST, format!("{wrong}\n")).into_response(),
    }
}

/// A page can let a name of its own mean this machine (DNS rebinding), and its browser then takes
/// the listener for the page's own, without an `Origin` on a GET. It cannot do so with an address.
fn is_asked_by_address(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_page_could_make_its_own_is_not_answered() {
        let by = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            is_asked_by_address(&headers)
        };
        for host in ["127.0.0.1:9090", "10.0.0.7", "[::1]:9090", "localhost:9090", "LocalHost"] {
            assert!(by(host), "{host}");
        }
        for host in ["evil.example.org:9090", "localhost.evil.org", "127.0.0.1.nip.io", ""] {
            assert!(!by(host), "{host}");
        }
        assert!(!is_asked_by_address(&HeaderMap::new()));
    }
}
