//! After a 101: opaque bytes both ways, until both sides have ended. What one side ends is ended
//! towards the other; each direction holds at most the one piece that it is sending.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::Poll;

use portico_core::activity::message::{Rules, Seen};
use portico_core::http::websocket::{Frames, close_frame};
use portico_core::limits;

use crate::accounting::Side;
use crate::connection::Entered;
use crate::io::{Chunk, Socket};
use crate::metrics::WorkerCounters;
use crate::metrics::labels::Direction;
use crate::stream::Stream;
use crate::watch::{Phase, Watch, Watches};
use crate::worker::Worker;

/// Both ends of a switched connection, and what has already come from each.
pub(crate) struct Relay {
    client: Stream,
    upstream: Stream,
    from_client: Early,
    from_upstream: Early,
    /// Of a WebSocket: where its frames end, and what they say of the session's use.
    client_frames: Cell<Option<Frames>>,
    upstream_frames: Cell<Option<Frames>>,
}

/// What has come before the switch: seldom anything, so it costs a pointer.
type Early = Cell<Option<Box<Chunk>>>;

fn early(chunk: Chunk) -> Early {
    Cell::new((!chunk.is_empty()).then(|| Box::new(chunk)))
}

/// Bytes that went each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Relayed {
    pub(crate) from_client: u64,
    pub(crate) from_upstream: u64,
}

impl Relay {
    pub(crate) fn new(
        client: Stream,
        upstream: Socket,
        from_client: Chunk,
        from_upstream: Chunk,
        rules: Option<Rules>,
    ) -> Self {
        Self {
            client,
            upstream: Stream::Plain(upstream),
            from_client: early(from_client),
            from_upstream: early(from_upstream),
            client_frames: Cell::new(rules.map(|rules| Frames::new(rules.from_client))),
            upstream_frames: Cell::new(rules.map(|rules| Frames::new(rules.from_session))),
        }
    }

    /// Runs to the end of both directions.
    pub(crate) async fn run(
        &self,
        worker: &Worker,
        watch: &Watch,
        entered: Option<&Entered>,
    ) -> Relayed {
        let counters = &*worker.counters;
        counters.relays_open.add(1);
        watch.set_upstream(Some(self.upstream.socket().clone()));
        watch.begin(Phase::Relay);
        let course = Course { watch, counters, entered, clock: &worker.watches };
        let up = Way {
            side: Side::Client,
            from: &self.client,
            to: &self.upstream,
            early: &self.from_client,
            frames: &self.client_frames,
            course: &course,
        };
        let down = Way {
            side: Side::Upstream,
            from: &self.upstream,
            to: &self.client,
            early: &self.from_upstream,
            frames: &self.upstream_frames,
            course: &course,
        };
        let up = pin!(up.copy());
        let down = pin!(async {
            let bytes = down.copy().await;
            if watch.revoked() {
                // On the heap: nearly no relay comes here, and all would have to have room for it.
                Box::pin(self.say_goodbye(watch.goodbye())).await;
            }
            bytes
        });
        let (from_client, from_upstream) = both(up, down).await;
        // Both directions have ended, so nothing is in flight: the last of the close sequence.
        self.client.socket().shutdown(Shutdown::Both);
        self.upstream.socket().shutdown(Shutdown::Both);
        counters.relays_open.sub(1);
        counters.upstream_connections_open.sub(1);
        Relayed { from_client, from_upstream }
    }
}

impl Relay {
    /// The upstream was shut down for a client that may stay no longer: told so where its protocol
    /// has words for it, and a clean end in any case.
    async fn say_goodbye(&self, code: u16) {
        if self.upstream_frames.take().is_some_and(|frames| frames.may_insert()) {
            let _ = self.client.send(close_frame(code).to_vec()).await;
        }
        self.client.close_write().await;
    }
}

/// Awaits both; `a` is always polled before `b`, which so sees at once what `a` has done.
/// `tokio::join!` does the same in turns, with bookkeeping for any number, at every message. They
/// are pinned by the caller, because an async function would keep a second place for each.
pub(crate) fn both<A: Future, B: Future>(
    mut a: Pin<&mut A>,
    mut b: Pin<&mut B>,
) -> impl Future<Output = (A::Output, B::Output)> {
    let (mut from_a, mut from_b) = (None, None);
    poll_fn(move |context| {
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

/// What both directions tell of their progress.
struct Course<'a> {
    watch: &'a Watch,
    counters: &'a WorkerCounters,
    entered: Option<&'a Entered>,
    clock: &'a Watches,
}

/// One direction.
struct Way<'a> {
    /// From which it comes.
    side: Side,
    from: &'a Stream,
    to: &'a Stream,
    /// What has come before the switch.
    early: &'a Early,
    frames: &'a Cell<Option<Frames>>,
    course: &'a Course<'a>,
}

impl Way<'_> {
    /// An idle relay keeps all that stands here across an `await`: as little as there can be.
    async fn copy(&self) -> u64 {
        let mut total = 0;
        loop {
            let mut chunk = self.early.take().map_or(Chunk::EMPTY, |early| *early);
            if chunk.is_empty() {
                match self.from.recv().await {
                    Ok(received) if !received.is_empty() => chunk = received,
                    Ok(_) => {
                        self.end().await;
                        return total;
                    }
                    Err(_) => break,
                }
                self.course.counters.bytes.at(self.directions().0).add(chunk.len() as u64);
            }
            let is_last = self.count_frames(&mut chunk);
            let bytes = chunk.len() as u64;
            if self.to.send(chunk).await.0.is_err() {
                break;
            }
            total += bytes;
            self.passed(bytes);
            if is_last {
                return total;
            }
        }
        // One direction failed: the other one must not wait for a peer that is gone, and no side
        // may take what it has for the whole. Over TLS an end without `close_notify` is such a
        // failure.
        let watch = self.course.watch;
        if !watch.ended() {
            self.from.socket().reset();
            self.to.socket().reset();
        } else if watch.revoked() && self.side == Side::Client {
            Box::pin(self.drop_what_comes()).await;
        }
        total
    }

    /// A client that goes on sending would be reset after our goodbye, and lose it with that. Until
    /// it ends, or the deadline ends it.
    async fn drop_what_comes(&self) {
        self.course.watch.give_time_to_read();
        while self.from.recv().await.is_ok_and(|chunk| !chunk.is_empty()) {}
    }

    /// The one side has ended its stream, and so do we towards the other.
    async fn end(&self) {
        let watch = self.course.watch;
        if self.side == Side::Upstream && watch.revoked() {
            return;
        }
        self.to.close_write().await;
        watch.half_closed(limits::HALF_CLOSED_TIMEOUT);
    }

    fn passed(&self, bytes: u64) {
        let Course { watch, counters, entered, .. } = self.course;
        counters.bytes.at(self.directions().1).add(bytes);
        if let Some(entered) = entered {
            entered.charge(bytes);
        }
        watch.moved(limits::HALF_CLOSED_TIMEOUT);
    }

    /// Whether these are the last bytes, because the client may stay no longer: then they end with
    /// the frame towards it that is under way.
    fn count_frames(&self, chunk: &mut Chunk) -> bool {
        let Some(mut frames) = self.frames.get() else {
            self.note(Seen::DATA);
            return false;
        };
        let watch = self.course.watch;
        if self.side == Side::Client {
            self.note(frames.pass(chunk));
            self.frames.set(Some(frames));
            return false;
        }
        let end = match watch.revoked() {
            true => frames.pass_to_end(chunk),
            false => {
                self.note(frames.pass(chunk));
                None
            }
        };
        if let Some(end) = end {
            chunk.truncate(end);
        }
        watch.in_frame(!frames.may_insert());
        self.frames.set(Some(frames));
        end.is_some()
    }

    /// When the session was used.
    fn note(&self, seen: Seen) {
        let client = match self.side {
            Side::Client => self.from,
            Side::Upstream => self.to,
        };
        client.socket().slot(|slot| slot.note(self.side, seen, self.course.clock.wall()));
    }

    fn directions(&self) -> (Direction, Direction) {
        match self.side {
            Side::Client => (Direction::ClientIn, Direction::UpstreamOut),
            Side::Upstream => (Direction::UpstreamIn, Direction::ClientOut),
        }
    }
}
