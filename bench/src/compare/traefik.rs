//! Traefik with one thread of Go code, doing what Portico does for a request and no more. It sets
//! `X-Forwarded-For`, `-Proto` and `-Host` by itself.

use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject};
use crate::port::free_address;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let (http, https) = (free_address(), free_address());
    let routes = format!(
        "http:
  routers:
    plain: {{ rule: 'Host(`{OPPONENT_HOST}`)', service: session, entryPoints: [web] }}
    secured:
      rule: 'Host(`{OPPONENT_HOST}`)'
      service: session
      entryPoints: [websecure]
      tls: {{}}
  services:
    session:
      loadBalancer:
        passHostHeader: true
        serversTransport: kept
        servers: [{{ url: 'http://{upstream}' }}]
  serversTransports:
    kept: {{ maxIdleConnsPerHost: 8192 }}
tls:
  certificates: [{{ certFile: '{cert}', keyFile: '{key}' }}]
",
        upstream = site.upstream,
        cert = site.certificate.cert.display(),
        key = site.certificate.key.display()
    );
    let routes = site.write("routes.yaml", &routes)?;
    let settings = format!(
        "entryPoints:
  web: {{ address: '{http}' }}
  websecure: {{ address: '{https}' }}
providers:
  file: {{ filename: '{}' }}
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
",
        routes.display()
    );
    let path = site.write("traefik.yaml", &settings)?;
    let mut command = Command::new(program);
    command.arg("--configFile").arg(path).env("GOMAXPROCS", "1");
    site.opponent(Kind::Traefik, command, (http, https), release(program))
}

fn release(program: &Path) -> String {
    let output = Command::new(program).arg("version").output().map(|output| output.stdout);
    let said = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    let number = said.lines().find_map(|line| line.strip_prefix("Version:"));
    number.map_or_else(|| "unknown".to_owned(), |number| format!("traefik {}", number.trim()))
}
