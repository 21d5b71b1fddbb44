//! HAProxy with one thread, doing what Portico does for a request and no more.

use std::path::Path;
use std::process::Command;

use super::lab::{Kind, OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let address = free_address();
    let configuration = format!(
        "global
    nbthread 1
    maxconn 8000
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout tunnel 1h
    timeout http-request 10s
    timeout http-keep-alive 60s
    http-reuse always
    option forwardfor
frontend traffic
    bind {address}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    use_backend session if {{ req.hdr(host) -i {OPPONENT_HOST} }}
backend session
    server upstream {upstream}
",
        upstream = site.upstream
    );
    let path = site.write("haproxy.cfg", &configuration)?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(path);
    let mut running = site.spawn(command)?;
    site.ready(&mut running, address, OPPONENT_HOST)?;
    Ok(Subject {
        kind: Kind::Haproxy,
        running,
        address,
        host: OPPONENT_HOST.into(),
        version: version(program, "-v"),
    })
}
