//! The one call of the `/v1` API that the demo makes, over HTTP like everybody's.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use portico_control::token::Token;
use portico_core::limits;
use serde_json::Value;
use tokio::net::TcpStream;

/// On loopback, of an API that listens already.
const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Created {
    pub subdomain: String,
    pub path: String,
}

pub async fn create(api: SocketAddr, token: &Token, session: &Value) -> anyhow::Result<Created> {
    let created = tokio::time::timeout(TIMEOUT, post(api, token, session)).await;
    created.unwrap_or_else(|late| Err(late.into())).context("the API did not create the session")
}

async fn post(api: SocketAddr, token: &Token, session: &Value) -> anyhow::Result<Created> {
    let stream = TcpStream::connect(api).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post("/v1/sessions")
        .header(header::HOST, api.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {}", token.secret()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(session.to_string())))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), limits::API_BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    if status != StatusCode::CREATED {
        // A problem (RFC 9457) says it in one sentence.
        let problem = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        bail!("{status}: {}", problem["detail"].as_str().unwrap_or("no reason given"));
    }
    let created: Value = serde_json::from_slice(&body)?;
    let url = |routing: &str| {
        let url = created["urls"][routing].as_str().map(str::to_owned);
        url.with_context(|| format!("no URL for {routing} in {created}"))
    };
    Ok(Created { subdomain: url("subdomain")?, path: url("path")? })
}
