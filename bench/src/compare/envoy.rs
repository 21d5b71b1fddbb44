//! Envoy with one worker thread, doing what Portico does for a request and no more.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

/// What may be open at once, where Envoy's own default would refuse the larger cases.
const OPEN_MAX: u32 = 20_000;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let (http, https) = (free_address(), free_address());
    let path = site.write("envoy.json", &configuration(site, http, https).to_string())?;
    let mut command = Command::new(program);
    command.arg("-c").arg(path).args(["--concurrency", "1", "--disable-hot-restart"]);
    command.args(["--log-level", "warn"]);
    site.opponent(Kind::Envoy, command, (http, https), release(&version(program, "--version")))
}

fn configuration(site: &Site, http: SocketAddr, https: SocketAddr) -> Value {
    let upstream =
        json!({ "lb_endpoints": [{ "endpoint": { "address": address(site.upstream) } }] });
    let cluster = json!({
        "name": "session",
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [{
            "max_connections": OPEN_MAX,
            "max_pending_requests": OPEN_MAX,
            "max_requests": OPEN_MAX,
        }] },
        "load_assignment": { "cluster_name": "session", "endpoints": [upstream] },
    });
    let files = json!({
        "certificate_chain": { "filename": site.certificate.cert },
        "private_key": { "filename": site.certificate.key },
    });
    let context = json!({
        "@type": type_of("transport_sockets.tls.v3.DownstreamTlsContext"),
        "common_tls_context": { "tls_certificates": [files], "alpn_protocols": ["http/1.1"] },
    });
    let secured = json!({ "name": "envoy.transport_sockets.tls", "typed_config": context });
    let mut chain_https = chain();
    chain_https["transport_socket"] = secured;
    let listener = |name: &str, at: SocketAddr, chain: Value| {
        json!({
            "name": name,
            "address": address(at),
            "tcp_backlog_size": 4096,
            "filter_chains": [chain],
        })
    };
    json!({ "static_resources": {
        "listeners": [listener("http", http, chain()), listener("https", https, chain_https)],
        "clusters": [cluster],
    } })
}

/// With the host's port or without: Envoy compares the whole field.
fn chain() -> Value {
    let host = json!({ "name": "session", "domains": [OPPONENT_HOST], "routes": [{
        "match": { "prefix": "/" },
        "route": { "cluster": "session", "timeout": "0s" },
    }] });
    let manager = json!({
        "@type": type_of("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "traffic",
        "codec_type": "HTTP1",
        "use_remote_address": true,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": type_of("filters.http.router.v3.Router") },
        }],
        "route_config": {
            "virtual_hosts": [host],
            "request_headers_to_add": [{
                "header": { "key": "X-Forwarded-Host", "value": "%REQ(:authority)%" },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }],
        },
    });
    json!({ "filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }] })
}

fn type_of(name: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{name}")
}

fn address(at: SocketAddr) -> Value {
    json!({ "socket_address": { "address": at.ip().to_string(), "port_value": at.port() } })
}

/// `…/1.40.0/Clean/RELEASE/BoringSSL`: the commit before it and the words behind say nothing here.
fn release(said: &str) -> String {
    let number = said
        .split('/')
        .find(|part| part.contains('.') && part.chars().all(|c| c.is_ascii_digit() || c == '.'));
    number.map_or_else(|| said.to_owned(), |number| format!("envoy {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_found_in_what_it_says() {
        let said = "/tools/envoy/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(release(said), "envoy 1.40.0");
        assert_eq!(release("unknown"), "unknown");
    }
}
