//! sozu with one worker, doing what Portico does for a request and no more. It sets
//! `X-Forwarded-For` and `-Proto` by itself, and `X-Forwarded-Port`, `X-Request-Id` and `Sozu-Id`
//! besides.

use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let (http, https) = (free_address(), free_address());
    let configuration = format!(
        "command_socket = '{socket}'
log_level = 'error'
worker_count = 1
worker_automatic_restart = false
# Each takes two files and two buffers, and a worker refuses what its file limit has no room for.
max_connections = 8000
max_buffers = 20000
front_timeout = 3600
back_timeout = 3600
request_timeout = 60
disable_cluster_metrics = true

[[listeners]]
protocol = 'http'
address = '{http}'
forwarded_headers = 'x_forwarded'

[[listeners]]
protocol = 'https'
address = '{https}'
forwarded_headers = 'x_forwarded'
alpn_protocols = ['http/1.1']
# It remembers 256: the four of each handshake by default would push out those of 64 connections.
send_tls13_tickets = 1

[clusters.session]
protocol = 'http'
backends = [{{ address = '{upstream}' }}]

[[clusters.session.frontends]]
address = '{http}'
hostname = '{OPPONENT_HOST}'
headers = [{forwarded_host}]

[[clusters.session.frontends]]
address = '{https}'
hostname = '{OPPONENT_HOST}'
certificate = '{cert}'
key = '{key}'
headers = [{forwarded_host}]
",
        socket = site.directory.join("command").display(),
        upstream = site.upstream,
        cert = site.certificate.cert.display(),
        key = site.certificate.key.display(),
        forwarded_host = format_args!(
            "{{ position = 'request', key = 'X-Forwarded-Host', value = '{OPPONENT_HOST}' }}"
        ),
    );
    let path = site.write("sozu.toml", &configuration)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(path).arg("start");
    let said = version(program, "--version");
    // A commit that a build from the registry does not know is told in empty parentheses.
    let release = said.trim_end_matches(" ()").to_owned();
    site.opponent(Kind::Sozu, command, (http, https), release)
}
