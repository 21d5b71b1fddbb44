//! The control plane's HTTP/1 servers: the API and management listeners, with the bounds that a
//! server on a network needs. `axum::serve` has none: who connects and says nothing would keep its
//! connection for ever. What is served is not known here.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{setsockopt, sockopt};
use portico_core::limits;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::tls::ControlAcceptor;

/// All servers of a process, which end together.
pub struct Servers {
    bounds: Bounds,
    /// How often a listener (`control`, `management`) had all of its connections taken, and new
    /// ones had to wait.
    full: IntCounterVec,
    running: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Of each listener; parameters, so that tests need not wait for the real ones.
#[derive(Clone, Copy)]
struct Bounds {
    connections: usize,
    head_timeout: Duration,
}

/// A failed accept that is not the connection's own fault (no more files) comes again at once.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

impl Servers {
    pub fn new(metrics: &Registry) -> Self {
        let bounds = Bounds {
            connections: limits::CONTROL_CONNECTIONS_MAX,
            head_timeout: limits::CONTROL_HEAD_TIMEOUT,
        };
        let servers = Self::with_bounds(bounds);
        if let Err(error) = metrics.register(Box::new(servers.full.clone())) {
            tracing::error!(%error, "a counter of the control plane will not be shown");
        }
        servers
    }

    fn with_bounds(bounds: Bounds) -> Self {
        let name = "portico_control_connections_full_total";
        let about = Opts::new(name, "Times that a listener's connections were all taken");
        let full =
            IntCounterVec::new(about, &["listener"]).expect("the name and the label are valid");
        Self { bounds, full, running: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// `name` is for log and metric. Must be called on a runtime.
    pub fn serve(
        &mut self,
        name: &'static str,
        listener: TcpListener,
        router: Router,
        tls: Option<ControlAcceptor>,
    ) {
        let listener = Listener {
            name,
            listener,
            tls,
            places: Arc::new(Semaphore::new(self.bounds.connections)),
            full: self.full.with_label_values(&[name]),
        };
        self.running.spawn(accept(listener, router, self.bounds, self.stop.subscribe()));
    }

    /// Accepts no more, and lets requests on their way be answered, for a moment.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(limits::CLOSE_TIMEOUT, ended).await.is_err() {
            tracing::debug!("control-plane connections are cut");
        }
    }
}

struct Listener {
    name: &'static str,
    listener: TcpListener,
    tls: Option<ControlAcceptor>,
    places: Arc<Semaphore>,
    full: IntCounter,
}

async fn accept(
    listener: Listener,
    router: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            // Fails when the sender is gone, which is an end as well.
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.one() => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let router = router.clone().layer(Extension(ConnectInfo(peer)));
                let tls = listener.tls.as_ref().map(ControlAcceptor::acceptor);
                let connection = Connection { router, bounds, stop: stop.clone(), _place: place };
                tokio::spawn(connection.run(stream, tls));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(listener = listener.name, %error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let places = listener.places.clone();
    drop(listener);
    // Every place is back when every connection has ended.
    let all = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
    let _ = places.acquire_many(all).await;
}

impl Listener {
    /// A place is reserved before the accept: who comes when all are taken waits in the kernel's
    /// queue.
    async fn one(&self) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        if self.places.available_permits() == 0 {
            self.full.inc();
            tracing::warn!(listener = self.name, "all connections are taken: new ones wait");
        }
        let place = self.places.clone().acquire_owned().await;
        let place = place.expect("nobody closes the semaphore");
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer, place))
    }
}

/// Its errors are the client's: it went away, or sent what is no HTTP.
struct Connection {
    router: Router,
    bounds: Bounds,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Who asks and then does not read is cut, too: the timeout counts while the window is shut.
        let timeout = u32::try_from(limits::TCP_USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
        let prepared = setsockopt(&stream, sockopt::TcpUserTimeout, &timeout);
        if let Err(error) = prepared.map_err(Into::into).and_then(|()| stream.set_nodelay(true)) {
            tracing::debug!(%error, "a control-plane connection keeps the kernel's defaults");
        }
        let Some(tls) = tls else { return self.serve(stream).await };
        match tokio::time::timeout(limits::HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::info!(%error, "TLS handshake with the API failed"),
            Err(_) => tracing::info!("TLS handshake with the API took too long"),
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new());
        server.header_read_timeout(self.bounds.head_timeout);
        server.max_buf_size(limits::HEAD_BYTES_MAX);
        let service = TowerToHyperService::new(self.router);
        let mut served = pin!(server.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            _ = served.as_mut() => return,
            _ = self.stop.wait_for(|stop| *stop) => served.as_mut().graceful_shutdown(),
        }
        let _ = served.await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const HEAD_TIMEOUT: Duration = Duration::from_millis(300);

    async fn served(connections: usize, router: Router) -> (Servers, SocketAddr) {
        let mut servers = Servers::with_bounds(Bounds { connections, head_timeout: HEAD_TIMEOUT });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        servers.serve("test", listener, router, None);
        (servers, address)
    }

    fn hello() -> Router {
        Router::new().route("/", get(async || "hello"))
    }

    async fn connected(address: SocketAddr, sent: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream
    }

    /// All until the server closes.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("a close").unwrap();
        text
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_of_a_head_is_closed() {
        let (_servers, address) = served(8, hello()).await;
        for sent in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            let mut stream = connected(address, sent.as_bytes()).await;
            assert!(!answer(&mut stream).await.contains("hello"), "{sent}");
        }
        let idle = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(answer(&mut connected(address, idle.as_bytes()).await).await.ends_with("hello"));
    }

    #[tokio::test]
    async fn beyond_the_cap_a_client_waits_and_is_answered() {
        let (servers, address) = served(2, hello()).await;
        let begun = Instant::now();
        let (_one, _two) = (connected(address, b"").await, connected(address, b"").await);
        let mut third = connected(address, REQUEST).await;
        assert!(answer(&mut third).await.ends_with("hello"));
        assert!(begun.elapsed() >= HEAD_TIMEOUT, "no place was free before");
        assert!(servers.full.with_label_values(&["test"]).get() >= 1);
    }

    #[tokio::test]
    async fn what_was_asked_is_answered_before_the_end() {
        let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, gate) = (asked.clone(), go.clone());
        let slow = get(async move || {
            tell.notify_one();
            gate.notified().await;
            "hello"
        });
        let (servers, address) = served(2, Router::new().route("/", slow)).await;
        let mut client = connected(address, REQUEST).await;
        asked.notified().await;
        let stopped = tokio::spawn(servers.stop());
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go.notify_one();
        assert!(answer(&mut client).await.ends_with("hello"));
        stopped.await.unwrap();
    }
}
