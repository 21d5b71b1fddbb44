//! Portico as an operator starts it, with one worker, everything on, and sessions made through
//! its API.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::kind::Kind;
use super::site::{Site, Subject, exchange, version};
use crate::load::head;
use crate::port::free_address;
use crate::routable;
use crate::world::TOKEN;

/// The cookie that lets its owner into the session.
pub const GRANT: &str = "__Host-portico-grant";
/// Longer than any run, because a renewed grant makes another answer.
const GRANT_LIFETIME: &str = "12h";

/// With more settings, by their names in the environment.
pub fn start(
    program: &Path,
    kind: Kind,
    more: &[(&str, &str)],
    site: &Site,
) -> anyhow::Result<Subject> {
    start_with_routes(program, kind, 1, more, site)
}

/// So many sessions in all; the load knows one of them.
pub fn start_with_routes(
    program: &Path,
    kind: Kind,
    routes: usize,
    more: &[(&str, &str)],
    site: &Site,
) -> anyhow::Result<Subject> {
    let io = if kind == Kind::PorticoEpoll { "epoll" } else { "uring" };
    let (http, https, control) = (free_address(), free_address(), free_address());
    let certificate = &site.certificate;
    let mut command = Command::new(program);
    command
        .args(["serve", "--io", io])
        .current_dir(&site.directory)
        .env("PORTICO_CONNECT_URL", format!("https://connect.localhost:{}", https.port()))
        // Nobody signs in here: the load brings a grant that a ticket became.
        .env("PORTICO_ACCESS__MODE", "closed")
        .env("PORTICO_ACCESS__GRANT_LIFETIME", GRANT_LIFETIME)
        .env("PORTICO_ROUTING", "subdomain")
        .env("PORTICO_PROXY__HTTP", http.to_string())
        .env("PORTICO_PROXY__HTTPS", https.to_string())
        .env(
            "PORTICO_TLS__CERTIFICATES",
            format!("{}:{}", certificate.cert.display(), certificate.key.display()),
        )
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
    let upstream = format!("http://{}", site.upstream);
    routable::load(control, routes.saturating_sub(1), &upstream)?;
    let session = create_session(control, &upstream)?;
    let host = host_of(&session)?;
    site.until(&mut running, "the session is not routed", || {
        status(http, &host, "/").is_some_and(|status| status != 404)
    })?;
    let cookie = grant(control, http, &session)?;
    site.ready(&mut running, http, &host, &cookie)?;
    Ok(Subject {
        kind,
        running,
        http,
        https,
        running_https: None,
        host,
        cookie: Some(cookie),
        version: version(program, "--version"),
    })
}

fn create_session(control: SocketAddr, upstream: &str) -> anyhow::Result<Value> {
    let session = json!({
        "label": "bench",
        "workspace": "bench",
        "owner": "bench",
        "tool": "bench",
        "upstream": upstream,
        "routing": ["subdomain"],
    });
    call(control, "POST", "/v1/sessions", Some(&session))
}

/// The Host of the session's own URL.
fn host_of(session: &Value) -> anyhow::Result<String> {
    session["urls"]["subdomain"]
        .as_str()
        .and_then(|url| url.strip_prefix("https://")?.split('/').next())
        .map(str::to_owned)
        .with_context(|| format!("the session has no URL: {session}"))
}

/// A ticket for the owner, and what the proxy gives for it: the value of a Cookie header.
fn grant(control: SocketAddr, http: SocketAddr, session: &Value) -> anyhow::Result<String> {
    let id = session["id"].as_str().context("the session has no id")?;
    let user = json!({ "user": "bench" });
    let ticket = call(control, "POST", &format!("/v1/sessions/{id}/tickets"), Some(&user))?;
    let url = ticket["urls"]["subdomain"].as_str().context("the ticket has no URL")?;
    let (host, path) = url
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'))
        .with_context(|| format!("no URL of https: {url}"))?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = exchange(http, request.as_bytes())?;
    let cookie = head::field(&answer, b"set-cookie").map(String::from_utf8_lossy);
    cookie
        .and_then(|cookie| {
            let value = cookie.split(';').next()?;
            value.starts_with(&format!("{GRANT}=")).then(|| value.to_owned())
        })
        .with_context(|| format!("no grant for a ticket: {}", String::from_utf8_lossy(&answer)))
}

fn status(address: SocketAddr, host: &str, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes()).ok()?;
    Some(head::parse(&answer).ok()??.status)
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
