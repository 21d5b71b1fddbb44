//! One HTTP/1.1 connection to the API, opened when it is needed and kept for the next request.
//! Every wait has an end.

use std::time::Duration;

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::failure::{Failure, Outcome};
use super::place::{Place, Tls};

/// Name look-up, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From a request to the end of its answer, or to the head of an answer that is a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A thousand sessions with all the labels that they may have.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

pub struct Connection {
    pub place: Place,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer that is there as a whole.
#[derive(Debug)]
pub struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Connection {
    pub fn new(place: Place) -> Self {
        Self { place, sender: None }
    }

    pub async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Outcome<Whole> {
        let is_change = !request.method().is_safe();
        let mut sender = self.sender().await?;
        let answered = timeout(ANSWER_TIMEOUT, async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow!(error))?.to_bytes();
            anyhow::Ok(Whole { status: head.status, headers: head.headers, body })
        });
        let whole = in_time(answered.await).map_err(|failure| failure.told(is_change, self))?;
        self.sender = Some(sender);
        Ok(whole)
    }

    /// An answer whose body goes on for as long as both like.
    pub async fn begin(&mut self, request: Request<Full<Bytes>>) -> Outcome<Response<Incoming>> {
        let mut sender = self.sender().await?;
        let answered =
            timeout(ANSWER_TIMEOUT, async { anyhow::Ok(sender.send_request(request).await?) });
        in_time(answered.await).map_err(|failure| failure.told(false, self))
    }

    /// The fields that every request has.
    pub fn dress(&self, request: &mut Request<Full<Bytes>>) -> anyhow::Result<()> {
        let headers = request.headers_mut();
        headers.insert(HOST, self.place.authority.parse()?);
        headers.insert(AUTHORIZATION, self.place.authorization.clone());
        Ok(())
    }

    async fn sender(&mut self) -> Outcome<SendRequest<Full<Bytes>>> {
        // The API may have closed what was kept.
        if let Some(mut kept) = self.sender.take()
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        let connected = match timeout(CONNECT_TIMEOUT, connect(&self.place)).await {
            Ok(connected) => connected,
            Err(_) => Err(anyhow!("no connection within {} s", CONNECT_TIMEOUT.as_secs())),
        };
        connected
            .with_context(|| format!("cannot reach the API at {}", self.place.url()))
            .map_err(Failure::Unreachable)
    }
}

/// No answer, or half of one.
struct Unanswered(anyhow::Error);

fn in_time<T>(
    answered: Result<anyhow::Result<T>, tokio::time::error::Elapsed>,
) -> Result<T, Unanswered> {
    match answered {
        Ok(answered) => answered.map_err(Unanswered),
        Err(_) => Err(Unanswered(anyhow!("nothing within {} s", ANSWER_TIMEOUT.as_secs()))),
    }
}

impl Unanswered {
    fn told(self, is_change: bool, connection: &Connection) -> Failure {
        let url = connection.place.url();
        Failure::Unreachable(self.0.context(match is_change {
            true => format!(
                "no answer from the API at {url}; what was asked for may have been done, so look \
                 before you try again"
            ),
            false => format!("no answer from the API at {url}"),
        }))
    }
}

async fn connect(place: &Place) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let tcp = TcpStream::connect((place.host.as_str(), place.port)).await?;
    tcp.set_nodelay(true)?;
    match &place.tls {
        None => greet(tcp).await,
        Some(Tls { config, name }) => {
            let tls = TlsConnector::from(config.clone()).connect(name.clone(), tcp).await;
            greet(tls.context("TLS")?).await
        }
    }
}

async fn greet<S>(stream: S) -> anyhow::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Its error is told to whoever waits for the answer.
    tokio::spawn(connection);
    Ok(sender)
}
