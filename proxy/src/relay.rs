//! After a 101: opaque bytes both ways, until both sides have ended. What one side ends is ended
//! towards the other; each direction holds at most the one piece that it is sending.
//!
//! A relay may be idle for days, so what it keeps is written out (see `way`): as async functions it
//! would be twice as large.

mod way;

use std::net::Shutdown;
use std::task::{Context, Poll};

use portico_core::activity::message::Rules;

use crate::accounting::Side;
use crate::io::{Chunk, Socket};
use crate::stream::Stream;
use crate::watch::{Phase, Watch};
use crate::worker::Worker;
pub(crate) use way::Course;
use way::Way;

/// Both ends of a switched connection, and how far each direction has come.
pub(crate) struct Relay {
    client: Stream,
    upstream: Stream,
    up: Way,
    down: Way,
}

/// Bytes that went each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Relayed {
    pub(crate) from_client: u64,
    pub(crate) from_upstream: u64,
}

impl Relay {
    /// `rules` are there for a WebSocket.
    pub(crate) fn new(
        client: Stream,
        upstream: Socket,
        from_client: Chunk,
        from_upstream: Chunk,
        rules: Option<Rules>,
    ) -> Self {
        let upstream = Stream::Plain(upstream);
        let from = |rules: Rules| (rules.from_client, rules.from_session);
        let (up, down) = rules.map(from).unzip();
        Self {
            up: Way::new(Side::Client, from_client, &client, up),
            down: Way::new(Side::Upstream, from_upstream, &upstream, down),
            client,
            upstream,
        }
    }

    /// Before it is polled first.
    pub(crate) fn begin(&self, worker: &Worker, watch: &Watch) {
        worker.counters.relays_open.add(1);
        watch.set_upstream(Some(self.upstream.socket().clone()));
        watch.begin(Phase::Relay);
    }

    /// Ready at the end of both directions. The client's is always polled before the upstream's,
    /// which so sees at once what that one has done.
    pub(crate) fn poll(&mut self, course: &Course<'_>, context: &mut Context<'_>) -> Poll<Relayed> {
        let Self { client, upstream, up, down } = self;
        let up = up.poll(client, upstream, course, context);
        let down = down.poll(upstream, client, course, context);
        let (Poll::Ready(from_client), Poll::Ready(from_upstream)) = (up, down) else {
            return Poll::Pending;
        };
        // Both directions have ended, so nothing is in flight: the last of the close sequence.
        client.socket().shutdown(Shutdown::Both);
        upstream.socket().shutdown(Shutdown::Both);
        course.counters.relays_open.sub(1);
        course.counters.upstream_connections_open.sub(1);
        Poll::Ready(Relayed { from_client, from_upstream })
    }
}
