//! One direction of a relay: receive a piece, send it, and again; then its end. A state machine
//! rather than an async function, which keeps each of its locals in a place of its own.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use portico_core::activity::message::{Rule, Seen};
use portico_core::http::websocket::{Frames, close_frame};
use portico_core::limits;

use crate::accounting::Side;
use crate::connection::Entered;
use crate::io::Chunk;
use crate::metrics::WorkerCounters;
use crate::metrics::labels::Direction;
use crate::stream::{Stream, StreamRecvState, StreamSendState};
use crate::watch::{Watch, Watches};

/// What both directions tell of their progress.
pub(crate) struct Course<'a> {
    pub(crate) watch: &'a Rc<Watch>,
    pub(crate) counters: &'a WorkerCounters,
    pub(crate) entered: Option<&'a Entered>,
    pub(crate) clock: &'a Watches,
}

pub(super) struct Way {
    state: State,
    /// Bytes that were sent.
    total: u64,
    /// Of a WebSocket: where its frames end, and what they say of the session's use.
    frames: Option<Frames>,
    /// From which it comes.
    side: Side,
}

/// An idle relay keeps two.
const _: () = assert!(size_of::<Way>() <= 136);

enum State {
    /// What has come before the switch: seldom anything, so it costs a pointer.
    Early(Box<Chunk>),
    Receiving(StreamRecvState),
    Sending {
        state: StreamSendState<Chunk>,
        bytes: u32,
        is_last: bool,
    },
    /// On the heap, because each direction comes here once.
    Ending(Pin<Box<dyn Future<Output = ()>>>),
    Ended,
}

/// How it comes to its end.
enum End {
    /// The side has ended its stream.
    Stream,
    /// One of the two could not be read or written. Over TLS an end without `close_notify` is such
    /// a failure.
    Failure,
    /// The client may stay no longer, and has got the whole of the last frame.
    Frame,
}

/// What it needs to be ended.
struct Ending {
    side: Side,
    from: Stream,
    to: Stream,
    frames: Option<Frames>,
    watch: Rc<Watch>,
}

impl Way {
    pub(super) fn new(side: Side, early: Chunk, from: &Stream, rule: Option<Rule>) -> Self {
        let state = match early.is_empty() {
            true => State::Receiving(from.recv_state()),
            false => State::Early(Box::new(early)),
        };
        Self { state, total: 0, frames: rule.map(Frames::new), side }
    }

    /// Ready at its end, as often as it is asked then.
    pub(super) fn poll(
        &mut self,
        from: &Stream,
        to: &Stream,
        course: &Course<'_>,
        context: &mut Context<'_>,
    ) -> Poll<u64> {
        loop {
            let end = match &mut self.state {
                State::Early(chunk) => {
                    let chunk = std::mem::replace(&mut **chunk, Chunk::EMPTY);
                    self.pass_on(chunk, from, to, course);
                    continue;
                }
                State::Receiving(state) => match ready!(from.poll_recv(state, context)) {
                    Ok(chunk) if !chunk.is_empty() => {
                        course.counters.bytes.at(self.directions().0).add(chunk.len() as u64);
                        self.pass_on(chunk, from, to, course);
                        continue;
                    }
                    Ok(_) => End::Stream,
                    Err(_) => End::Failure,
                },
                State::Sending { state, bytes, is_last } => {
                    let (sent, chunk) = ready!(to.poll_send(state, context));
                    // Its buffer is needed elsewhere.
                    drop(chunk);
                    let (bytes, is_last) = (u64::from(*bytes), *is_last);
                    if sent.is_ok() {
                        self.total += bytes;
                        self.passed(bytes, course);
                        self.state = State::Receiving(from.recv_state());
                    }
                    match sent {
                        Ok(()) if is_last => End::Frame,
                        Ok(()) => continue,
                        Err(_) => End::Failure,
                    }
                }
                State::Ending(ending) => {
                    ready!(ending.as_mut().poll(context));
                    self.state = State::Ended;
                    continue;
                }
                State::Ended => return Poll::Ready(self.total),
            };
            let (from, to, watch) = (from.clone(), to.clone(), course.watch.clone());
            let ending = Ending { side: self.side, from, to, frames: self.frames.take(), watch };
            self.state = State::Ending(Box::pin(ending.run(end)));
        }
    }

    fn pass_on(&mut self, mut chunk: Chunk, from: &Stream, to: &Stream, course: &Course<'_>) {
        let client = match self.side {
            Side::Client => from,
            Side::Upstream => to,
        };
        let (seen, is_last) = self.count_frames(&mut chunk, course.watch);
        if let Some(seen) = seen {
            // When the session was used.
            client.socket().slot(|slot| slot.note(self.side, seen, course.clock.wall()));
        }
        let bytes = chunk.len() as u32;
        self.state = State::Sending { state: to.send_state(chunk), bytes, is_last };
    }

    fn passed(&self, bytes: u64, course: &Course<'_>) {
        course.counters.bytes.at(self.directions().1).add(bytes);
        if let Some(entered) = course.entered {
            entered.charge(bytes);
        }
        course.watch.moved(limits::HALF_CLOSED_TIMEOUT);
    }

    /// What these bytes say of the session's use; and whether they are the last, because the client
    /// may stay no longer: then they end with the frame towards it that is under way.
    fn count_frames(&mut self, chunk: &mut Chunk, watch: &Watch) -> (Option<Seen>, bool) {
        let Some(frames) = &mut self.frames else { return (Some(Seen::DATA), false) };
        if self.side == Side::Client {
            return (Some(frames.pass(chunk)), false);
        }
        let (seen, end) = match watch.revoked() {
            true => (None, frames.pass_to_end(chunk)),
            false => (Some(frames.pass(chunk)), None),
        };
        if let Some(end) = end {
            chunk.truncate(end);
        }
        watch.in_frame(!frames.may_insert());
        (seen, end.is_some())
    }

    fn directions(&self) -> (Direction, Direction) {
        match self.side {
            Side::Client => (Direction::ClientIn, Direction::UpstreamOut),
            Side::Upstream => (Direction::UpstreamIn, Direction::ClientOut),
        }
    }
}

impl Ending {
    async fn run(self, end: End) {
        match end {
            End::Stream => self.end_stream().await,
            End::Failure => self.fail().await,
            End::Frame => {}
        }
        if self.side == Side::Upstream && self.watch.revoked() {
            self.say_goodbye().await;
        }
    }

    /// The one side has ended its stream, and so do we towards the other.
    async fn end_stream(&self) {
        if self.side == Side::Upstream && self.watch.revoked() {
            return;
        }
        self.to.close_write().await;
        self.watch.half_closed(limits::HALF_CLOSED_TIMEOUT);
    }

    /// The other direction must not wait for a peer that is gone, and no side may take what it has
    /// for the whole.
    async fn fail(&self) {
        if !self.watch.ended() {
            self.from.socket().reset();
            self.to.socket().reset();
        } else if self.watch.revoked() && self.side == Side::Client {
            // A client that goes on sending would be reset after our goodbye, and lose it with
            // that. Until it ends, or the deadline ends it.
            self.watch.give_time_to_read();
            while self.from.recv().await.is_ok_and(|chunk| !chunk.is_empty()) {}
        }
    }

    /// The upstream was shut down for a client that may stay no longer: told so where its protocol
    /// has words for it, and a clean end in any case.
    async fn say_goodbye(&self) {
        if self.frames.is_some_and(|frames| frames.may_insert()) {
            let _ = self.to.send(close_frame(self.watch.goodbye()).to_vec()).await;
        }
        self.to.close_write().await;
    }
}
