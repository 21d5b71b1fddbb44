//! configurable-http-proxy, which is one thread of Node: one process for plain HTTP and another for
//! TLS, because each has one listener. It keeps no upstream connection open, whatever it is told.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use serde_json::json;

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject, exchange, version};
use crate::port::free_address;
use crate::process::Running;

/// Only this run's processes on loopback ever see it.
const TOKEN: &str = "portico-bench-of-one-run";

pub fn start(node: &Path, program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let tls = [
        "--ssl-cert".to_owned(),
        site.certificate.cert.display().to_string(),
        "--ssl-key".to_owned(),
        site.certificate.key.display().to_string(),
    ];
    let (mut running, http) = listener(node, program, site, &[])?;
    let (running_https, https) = listener(node, program, site, &tls)?;
    site.ready(&mut running, http, OPPONENT_HOST, "")?;
    let mut asked = Command::new(node);
    asked.arg(program).arg("--version");
    Ok(Subject {
        kind: Kind::Chp,
        running,
        http,
        https,
        running_https: Some(running_https),
        host: OPPONENT_HOST.into(),
        cookie: None,
        version: format!(
            "configurable-http-proxy {}, Node {}",
            said(asked),
            version(node, "--version")
        ),
    })
}

/// A process with the session's route made through its API.
fn listener(
    node: &Path,
    program: &Path,
    site: &Site,
    more: &[String],
) -> anyhow::Result<(Running, SocketAddr)> {
    let (address, api) = (free_address(), free_address());
    let mut command = Command::new(node);
    command
        .arg(program)
        .args(["--ip", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--api-ip", "127.0.0.1", "--api-port", &api.port().to_string()])
        .args(["--host-routing", "--log-level", "error"])
        .args(more)
        .env("CONFIGPROXY_AUTH_TOKEN", TOKEN)
        .env("NODE_ENV", "production");
    let mut running = site.spawn(command)?;
    let target = json!({ "target": format!("http://{}", site.upstream) }).to_string();
    let request = format!(
        "POST /api/routes/{OPPONENT_HOST} HTTP/1.1\r\nHost: {api}\r\n\
         Authorization: token {TOKEN}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{target}",
        target.len()
    );
    site.until(&mut running, "its API does not take a route", || {
        exchange(api, request.as_bytes()).is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 201 "))
    })?;
    ensure!(running.ended().is_none(), "it ended by itself");
    Ok((running, address))
}

fn said(mut command: Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
