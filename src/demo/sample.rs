//! The demo's own tool: a small page that shows what a session sees of its requests, a WebSocket,
//! and a check of bodies both ways. It answers below any prefix, because under path routing it
//! gets one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::failure::{Failure, Outcome};

/// The most that the page may ask to be sent, which is made in memory.
const DOWNLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;
const TICK: Duration = Duration::from_secs(1);

pub struct Sample {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Sample {
    pub async fn start() -> Outcome<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    pub async fn start_at(address: SocketAddr) -> Outcome<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::machine(error).while_doing(format!("cannot use {address}"))
        })?;
        let address = listener.local_addr().map_err(Failure::machine)?;
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router()).await {
                tracing::error!(%error, "the sample session ended");
            }
        });
        Ok(Self { address, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn upstream(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router() -> Router {
    ["", "/_studio/{label}"].iter().fold(Router::new(), |router, prefix| {
        let at = |name: &str| format!("{prefix}/{name}");
        router
            .route(&at(""), get(|| async { Html(include_str!("sample.html")) }))
            .route(&at("headers"), get(headers))
            .route(&at("socket"), any(socket))
            .route(&at("download"), get(download))
            .route(&at("upload"), post(upload))
    })
}

/// What reached the session, which is what Portico made of the browser's request.
async fn headers(request: Request) -> Json<Value> {
    let fields: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| [name.as_str().into(), String::from_utf8_lossy(value.as_bytes())])
        .collect();
    Json(json!({
        "line": format!("{} {} {:?}", request.method(), request.uri(), request.version()),
        "fields": fields,
    }))
}

/// A clock that also says back what it is told.
async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(talk)
}

async fn talk(mut socket: WebSocket) {
    let mut clock = tokio::time::interval(TICK);
    let mut seconds = 0_u64;
    loop {
        let answer = tokio::select! {
            _ = clock.tick() => {
                seconds += 1;
                Message::text(format!("open for {} s", seconds - 1))
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => Message::text(format!("you said: {text}")),
                Some(Ok(Message::Binary(bytes))) => Message::Binary(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

/// Bytes that the page can make for itself and compare.
fn pattern(at: usize) -> u8 {
    (at.wrapping_mul(31) ^ (at >> 8)) as u8
}

async fn download(Query(query): Query<Vec<(String, String)>>) -> Response {
    let bytes = query.iter().find(|(name, _)| name == "bytes");
    match bytes.and_then(|(_, text)| text.parse::<usize>().ok()) {
        Some(bytes) if bytes <= DOWNLOAD_BYTES_MAX => {
            let body: Vec<u8> = (0..bytes).map(pattern).collect();
            let mut fields = HeaderMap::new();
            fields.insert(header::CONTENT_TYPE, "application/octet-stream".parse().expect("ASCII"));
            (fields, Bytes::from(body)).into_response()
        }
        _ => (StatusCode::BAD_REQUEST, "write download?bytes=1048576").into_response(),
    }
}

/// Says how many bytes came, and which was the first that is not as the page sent it.
async fn upload(body: Body) -> Result<Json<Value>, StatusCode> {
    let (mut body, mut received, mut wrong_at) = (body, 0_usize, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
        let Ok(data) = frame.into_data() else { continue };
        if wrong_at.is_none() {
            let expected = (received..).map(pattern);
            let differs = data.iter().zip(expected).position(|(is, should)| *is != should);
            wrong_at = differs.map(|at| received + at);
        }
        received += data.len();
    }
    Ok(Json(json!({ "bytes": received, "wrong_at": wrong_at })))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(sample: &Sample, head: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(sample.address).await.unwrap();
        let length = body.len();
        let rest = format!("Host: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head} HTTP/1.1\r\n{rest}").as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{head}");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        answer.split_off(end + 4)
    }

    #[tokio::test]
    async fn it_answers_below_any_prefix_and_checks_bodies_both_ways() {
        let sample = Sample::start().await.unwrap();
        for prefix in ["", "/_studio/demo"] {
            let page = ask(&sample, &format!("GET {prefix}/"), b"").await;
            assert!(page.starts_with(b"<!doctype html>"));
            let headers = ask(&sample, &format!("GET {prefix}/headers"), b"").await;
            assert!(String::from_utf8(headers).unwrap().contains("[\"host\",\"h\"]"));
            let mut body = ask(&sample, &format!("GET {prefix}/download?bytes=100000"), b"").await;
            assert_eq!(body.len(), 100_000);
            let intact = ask(&sample, &format!("POST {prefix}/upload"), &body).await;
            assert_eq!(intact, b"{\"bytes\":100000,\"wrong_at\":null}");
            body[70_000] ^= 1;
            let broken = ask(&sample, &format!("POST {prefix}/upload"), &body).await;
            assert_eq!(broken, b"{\"bytes\":100000,\"wrong_at\":70000}");
        }
    }
}
