//! A client's side of a check: one connection for each request, to one address, whatever host is
//! asked for there.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use portico_core::limits;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::settings::Settings;

/// Where connections are made to, and by whom they are trusted.
#[derive(Clone)]
pub struct Way {
    pub address: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
}

pub struct Wire {
    pub way: Way,
}

pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Of RFC 6455 §1.3, with the answer to it. A client that asks once needs no random one.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A whole text message; with a mask of zeros, which leaves it as it is (RFC 6455 §5.2).
const TEXT: u8 = 0x81;
const MASKED: u8 = 0x80;
/// Of a message without a length of its own.
const MESSAGE_BYTES_MAX: usize = 125;

/// This machine's authorities, and those of the settings.
pub fn trusting(settings: &Settings) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &settings.access.ca_file {
        let own = CertificateDer::pem_file_iter(path).into_iter().flatten().flatten();
        roots.add_parsable_certificates(own);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

impl Wire {
    pub async fn fetch(
        &self,
        host: &str,
        target: &str,
        grant: Option<&str>,
    ) -> anyhow::Result<Answer> {
        whole(self.send(host, granted(Request::get(target), grant).body(Full::default())?).await?)
            .await
    }

    pub async fn post(&self, host: &str, target: &str, form: &str) -> anyhow::Result<Answer> {
        let request = Request::post(target)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form.to_owned())))?;
        whole(self.send(host, request).await?).await
    }

    /// Sends a message, and waits until it comes back.
    pub async fn websocket(
        &self,
        host: &str,
        target: &str,
        grant: Option<&str>,
        message: &str,
    ) -> anyhow::Result<()> {
        ensure!(message.len() <= MESSAGE_BYTES_MAX, "the message is too long");
        let request = granted(Request::get(target), grant)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, KEY)
            .body(Full::default())?;
        let response = self.send(host, request).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            bail!("the WebSocket is answered with {status}");
        }
        let accept = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        ensure!(accept.is_some_and(|accept| accept == ACCEPT), "the handshake has a wrong answer");
        let mut stream = TokioIo::new(hyper::upgrade::on(response).await?);
        let length = message.len() as u8;
        let mut frame = vec![TEXT, MASKED | length, 0, 0, 0, 0];
        frame.extend(message.as_bytes());
        stream.write_all(&frame).await?;
        let mut answer = vec![0; 2 + message.len()];
        stream.read_exact(&mut answer).await.context("the message did not come back")?;
        let (head, body) = answer.split_at(2);
        ensure!(head == [TEXT, length] && body == message.as_bytes(), "another message came back");
        Ok(())
    }

    async fn send(
        &self,
        host: &str,
        mut request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Incoming>> {
        request.headers_mut().insert(header::HOST, host.parse()?);
        let address = self.way.address;
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.with_context(|| format!("cannot connect to {address}"))?;
        tcp.set_nodelay(true)?;
        match &self.way.tls {
            None => exchange(tcp, request).await,
            Some(config) => {
                let name = host.split(':').next().unwrap_or(host).to_owned();
                let name = ServerName::try_from(name)?;
                let tls = TlsConnector::from(config.clone()).connect(name, tcp).await;
                exchange(tls.context("TLS")?, request).await
            }
        }
    }
}

fn granted(
    builder: hyper::http::request::Builder,
    grant: Option<&str>,
) -> hyper::http::request::Builder {
    match grant {
        Some(grant) => builder.header("x-portico-grant", grant),
        None => builder,
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender.send_request(request).await?)
}

async fn whole(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let status = response.status();
    let body = Limited::new(response.into_body(), limits::API_BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    Ok(Answer { status, body })
}
