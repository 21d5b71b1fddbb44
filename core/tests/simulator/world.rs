//! One run: a script, its answers and the edge between them, with every event at a random time and
//! every stream cut at random places. The upstream side reads with the reference parser.

use std::sync::Arc;

use portico_core::access::Access;
use portico_core::domain::Scheme;
use portico_core::http::client::Client;
use portico_core::label::{Label, SessionId};
use portico_core::route::Route;
use portico_core::session::{HostHeader, Prefix, Routing, State, Timestamp};
use portico_core::workspace::Workspace;

use crate::answers::{self, Answer, Begins};
use crate::edge::Edge;
use crate::random::Random;
use crate::reference::{self, End, Message};
use crate::script::{self, Script};

/// What happened, for the checks.
pub struct World<'a> {
    pub script: Script,
    pub edge: Edge<'a>,
    pub upstreams: Vec<Upstream>,
    /// The answer that each exchange got, once it was begun.
    pub given: Vec<Option<Answer>>,
    /// Exchanges that met a connection on which nobody answers any more.
    pub stale: Vec<usize>,
    answers: Vec<Answer>,
    sent: usize,
    client_ended: bool,
    drained: bool,
}

/// The far end of one upstream connection.
#[derive(Default)]
pub struct Upstream {
    /// Exchanges that came here, each with where its request starts in the bytes received.
    pub requests: Vec<(usize, usize)>,
    /// What came up to here has been read.
    at: usize,
    reading: bool,
    answered: bool,
    pub switched: bool,
    queue: Vec<u8>,
    next: usize,
    /// Bytes from here on come together with the one before them: how excess can be noticed at all.
    uncut_from: Option<usize>,
    /// The connection may not carry a request after this one.
    used_up: bool,
    /// Nobody answers any more, and the end is on its way.
    leaving: bool,
    ended: bool,
}

enum Event {
    ClientBytes,
    ClientEnd,
    UpstreamBytes(usize),
    UpstreamEnd(usize),
}

pub fn route() -> Route {
    Route {
        label: Label::parse("a1").unwrap(),
        id: Some(SessionId::parse("a1").unwrap()),
        workspace: Arc::new(Workspace::unlimited("w".parse().unwrap())),
        tool: "jupyter".parse().unwrap(),
        kind: Default::default(),
        is_watched: false,
        state: State::Running,
        reason: None,
        upstream: "http://10.0.0.1:8888".parse().unwrap(),
        routing: Routing::Both,
        host_header: HostHeader::Preserve,
        prefix: Prefix::Keep,
        owner: "ada".parse().unwrap(),
        access: Access::default(),
        created_at: Timestamp(0),
    }
}

pub fn client() -> Client {
    Client::new("203.0.113.7:4711".parse().unwrap(), Scheme::Https, &[])
}

impl<'a> World<'a> {
    pub fn new(random: &mut Random, route: &'a Route, client: &'a Client) -> Self {
        let script = script::script(random);
        let made = script.requests.iter().enumerate();
        let answers = made.map(|(id, made)| answers::answer(random, id, *made)).collect();
        let mut edge = Edge::new(route, client);
        edge.finishes_uploads = random.percent(50);
        Self {
            script,
            edge,
            upstreams: Vec::new(),
            given: Vec::new(),
            stale: Vec::new(),
            answers,
            sent: 0,
            client_ended: false,
            drained: false,
        }
    }

    /// Lets everything happen that can.
    pub fn run(&mut self, random: &mut Random) {
        let mut events = 0;
        let drain_at = if random.percent(10) { random.below(20) } else { usize::MAX };
        while let Some(event) = self.choose(random) {
            self.drained |= events == drain_at;
            self.edge.draining = self.drained;
            let before = self.forwarded();
            let over = self.edge.end.is_some();
            self.happen(event, random);
            assert!(!over || self.forwarded() == before, "nothing goes on after the end");
            self.read_upstreams();
            events += 1;
        }
        let bytes = self.script.bytes.len() + self.forwarded();
        let bound = 4 * (events + self.edge.exchanges) + 2 * bytes;
        assert!(self.edge.work <= bound, "{} steps for {events} events", self.edge.work);
    }

    pub fn was_drained(&self) -> bool {
        self.drained
    }

    fn forwarded(&self) -> usize {
        let up: usize = self.edge.upstreams.iter().map(|upstream| upstream.bytes.len()).sum();
        up + self.edge.to_client.len()
    }

    fn choose(&self, random: &mut Random) -> Option<Event> {
        let mut possible = Vec::new();
        if self.sent < self.script.bytes.len() {
            possible.push(Event::ClientBytes);
        } else if !self.client_ended {
            possible.push(Event::ClientEnd);
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            if upstream.next < upstream.queue.len() {
                possible.push(Event::UpstreamBytes(index));
            } else if upstream.leaving && !upstream.ended {
                possible.push(Event::UpstreamEnd(index));
            }
        }
        let chosen = random.below(possible.len());
        (!possible.is_empty()).then(|| possible.swap_remove(chosen))
    }

    fn happen(&mut self, event: Event, random: &mut Random) {
        match event {
            Event::ClientBytes => {
                let rest = &self.script.bytes[self.sent..];
                let cut = random.cut(rest.len());
                self.edge.client_bytes(&rest[..cut]);
                self.sent += cut;
            }
            Event::ClientEnd => {
                self.client_ended = true;
                self.edge.client_end();
            }
            Event::UpstreamBytes(index) => {
                let upstream = &mut self.upstreams[index];
                let mut end = upstream.next + random.cut(upstream.queue.len() - upstream.next);
                if upstream.uncut_from.is_some_and(|uncut| end >= uncut) {
                    end = upstream.queue.len();
                }
                self.edge.upstream_bytes(index, &upstream.queue[upstream.next..end]);
                upstream.next = end;
            }
            Event::UpstreamEnd(index) => {
                self.upstreams[index].ended = true;
                let before = self.edge.upstreams[index].bytes.len();
                self.edge.upstream_end(index);
                let same = self.edge.upstreams[index].bytes.len() == before;
                assert!(same, "bytes for a connection that has ended");
            }
        }
    }

    fn read_upstreams(&mut self) {
        self.upstreams.resize_with(self.edge.upstreams.len(), Upstream::default);
        for index in 0..self.upstreams.len() {
            while self.read_upstream(index) {}
            let half_closed = self.edge.upstreams[index].half_closed;
            let upstream = &mut self.upstreams[index];
            upstream.leaving |= upstream.switched && half_closed;
        }
    }

    /// Whether a whole request was read, so that there may be another.
    fn read_upstream(&mut self, index: usize) -> bool {
        let upstream = &mut self.upstreams[index];
        let received = &self.edge.upstreams[index].bytes[upstream.at..];
        if upstream.switched || received.is_empty() {
            return false;
        }
        let Some(request) = reference::request(received) else { return false };
        let exchange = self.edge.exchanges - 1;
        if !upstream.reading {
            assert!(!upstream.used_up, "a connection that is not clean was used again");
            upstream.reading = true;
            upstream.answered = false;
            upstream.requests.push((exchange, upstream.at));
            if upstream.leaving {
                self.stale.push(exchange);
            }
        }
        if upstream.leaving && !upstream.answered {
            return false;
        }
        if !upstream.answered {
            let answer = self.answers.get(exchange).cloned().unwrap_or_else(Answer::plain);
            let complete = request.end == End::Complete;
            let begins = match answer.begins {
                Begins::AfterHead => true,
                Begins::AfterBody(bytes) => complete || request.body.len() >= bytes,
                Begins::WhenComplete => complete,
            };
            if !begins {
                return false;
            }
            upstream.answer(&answer, &request);
            self.given.resize_with(self.edge.exchanges, || None);
            self.given[exchange] = Some(answer);
        }
        if request.end == End::Complete {
            upstream.at += request.bytes();
            upstream.reading = false;
        }
        request.end == End::Complete && !upstream.switched
    }
}

impl Upstream {
    fn answer(&mut self, answer: &Answer, request: &Message) {
        let parsed = reference::answer(&answer.bytes, request.word(0));
        let end = self.queue.len() + parsed.bytes;
        self.queue.extend_from_slice(&answer.bytes);
        self.answered = true;
        self.switched = parsed.last.as_ref().is_some_and(|last| last.status() == 101);
        if !self.switched && end < self.queue.len() {
            self.uncut_from = Some(end);
        }
        let keeps_open = parsed.last.is_some_and(|last| last.answer_keeps_open());
        self.used_up = !keeps_open || end < self.queue.len() || answer.bad;
        self.leaving = answer.leaves || (self.used_up && !self.switched);
    }
}
