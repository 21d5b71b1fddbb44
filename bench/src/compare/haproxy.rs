//! HAProxy with one thread, doing what Portico does for a request and no more.

use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

pub fn start(program: &Path, kind: Kind, site: &Site) -> anyhow::Result<Subject> {
    let (http, https) = (free_address(), free_address());
    let configuration = format!(
        "global
    nbthread 1
    maxconn 8000
    tune.pool-high-fd-ratio 90
    tune.pool-low-fd-ratio 85
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
    bind {http} backlog 4096
    bind {https} backlog 4096 ssl crt {pem} alpn http/1.1
    http-request set-header X-Forwarded-Proto http unless {{ ssl_fc }}
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    use_backend session if {{ req.hdr(host) -i {OPPONENT_HOST} }}
backend session
    server upstream {upstream}
",
        pem = site.pem()?.display(),
        upstream = site.upstream
    );
    let path = site.write("haproxy.cfg", &configuration)?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(path);
    site.opponent(kind, command, (http, https), version(program, "-v"))
}
