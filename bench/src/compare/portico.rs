//! Portico as an operator starts it, with one worker and one session made through its API.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::lab::{Kind, Site, Subject, exchange, version};
use crate::load::head;
use crate::port::free_address;

/// Only this run's processes on loopback ever see it.
const TOKEN: &str = "portico-bench-token-of-one-run-on-loopback";

/// With more settings, by their names in the environment.
pub fn start(
    program: &Path,
    kind: Kind,
    more: &[(&str, &str)],
    site: &Site,
) -> anyhow::Result<Subject> {
    let io = if kind == Kind::PorticoEpoll { "epoll" } else { "uring" };
    ensure!(
        program.exists(),
        "there is no {}; run `cargo build --release` first",
        program.display()
    );
    let (address, control) = (free_address(), free_address());
    let mut command = Command::new(program);
    command
        .args(["serve", "--io", io])
        .current_dir(&site.directory)
        .env("PORTICO_CONNECT_URL", format!("http://connect.localhost:{}", address.port()))
        // The opponents ask nobody either.
        .env("PORTICO_ACCESS__MODE", "open")
        .env("PORTICO_ROUTING", "subdomain")
        .env("PORTICO_PROXY__HTTP", address.to_string())
        .env("PORTICO_PROXY__WORKERS", "1")
        .env("PORTICO_PROXY__DRAIN_TIMEOUT", "1s")
        .env("PORTICO_CONTROL__LISTEN", control.to_string())
        .env("PORTICO_CONTROL__TOKEN", TOKEN)
        .env("PORTICO_MANAGEMENT__LISTEN", "127.0.0.1:0")
        .env("PORTICO_STORE__URL", format!("embedded:{}", site.directory.join("store").display()))
        .envs(more.iter().copied());
    let mut running = site.spawn(command)?;
    site.until(&mut running, "/v1/sessions does not answer", || {
        call(control, "GET", "/v1/sessions", None).is_ok()
    })?;
    let host = create_session(control, site.upstream)?;
    site.ready(&mut running, address, &host)?;
    Ok(Subject { kind, running, address, host, version: version(program, "--version") })
}

/// Answers with the Host of the session's own URL.
fn create_session(control: SocketAddr, upstream: SocketAddr) -> anyhow::Result<String> {
    let session = json!({
        "label": "bench",
        "workspace": "bench",
        "owner": "bench",
        "tool": "bench",
        "upstream": format!("http://{upstream}"),
        "routing": ["subdomain"],
    });
    let created = call(control, "POST", "/v1/sessions", Some(&session))?;
    created["urls"]["subdomain"]
        .as_str()
        .and_then(|url| url.strip_prefix("http://")?.split('/').next())
        .map(str::to_owned)
        .with_context(|| format!("the session has no URL: {created}"))
}

fn call(
    control: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {control}\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(control, request.as_bytes())?;
    let head = head::parse(&answer).map_err(anyhow::Error::msg)?.context("no answer")?;
    let text = String::from_utf8_lossy(&answer[head.head_bytes..]);
    ensure!(matches!(head.status, 200 | 201), "{method} {path}: {}: {text}", head.status);
    Ok(serde_json::from_str(&text)?)
}
