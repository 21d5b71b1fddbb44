//! Calls that Portico makes to the platform: for a sign-in, and to its webhook. HTTP/1.1 over TLS
//! that trusts this machine's roots and the operator's own. Bounded in time and size, and a
//! redirect is an answer like any other: nothing is sent where the settings did not say.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use portico_core::limits;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Clones share their connections.
#[derive(Clone)]
pub struct Outbound {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

pub struct Reply {
    pub status: StatusCode,
    /// What the other side's clock said, as it wrote it.
    pub date: Option<HeaderValue>,
    pub body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("the file of trusted certificates is not PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("the file of trusted certificates has none")]
    NoCertificate,
    #[error("one of the trusted certificates cannot be used")]
    Certificate(#[source] rustls::Error),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("there was no answer within {0:?}")]
    Timeout(Duration),
    #[error("it cannot be connected to, or the connection broke")]
    Connection(#[source] hyper_util::client::legacy::Error),
    #[error("its answer broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("its answer is larger than {max} bytes", max = limits::OUTBOUND_BODY_BYTES_MAX)]
    TooLarge,
}

impl Outbound {
    /// `own_roots`: certificates in PEM that are trusted beside this machine's; may be empty.
    pub fn new(own_roots: &[u8]) -> Result<Self, OutboundError> {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(OutboundError::Tls)?
            .with_root_certificates(roots(own_roots)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits::OUTBOUND_CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits::OUTBOUND_IDLE_TIMEOUT)
            .pool_max_idle_per_host(limits::OUTBOUND_IDLE_MAX)
            .http1_max_buf_size(limits::HEAD_BYTES_MAX)
            .build(connector);
        Ok(Self { client })
    }

    /// The timeout is for all of it: name, connection, TLS, head and body.
    pub async fn call(
        &self,
        mut request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Reply, CallError> {
        const AGENT: &str = concat!("portico/", env!("CARGO_PKG_VERSION"));
        let fields = request.headers_mut();
        fields.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        fields.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answered = tokio::time::timeout(timeout, self.answer(request)).await;
        answered.unwrap_or(Err(CallError::Timeout(timeout)))
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<Reply, CallError> {
        let response = self.client.request(request).await.map_err(CallError::Connection)?;
        let status = response.status();
        let date = response.headers().get(header::DATE).cloned();
        // Counts what arrives, chunk by chunk, whatever a `Content-Length` says.
        let body = Limited::new(response.into_body(), limits::OUTBOUND_BODY_BYTES_MAX);
        match body.collect().await {
            Ok(body) => Ok(Reply { status, date, body: body.to_bytes() }),
            Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLarge),
            Err(error) => Err(CallError::Body(error)),
        }
    }
}

fn roots(own: &[u8]) -> Result<RootCertStore, OutboundError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // Some of a machine's may be of no use to rustls; that is no reason to do without the others.
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() && own.is_empty() {
        tracing::warn!(ignored, "this machine trusts no certificates, so https calls will fail");
    }
    if own.is_empty() {
        return Ok(roots);
    }
    let mut any = false;
    for certificate in CertificateDer::pem_slice_iter(own) {
        roots.add(certificate.map_err(OutboundError::Pem)?).map_err(OutboundError::Certificate)?;
        any = true;
    }
    if any { Ok(roots) } else { Err(OutboundError::NoCertificate) }
}

#[cfg(test)]
mod tests;
