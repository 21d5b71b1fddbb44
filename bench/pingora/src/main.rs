//! A proxy made of Pingora, with one thread, doing what Portico does for a request and no more:
//! `portico-pingora HOST HTTP HTTPS CERTIFICATE KEY UPSTREAM`. It knows one host and one upstream.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::prelude::*;
use pingora::server::RunArgs;
use pingora::server::configuration::ServerConf;

struct Proxy {
    host: String,
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, session: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        let host = session.req_header().headers.get("host");
        if host.is_none_or(|host| !host.as_bytes().eq_ignore_ascii_case(self.host.as_bytes())) {
            return Error::e_explain(HTTPStatus(404), "no such host");
        }
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _: &mut (),
    ) -> Result<()> {
        let secured = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header("X-Forwarded-For", client.ip().to_string())?;
        }
        request.insert_header("X-Forwarded-Proto", if secured { "https" } else { "http" })?;
        request.insert_header("X-Forwarded-Host", self.host.as_str())
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["--version"] {
        println!("pingora {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    let [host, http, https, certificate, key, upstream] = arguments.as_slice() else {
        return Err("usage: portico-pingora HOST HTTP HTTPS CERTIFICATE KEY UPSTREAM".into());
    };
    let settings =
        ServerConf { threads: 1, upstream_keepalive_pool_size: 8192, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let proxy = Proxy { host: host.clone(), upstream: upstream.parse()? };
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(http);
    service.add_tls(https, certificate, key)?;
    server.add_service(service);
    server.run(RunArgs::default());
    Ok(())
}
