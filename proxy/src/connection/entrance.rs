//! From an accepted socket to a stream of requests: the PROXY header where the listener wants one,
//! then TLS where it speaks it. Both within the handshake's deadline.

use std::net::SocketAddr;

use portico_core::domain::Scheme;
use portico_core::http::client::Client;
use portico_core::proxy_protocol::{self, Step};

use crate::io::{Chunk, Socket};
use crate::metrics::labels::{HandshakeResult, Limit};
use crate::stream::Stream;
use crate::tls::TlsStream;
use crate::watch::Watch;
use crate::worker::{Entrance, Worker};

pub(super) struct Entered {
    pub(super) stream: Stream,
    pub(super) client: Client,
    pub(super) inbound: Chunk,
}

/// Without a handshake there is nothing to wait for.
pub(super) fn plain(
    worker: &Worker,
    socket: Socket,
    peer: SocketAddr,
    entrance: Entrance,
) -> Entered {
    let client = Client::new(peer, entrance.scheme, &worker.shared.trusted_networks);
    Entered { stream: Stream::Plain(socket), client, inbound: Chunk::EMPTY }
}

/// `None`: the connection ended or was refused on the way, which is counted and logged.
pub(super) async fn enter(
    worker: &Worker,
    socket: Socket,
    peer: SocketAddr,
    entrance: Entrance,
    watch: &Watch,
) -> Option<Entered> {
    let mut inbound = Chunk::EMPTY;
    let mut address = peer;
    if entrance.proxy_protocol {
        if !may_name_clients(worker, peer) {
            worker.counters.limit_reached.at(Limit::ProxyPeer).add(1);
            tracing::warn!(%peer, "connection refused: not from `proxy.trusted_networks`");
            socket.shutdown(std::net::Shutdown::Both);
            return None;
        }
        let (source, rest) = proxy_header(worker, &socket, peer).await?;
        address = source.unwrap_or(peer);
        inbound = rest;
    }
    let client = Client::new(address, entrance.scheme, &worker.shared.trusted_networks);
    let config = match (entrance.scheme, &worker.shared.tls) {
        (Scheme::Https, Some(config)) => config.clone(),
        (Scheme::Http, _) => {
            return Some(Entered { stream: Stream::Plain(socket), client, inbound });
        }
        // No TLS where TLS was promised is no connection.
        (Scheme::Https, None) => return None,
    };
    let first = (!inbound.is_empty()).then_some(inbound);
    match TlsStream::accept(socket, config, first).await {
        Ok(tls) => {
            worker.counters.tls_handshakes.at(HandshakeResult::Ok).add(1);
            Some(Entered { stream: Stream::Tls(tls), client, inbound: Chunk::EMPTY })
        }
        Err(error) => {
            let result = if watch.expired() { HandshakeResult::Timeout } else { error.result() };
            worker.counters.tls_handshakes.at(result).add(1);
            tracing::debug!(
                client = %client.address,
                error = &error as &dyn std::error::Error,
                "TLS handshake failed"
            );
            None
        }
    }
}

/// Whether a PROXY header from this peer is believed. Where networks are trusted to speak for their
/// clients, nobody else may: one who claims to come from such a network would have every
/// forwarding header believed, too. Where none is trusted a header can lie about no more than the
/// client's address, and keeping others away from the listener is the operator's firewall's task.
fn may_name_clients(worker: &Worker, peer: SocketAddr) -> bool {
    let networks = &worker.shared.trusted_networks;
    let ip = peer.ip().to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&ip))
}

async fn proxy_header(
    worker: &Worker,
    socket: &Socket,
    peer: SocketAddr,
) -> Option<(Option<SocketAddr>, Chunk)> {
    let mut received = Vec::new();
    loop {
        let chunk = socket.recv().await.ok().filter(|chunk| !chunk.is_empty())?;
        received.extend_from_slice(&chunk);
        match proxy_protocol::parse(&received) {
            Ok(Step::NeedMore) => {}
            Ok(Step::Header { consumed, source, .. }) => {
                return Some((source, Chunk::from(received.split_off(consumed))));
            }
            Err(invalid) => {
                worker.counters.limit_reached.at(Limit::ProxyHeader).add(1);
                tracing::warn!(%peer, "connection refused: {invalid}");
                socket.shutdown(std::net::Shutdown::Both);
                return None;
            }
        }
    }
}
