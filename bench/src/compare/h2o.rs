//! h2o with one thread, doing what Portico does for a request and no more. It sets
//! `X-Forwarded-For` and `-Proto` by itself; this release cannot make the third from a request.

use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let (http, https) = (free_address(), free_address());
    let configuration = format!(
        "num-threads: 1
max-connections: 16384
http1-request-timeout: 60
user: root
listen:
  host: 127.0.0.1
  port: {http}
listen:
  host: 127.0.0.1
  port: {https}
  ssl:
    certificate-file: {cert}
    key-file: {key}
hosts:
  \"{OPPONENT_HOST}\":
    paths:
      /:
        proxy.reverse.url: \"http://{upstream}/\"
        proxy.preserve-host: ON
        proxy.websocket: ON
        proxy.websocket.timeout: 3600000
        proxy.timeout.keepalive: 60000
",
        http = http.port(),
        https = https.port(),
        cert = site.certificate.cert.display(),
        key = site.certificate.key.display(),
        upstream = site.upstream
    );
    let path = site.write("h2o.yaml", &configuration)?;
    let mut command = Command::new(program);
    command.args(["-m", "worker", "-c"]).arg(path);
    site.opponent(Kind::H2o, command, (http, https), version(program, "--version"))
}
