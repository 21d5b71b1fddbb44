//! The addresses to listen on: free, or those of a Portico that runs already.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use portico_core::limits;
use tokio::net::TcpStream;

use super::line::Line;
use super::{Plan, blocking};
use crate::replica::listen::{self, Obstacle};
use crate::settings::Settings;

const PORTS: &str = "ports";
const TIMEOUT: Duration = Duration::from_secs(3);

pub async fn check(plan: Arc<Plan>) -> Vec<Line> {
    let running = running(&plan.settings).await;
    let looked = plan.clone();
    let Some(obstacles) = blocking(move || listen::obstacles(&looked.settings)).await else {
        return Vec::new();
    };
    if obstacles.is_empty() {
        return vec![Line::ok(PORTS, "listeners", "all addresses are free")];
    }
    let told = |Obstacle { address, error, mistake }: Obstacle| {
        let what = format!("{} {address}", mistake.name);
        match error.kind() == ErrorKind::AddrInUse && running {
            true => Line::ok(PORTS, what, "in use by the Portico that runs here"),
            false => Line::settings(PORTS, what, mistake.wrong, mistake.fix),
        }
    };
    obstacles.into_iter().map(told).collect()
}

/// Whether a Portico with these settings runs here: its management listener says so.
pub async fn running(settings: &Settings) -> bool {
    let Some(address) = settings.management.filter(|address| address.port() != 0) else {
        return false;
    };
    let asked = tokio::time::timeout(TIMEOUT, ready(reachable(address))).await;
    matches!(asked, Ok(Ok(true)))
}

/// Where a listener on all addresses is reached from here.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Ready or not, its answer is one that only Portico gives.
async fn ready(address: SocketAddr) -> anyhow::Result<bool> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz").header(header::HOST, address.to_string());
    let response = sender.send_request(request.body(Full::<Bytes>::default())?).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), limits::API_BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let known = matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE);
    Ok(known && said["feed"].is_object())
}
