//! The tool of the session that a check makes: it answers every request with one word, and sends
//! the messages of WebSockets back.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Ends when it is dropped.
pub struct Tool {
    address: SocketAddr,
    word: String,
    serving: JoinHandle<()>,
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

impl Tool {
    pub async fn start(at: IpAddr) -> std::io::Result<Self> {
        // Nobody else answers with it.
        let random = getrandom::u64().map_err(|_| std::io::ErrorKind::Other)?;
        let word = format!("portico-check-{random:016x}");
        let listener = TcpListener::bind((at, 0)).await?;
        let address = listener.local_addr()?;
        let said = word.clone();
        let answer = move |upgrade: Upgrade| {
            let said = said.clone();
            async move { answer(upgrade, said) }
        };
        let router = Router::new().fallback(answer);
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, word, serving })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn word(&self) -> &str {
        &self.word
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer(upgrade: Upgrade, word: String) -> Response {
    match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(echo),
        Err(_) => word.into_response(),
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}
