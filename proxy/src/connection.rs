//! One client connection: its handshake, then request after request, each routed on its own. The
//! decisions are `core`'s; here bytes are moved and both ends are closed in the right order.

mod entrance;
mod admit;
mod forward;
mod download;
mod upload;
mod journal;
mod entered;
mod live;
mod quota;
mod edge;
mod refused;

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use portico_core::activity::request::RequestKind;
use portico_core::http::client::Client;
use portico_core::http::flood;
use portico_core::http::refusal::Refusal;
use portico_core::limits;
use portico_core::route::Route;
use portico_core::session::Timestamp;

use crate::accounting::Side;
use crate::io::{Chunk, Socket};
use crate::metrics::labels::Direction;
use crate::pages::{Form, Page};
use crate::presence::Present;
use crate::relay::{Course, Relay};
use crate::stream::Stream;
use crate::watch::{Phase, Watched};
use crate::worker::{Entrance, Worker};
use admit::{Admission, Reply};
pub(crate) use entered::Entered;
use journal::{Journal, RelayJournal};
pub(crate) use live::Live;
pub(crate) use refused::page_of;

/// A client connection between its handshake and its end or its switch to a relay.
struct Connection {
    worker: Rc<Worker>,
    stream: Stream,
    client: Client,
    watched: Watched,
    /// Received and not yet used: the start of the next request, or of the current one's body.
    inbound: Chunk,
    /// What it was counted for last, and where in the client's stream the request begins for which
    /// that may have to change.
    counted_for: CountedFor,
    begins_at: u32,
}

/// For which session a connection is counted.
enum CountedFor {
    /// Nothing was said yet: it is of the first.
    Unsaid,
    /// The edge itself answered.
    Nobody,
    Route(Arc<Route>),
}

/// What follows a request.
enum Turn {
    Next,
    /// The last answer was given; whatever still arrives is dropped.
    Linger,
    /// Nothing more can be said.
    Close,
    Relay(Box<Relay>, RelayJournal),
}

pub(crate) async fn serve(
    worker: Rc<Worker>,
    socket: Socket,
    peer: SocketAddr,
    entrance: Entrance,
    watched: Watched,
) {
    worker.counters.connections_open.add(1);
    let ended = Ended(worker.clone());
    let entered = if entrance.is_plain() {
        Some(entrance::plain(&worker, socket, peer, entrance))
    } else {
        Box::pin(entrance::enter(&worker, socket, peer, entrance, &watched.watch)).await
    };
    let Some(entered) = entered else { return };
    let connection = Connection {
        worker,
        stream: entered.stream,
        client: entered.client,
        watched,
        inbound: entered.inbound,
        counted_for: CountedFor::Unsaid,
        begins_at: 0,
    };
    if let Some((relay, journal, watched)) = connection.run().await {
        // A task of its own: an upgraded connection may be idle for days, and need not keep the
        // memory of one that serves requests.
        // On the heap by itself, because tasks are padded to whole pairs of cache lines.
        crate::io::spawn(Box::pin(Relaying::begin(*relay, journal, watched, ended)));
    }
}

/// A relay to its end, and what ends with it.
struct Relaying {
    relay: Relay,
    journal: RelayJournal,
    // Dropped in this order. The slot before the count: who is told of the end counts what is left.
    _present: Option<Present>,
    watched: Watched,
    ended: Ended,
}

impl Relaying {
    fn begin(relay: Relay, journal: RelayJournal, watched: Watched, ended: Ended) -> Self {
        let _present = watched.watch.present(&ended.0.shared.presence);
        relay.begin(&ended.0, &watched.watch);
        Self { relay, journal, _present, watched, ended }
    }
}

impl Future for Relaying {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { relay, journal, watched, ended, .. } = self.get_mut();
        let course = Course {
            watch: &watched.watch,
            counters: &ended.0.counters,
            entered: journal.entered.as_deref(),
            clock: &ended.0.watches,
        };
        let relayed = ready!(relay.poll(&course, context));
        journal.ended(&ended.0, relayed);
        Poll::Ready(())
    }
}

/// Counts a connection down when its task ends, however it does.
struct Ended(Rc<Worker>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.counters.connections_open.sub(1);
        self.0.connection_ended();
    }
}

impl Connection {
    async fn run(mut self) -> Option<(Box<Relay>, RelayJournal, Watched)> {
        // Who connects has something to say; only between requests may a client take its time.
        let mut patience = limits::HEAD_TIMEOUT;
        loop {
            let mut next = self.next_request(patience).await;
            patience = limits::KEEP_ALIVE_TIMEOUT;
            match &mut next {
                Ok(Some(Admission::Forward(forward))) => {
                    self.count_for(&forward.route, forward.kind);
                    self.let_in(forward.live.take(), self.begins_at);
                }
                Ok(Some(Admission::Reply(_) | Admission::Edge(_))) | Err(_) => {
                    self.count_for_nobody();
                }
                Ok(None) => {}
            }
            let turn = match next {
                // Most requests have no body; what has one is worth an allocation.
                Ok(Some(Admission::Forward(forward))) if forward.has_body() => {
                    Box::pin(self.forward_with_body(forward)).await
                }
                Ok(Some(Admission::Forward(forward))) => self.forward(forward).await,
                Ok(Some(Admission::Reply(reply))) => self.reply(reply).await,
                Ok(Some(Admission::Edge(asked))) => Box::pin(self.ask_edge(*asked)).await,
                Ok(None) => Turn::Close,
                Err(refusal) => self.refuse(refusal).await,
            };
            match turn {
                Turn::Next => self.let_in(None, self.read_position()),
                Turn::Close => break,
                Turn::Linger => {
                    Box::pin(self.linger()).await;
                    break;
                }
                Turn::Relay(relay, journal) => return Some((relay, journal, self.watched)),
            }
        }
        // Nothing is in flight here: the last of the close sequence.
        self.stream.socket().shutdown(std::net::Shutdown::Write);
        None
    }

    /// What goes through it from the head of this request on is counted for its session. Most
    /// requests are for the same one as the request before.
    fn count_for(&mut self, route: &Arc<Route>, kind: RequestKind) {
        let is_same = match &self.counted_for {
            CountedFor::Route(before) => Arc::ptr_eq(before, route),
            CountedFor::Unsaid | CountedFor::Nobody => false,
        };
        let socket = self.stream.socket();
        if !is_same {
            let accounting = &self.worker.shared.accounting;
            let slot = accounting.slot_of(route);
            if !slot.as_ref().is_some_and(|slot| socket.is_counted_for(slot)) {
                let means = accounting.means();
                socket.count_for(slot.as_ref(), means, Side::Client, self.begins_at);
            }
            self.counted_for = match slot {
                Some(_) => CountedFor::Route(route.clone()),
                None => CountedFor::Nobody,
            };
        }
        socket.note_request();
        self.stream.socket().slot(|slot| slot.note(Side::Client, kind.into(), self.wall()));
    }

    fn let_in(&self, live: Option<Live>, at: u32) {
        self.watched.watch.let_in(live, at, self.worker.shared.quotas.as_deref());
    }

    /// What the edge answers itself is no session's, and least of all that of the request before.
    fn count_for_nobody(&mut self) {
        match self.counted_for {
            CountedFor::Nobody => {}
            CountedFor::Unsaid | CountedFor::Route(_) => {
                let means = self.worker.shared.accounting.means();
                self.stream.socket().count_for(None, means, Side::Client, self.begins_at);
                self.counted_for = CountedFor::Nobody;
            }
        }
    }

    /// How far the client's stream was used. Of TLS, where what is left over is counted without its
    /// overhead, to some bytes.
    fn read_position(&self) -> u32 {
        self.stream.socket().position().wrapping_sub(self.inbound.len() as u32)
    }

    /// The time of day, as of the worker's last look at it.
    fn wall(&self) -> Timestamp {
        self.worker.watches.wall()
    }

    /// The next request, or `None` when the client has ended between two.
    async fn next_request(&mut self, patience: Duration) -> Result<Option<Admission>, Refusal> {
        self.watched.watch.enter(Phase::Idle, patience);
        self.begins_at = self.read_position();
        // A head that comes in pieces is gathered here; most come whole.
        let mut gathered = Vec::new();
        loop {
            if !self.inbound.is_empty() {
                if let Some(admission) = self.admit(&mut gathered)? {
                    return Ok(Some(admission));
                }
                if self.watched.watch.is_in(Phase::Idle) {
                    self.watched.watch.enter(Phase::Head, limits::HEAD_TIMEOUT);
                }
            }
            match self.stream.recv().await {
                Ok(chunk) if !chunk.is_empty() => self.received(chunk),
                Ok(_) | Err(_) if self.watched.watch.expired() && !gathered.is_empty() => {
                    return Err(Refusal::Timeout);
                }
                Ok(_) | Err(_) => return Ok(None),
            }
        }
    }

    fn admit(&mut self, gathered: &mut Vec<u8>) -> Result<Option<Admission>, Refusal> {
        let scanned = gathered.len();
        if scanned == 0 {
            let admitted = admit::admit(&self.worker, &self.client, &self.inbound, 0)?;
            if let Some((admission, bytes)) = admitted {
                self.inbound.advance(bytes);
                return Ok(Some(admission));
            }
        }
        gathered.extend_from_slice(&self.inbound);
        self.inbound.clear();
        if scanned > 0 {
            let admitted = admit::admit(&self.worker, &self.client, gathered, scanned);
            // What is refused is looked at once more, for the form of the answer.
            let admitted =
                admitted.inspect_err(|_| self.inbound = Chunk::from(std::mem::take(gathered)))?;
            if let Some((admission, bytes)) = admitted {
                self.inbound = Chunk::from(gathered.split_off(bytes));
                return Ok(Some(admission));
            }
        }
        Ok(None)
    }

    fn received(&mut self, chunk: Chunk) {
        self.worker.counters.bytes.at(Direction::ClientIn).add(chunk.len() as u64);
        self.inbound = chunk;
    }

    /// Sends an answer of the edge's own.
    async fn reply(&mut self, reply: Reply) -> Turn {
        let Reply { text, status, close, journal } = reply;
        let bytes = text.len() as u64;
        let (sent, text) = self.stream.send(text).await;
        self.worker.return_text(text);
        self.worker.counters.bytes.at(Direction::ClientOut).add(bytes);
        journal.answered(&self.worker, status, bytes);
        match (sent, close) {
            (Err(_), _) => Turn::Close,
            (Ok(()), true) => Turn::Linger,
            (Ok(()), false) => Turn::Next,
        }
    }

    /// Answers what could not be read as a request, for the last time on this connection.
    async fn refuse(&mut self, refusal: Refusal) -> Turn {
        admit::note_refusal(&self.worker, &self.client, refusal);
        let form = Form::of_unread(&self.inbound);
        let journal = Journal::unread(&self.worker, &self.client);
        let expired = match refusal {
            Refusal::HeadTooLarge => {
                flood::expired_cookies(&self.inbound, &self.worker.shared.domains)
            }
            _ => Vec::new(),
        };
        let page = expired
            .into_iter()
            .fold(Page::of_refusal(refusal), |page, cookie| page.with("Set-Cookie", cookie));
        let reply = Reply::new(&self.worker, &page, form, journal);
        self.reply(reply).await
    }

    /// Ends our direction and drops what still arrives, for a while: closing at once would reset
    /// the connection and could take the answer with it (RFC 9112 §9.6).
    async fn linger(&mut self) {
        self.watched.watch.enter(Phase::Linger, limits::LINGER_TIMEOUT);
        self.inbound.clear();
        self.stream.close_write().await;
        upload::drain(&self.worker, &self.stream, self.stream.recv()).await;
    }
}
