//! A request to a session and its answer back: a connection to the upstream, the exchange, and what
//! becomes of both connections afterwards.

use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::Poll;

use portico_core::http::refusal::{GatewayFault, Refusal};
use portico_core::limits;

use super::admit::Forward;
use super::download::{Download, End, Tally, note_fault};
use super::upload::{self, Rest, Upload};
use super::{Connection, Turn};
use crate::accounting::{Side, Use};
use crate::io::Chunk;
use crate::last_errors::{Attempt, Error};
use crate::metrics::labels::Direction;
use crate::pages::Page;
use crate::pool::{Choice, Lease, Unconnected};
use crate::relay::Relay;
use crate::watch::Phase;

impl Connection {
    /// A request without a body: send, receive, pass on.
    pub(super) async fn forward(&mut self, mut forward: Forward) -> Turn {
        loop {
            let lease = match self.lease(&forward).await {
                Ok(lease) => lease,
                Err(page) => return self.instead(forward, &page).await,
            };
            let (end, tally) = match self.send_head(&mut forward, &lease, false).await {
                true => self.download(&forward, &lease, None).await,
                false => (End::Silent, Tally::default()),
            };
            if self.is_stale(&end, &lease) && forward.exchange.borrow().may_retry(false) {
                self.replace(&mut forward, lease);
                continue;
            }
            return self.conclude(forward, lease, end, tally).await;
        }
    }

    /// A request with a body: both directions at once, because an upstream may answer before it has
    /// read everything, and a client may wait for `100 Continue`.
    pub(super) async fn forward_with_body(&mut self, mut forward: Forward) -> Turn {
        let (worker, client) = (self.worker.clone(), self.stream.clone());
        let watch = self.watched.watch.clone();
        let inbound = std::mem::replace(&mut self.inbound, Chunk::EMPTY);
        let upload = Upload::new(&worker, &client, &watch, inbound);
        let answered = self.exchange_with_body(&mut forward, &upload).await;
        let mut rest = upload.into_rest();
        self.inbound = std::mem::replace(&mut rest.inbound, Chunk::EMPTY);
        forward.journal.uploaded(rest.bytes);
        forward.delivered = rest.delivered;
        let Some(receiving) = rest.receiving.take() else {
            return self.conclude_with_body(forward, answered, &rest).await;
        };
        // The client is still sending. It is answered first, and what comes meanwhile is dropped:
        // closing at once would reset the connection and could take the answer with it.
        watch.enter(Phase::Linger, limits::LINGER_TIMEOUT);
        let concluding = async {
            match self.conclude_with_body(forward, answered, &rest).await {
                Turn::Close => client.socket().shutdown(Shutdown::Both),
                Turn::Next | Turn::Linger | Turn::Relay(..) => client.close_write().await,
            }
        };
        let draining = upload::drain(&worker, &client, receiving);
        both(pin!(concluding), pin!(draining)).await;
        Turn::Close
    }

    /// Until the answer has ended, on a second connection where the first turned out to be stale
    /// and nothing of the body is lost.
    async fn exchange_with_body(
        &self,
        forward: &mut Forward,
        upload: &Upload<'_>,
    ) -> Result<(Lease, End, Tally), Page> {
        loop {
            let lease = self.lease(forward).await?;
            let (end, tally) = match self.send_head(forward, &lease, upload.at_hand()).await {
                false => (End::Silent, Tally::default()),
                true => {
                    let download = async {
                        let answer = self.download(forward, &lease, Some(upload)).await;
                        upload.stop(&forward.exchange, &lease).await;
                        answer
                    };
                    let uploading = upload.run(&forward.exchange, &lease);
                    both(pin!(download), pin!(uploading)).await.0
                }
            };
            if !self.is_stale(&end, &lease) || !upload.may_run_again(&forward.exchange) {
                return Ok((lease, end, tally));
            }
            self.replace(forward, lease);
        }
    }

    async fn conclude_with_body(
        &mut self,
        forward: Forward,
        answered: Result<(Lease, End, Tally), Page>,
        rest: &Rest<'_>,
    ) -> Turn {
        let (lease, end, tally) = match answered {
            Ok(answered) => answered,
            Err(page) => return self.instead(forward, &page).await,
        };
        match (end, rest.refusal) {
            // The body itself was at fault, and nothing was answered yet: that is the answer.
            (End::Silent | End::Fault(_), Some(refusal)) => {
                self.discard(lease);
                self.refuse_body(forward, refusal).await
            }
            (End::Silent | End::Fault(_), None) if rest.client_gone => {
                self.discard(lease);
                forward.journal.answered(&self.worker, 0, 0);
                Turn::Close
            }
            (end, _) => self.conclude(forward, lease, end, tally).await,
        }
    }

    /// The upstream closed the connection while it was idle, and got nothing to answer to.
    fn is_stale(&self, end: &End, lease: &Lease) -> bool {
        matches!(end, End::Silent) && lease.reused && !self.watched.watch.ended()
    }

    /// Once more, on a new connection.
    fn replace(&self, forward: &mut Forward, stale: Lease) {
        self.discard(stale);
        self.worker.counters.upstream_retries.add(1);
        forward.choice = Choice::New;
    }

    async fn lease(&self, forward: &Forward) -> Result<Lease, Page> {
        let watch = &self.watched.watch;
        let worker = &self.worker;
        let upstream = &forward.route.upstream;
        let context = worker.pool_context();
        let lease = worker.pool.lease(upstream, forward.choice, &context, watch).await;
        let lease = lease.map_err(|Unconnected { reason, address }| {
            let attempt = Attempt { address, failed: Some(reason) };
            Page::of_connect_error(reason, &forward.route).after(attempt)
        })?;
        lease.socket.count_with(self.stream.socket());
        watch.set_upstream(Some(lease.socket.clone()));
        watch.begin(Phase::Answering);
        Ok(lease)
    }

    async fn send_head(&self, forward: &mut Forward, lease: &Lease, more: bool) -> bool {
        let bytes = forward.head.length as u64;
        let head = forward.take_head();
        let (sent, head) = match more {
            true => lease.socket.send_more(head).await,
            false => lease.socket.send(head).await,
        };
        forward.head = head;
        if sent.is_ok() {
            self.worker.counters.bytes.at(Direction::UpstreamOut).add(bytes);
        }
        sent.is_ok()
    }

    async fn download(
        &self,
        forward: &Forward,
        lease: &Lease,
        upload: Option<&Upload<'_>>,
    ) -> (End, Tally) {
        let mut download = Download {
            worker: &self.worker,
            client: &self.stream,
            upstream: &lease.socket,
            exchange: &forward.exchange,
            watch: &self.watched.watch,
            upload,
            rules: forward.rules(&self.worker.shared.gate),
            tally: Tally::default(),
        };
        (download.run().await, download.tally)
    }

    /// After the exchange: each connection is used again, closed, or became one end of a relay.
    async fn conclude(&mut self, forward: Forward, lease: Lease, end: End, tally: Tally) -> Turn {
        match end {
            End::Complete => {
                let kind = forward.kind.into();
                self.stream.socket().slot(|slot| slot.note(Side::Upstream, kind, self.wall()));
                let exchange = forward.exchange.borrow();
                let client_persists = exchange.client_persistent();
                let upstream_persists = exchange.upstream_persistent() && forward.delivered;
                drop(exchange);
                self.watched.watch.set_upstream(None);
                if upstream_persists {
                    let now = self.worker.watches.now();
                    self.worker.pool.keep(lease, now, &self.worker.counters);
                } else {
                    self.discard(lease);
                }
                self.worker.return_text(forward.head.text);
                forward.journal.answered(&self.worker, tally.status, tally.bytes);
                if client_persists { Turn::Next } else { Turn::Linger }
            }
            End::Switched(from_upstream) => {
                self.worker.counters.upgrades.add(1);
                self.worker.return_text(forward.head.text);
                let from_client = std::mem::replace(&mut self.inbound, Chunk::EMPTY);
                let client = self.stream.clone();
                client.socket().is_used_as(match forward.websocket {
                    Some(_) => Use::WebSocket,
                    None => Use::Upgrade,
                });
                let rules = forward.websocket;
                let relay = Relay::new(client, lease.socket, from_client, from_upstream, rules);
                Turn::Relay(Box::new(relay), forward.journal.of_relay())
            }
            End::Silent if self.watched.watch.ended() => {
                // The client left while it was waiting, or the process ends.
                self.discard(lease);
                forward.journal.answered(&self.worker, 0, 0);
                Turn::Close
            }
            End::Silent => {
                let page = of_fault(GatewayFault::Truncated, &forward, &lease);
                self.discard(lease);
                self.instead(forward, &page).await
            }
            End::Fault(fault) => {
                let page = of_fault(fault, &forward, &lease);
                self.discard(lease);
                note_fault(&self.worker, fault);
                self.instead(forward, &page).await
            }
            End::Cut(fault) => {
                // What the client has must not look whole to it.
                self.stream.socket().reset();
                self.note_cut(fault, &forward, &lease, tally.status);
                self.discard(lease);
                forward.journal.answered(&self.worker, tally.status, tally.bytes);
                Turn::Close
            }
            End::ClientGone => {
                self.discard(lease);
                forward.journal.answered(&self.worker, tally.status, tally.bytes);
                Turn::Close
            }
        }
    }

    /// `status` is the one that the client has.
    fn note_cut(&self, fault: GatewayFault, forward: &Forward, lease: &Lease, status: u16) {
        if let Some(error) = of_fault(fault, forward, lease).error() {
            self.worker.remember(&forward.route, Error { status, ..error });
        }
        tracing::warn!(
            session = forward.route.session(),
            upstream = %forward.route.upstream,
            "answer cut short: {fault}"
        );
    }

    async fn instead(&mut self, forward: Forward, page: &Page) -> Turn {
        let reply = forward.instead(&self.worker, page);
        self.reply(reply).await
    }

    async fn refuse_body(&mut self, forward: Forward, refusal: Refusal) -> Turn {
        super::admit::note_refusal(&self.worker, &self.client, refusal);
        let reply = forward.instead(&self.worker, &Page::of_body_refusal(refusal));
        self.reply(reply).await
    }

    /// Closes a connection to an upstream. Nothing is in flight on it any more.
    fn discard(&self, lease: Lease) {
        self.watched.watch.set_upstream(None);
        lease.socket.shutdown(Shutdown::Both);
        self.worker.counters.upstream_connections_open.sub(1);
    }
}

fn of_fault(fault: GatewayFault, forward: &Forward, lease: &Lease) -> Page {
    let attempt = Attempt { address: Some(lease.address), failed: None };
    Page::of_gateway_fault(fault, &forward.route).after(attempt)
}

/// Awaits both; `a` is always polled before `b`, which so sees at once what `a` has done.
/// `tokio::join!` does the same in turns, with bookkeeping for any number, at every piece. They are
/// pinned by the caller, because an async function would keep a second place for each.
fn both<A: Future, B: Future>(
    mut a: Pin<&mut A>,
    mut b: Pin<&mut B>,
) -> impl Future<Output = (A::Output, B::Output)> {
    let (mut from_a, mut from_b) = (None, None);
    std::future::poll_fn(move |context| {
        if from_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            from_a = Some(output);
        }
        if from_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            from_b = Some(output);
        }
        match (from_a.take(), from_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (from_a, from_b) = (a, b);
                Poll::Pending
            }
        }
    })
}
