//! The edge between one client and its upstream connections: the smallest driver that does with
//! `Request` and `Exchange` what the data plane does, without sockets. Bytes and ends go in as
//! events; what it sends lies in its fields.

use std::net::{IpAddr, Ipv4Addr};

use portico_core::http::client::Client;
use portico_core::http::decide::By;
use portico_core::http::exchange::{Exchange, HeadKind};
use portico_core::http::forward::{Identity, write_request_head};
use portico_core::http::head::field_space;
use portico_core::http::refusal::{GatewayFault, Refusal};
use portico_core::http::request::Request;
use portico_core::http::response::Rules;
use portico_core::route::Route;
use portico_core::upstream::{Host, Upstream};

pub struct Edge<'a> {
    pub to_client: Vec<u8>,
    pub upstreams: Vec<ToUpstream>,
    /// How the client's connection came to its end.
    pub end: Option<End>,
    /// Exchanges begun; a second try is none.
    pub exchanges: usize,
    pub retries: usize,
    /// Steps taken, to bound the work that bytes can cause.
    pub work: usize,
    pub draining: bool,
    /// Reads an upload to its end after an early answer, instead of closing at once.
    pub finishes_uploads: bool,
    route: &'a Route,
    client: &'a Client,
    from_client: Vec<u8>,
    scanned: usize,
    client_ended: bool,
    state: State,
    idle: Option<usize>,
}

#[derive(Default)]
pub struct ToUpstream {
    pub bytes: Vec<u8>,
    pub closed: bool,
    /// In a tunnel: nothing more will come from the client.
    pub half_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client could tell that all was there.
    Clean,
    Refused(Refusal),
    BadGateway(GatewayFault),
    /// In the middle of an answer or an upload.
    Aborted,
}

enum State {
    Idle,
    Busy(Box<Busy>),
    Tunnel { upstream: usize, upstream_ended: bool },
    Closed,
}

struct Busy {
    exchange: Exchange,
    upstream: usize,
    reused: bool,
    head: Vec<u8>,
    from_upstream: Vec<u8>,
    scanned: usize,
    head_delivered: bool,
}

static UPSTREAM: Upstream =
    Upstream { host: Host::Address(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))), port: 8888 };

const RULES: Rules<'_> = Rules {
    authority: "a1.example",
    host: "a1.example",
    upstream: &UPSTREAM,
    prefix: None,
    stripped: false,
    guard: None,
};

impl<'a> Edge<'a> {
    pub fn new(route: &'a Route, client: &'a Client) -> Self {
        Self {
            to_client: Vec::new(),
            upstreams: Vec::new(),
            end: None,
            exchanges: 0,
            retries: 0,
            work: 0,
            draining: false,
            finishes_uploads: false,
            route,
            client,
            from_client: Vec::new(),
            scanned: 0,
            client_ended: false,
            state: State::Idle,
            idle: None,
        }
    }

    pub fn client_bytes(&mut self, bytes: &[u8]) {
        match &self.state {
            State::Tunnel { upstream, .. } => self.upstreams[*upstream].bytes.extend(bytes),
            State::Idle | State::Busy(_) => {
                self.from_client.extend_from_slice(bytes);
                self.advance();
            }
            State::Closed => {}
        }
    }

    pub fn client_end(&mut self) {
        self.client_ended = true;
        self.advance();
    }

    pub fn upstream_bytes(&mut self, upstream: usize, bytes: &[u8]) {
        match &mut self.state {
            State::Tunnel { upstream: ours, .. } if *ours == upstream => {
                self.to_client.extend_from_slice(bytes);
            }
            State::Busy(busy) if busy.upstream == upstream => {
                busy.from_upstream.extend_from_slice(bytes);
                self.advance();
            }
            // Bytes that nobody asked for: the connection is not used again.
            State::Tunnel { .. } | State::Busy(_) | State::Idle | State::Closed => {
                self.forget_idle(upstream);
            }
        }
    }

    pub fn upstream_end(&mut self, upstream: usize) {
        match &mut self.state {
            State::Tunnel { upstream: ours, upstream_ended } if *ours == upstream => {
                *upstream_ended = true;
                self.advance();
            }
            State::Busy(busy) if busy.upstream == upstream => match busy.exchange.upstream_end() {
                Ok(()) => {
                    self.upstreams[upstream].closed = true;
                    self.finishes_uploads = false;
                    self.advance();
                }
                Err(_) if busy.reused && busy.exchange.may_retry(false) => self.retry(),
                Err(fault) => self.bad_gateway(fault),
            },
            State::Tunnel { .. } | State::Busy(_) | State::Idle | State::Closed => {
                self.forget_idle(upstream);
            }
        }
    }

    fn forget_idle(&mut self, upstream: usize) {
        if self.idle == Some(upstream) {
            self.idle = None;
            self.upstreams[upstream].closed = true;
        }
    }

    fn advance(&mut self) {
        while self.step() {
            self.work += 1;
        }
    }

    /// Whether anything was done.
    fn step(&mut self) -> bool {
        match &self.state {
            State::Closed => false,
            State::Idle => self.begin(),
            State::Tunnel { upstream, upstream_ended } => {
                let (upstream, upstream_ended) = (*upstream, *upstream_ended);
                self.upstreams[upstream].half_closed |= self.client_ended;
                if self.client_ended && upstream_ended {
                    self.close(End::Clean);
                }
                false
            }
            State::Busy(_) => self.upload() || self.download() || self.finish(),
        }
    }

    fn begin(&mut self) -> bool {
        let mut space = field_space();
        let request = match Request::parse(&self.from_client, self.scanned, &mut space) {
            Ok(Some(request)) => request,
            Ok(None) => {
                self.scanned = self.from_client.len();
                if self.client_ended {
                    self.close(End::Clean);
                }
                return false;
            }
            Err(refusal) => {
                self.refuse(refusal);
                return false;
            }
        };
        let mut head = Vec::new();
        write_request_head(
            &mut head,
            &request,
            self.route,
            By::Subdomain,
            self.client,
            Identity::default(),
        );
        let (exchange, bytes) = (Exchange::new(&request), request.bytes);
        self.from_client.drain(..bytes);
        self.scanned = 0;
        self.exchanges += 1;
        let reused = self.idle.is_some();
        let upstream = self.idle.take().unwrap_or_else(|| self.connect());
        self.upstreams[upstream].bytes.extend_from_slice(&head);
        self.state = State::Busy(Box::new(Busy {
            exchange,
            upstream,
            reused,
            head,
            from_upstream: Vec::new(),
            scanned: 0,
            head_delivered: false,
        }));
        true
    }

    fn connect(&mut self) -> usize {
        self.upstreams.push(ToUpstream::default());
        self.upstreams.len() - 1
    }

    fn retry(&mut self) {
        let upstream = self.connect();
        let State::Busy(busy) = &mut self.state else { return };
        self.upstreams[busy.upstream].closed = true;
        self.upstreams[upstream].bytes.extend_from_slice(&busy.head);
        busy.upstream = upstream;
        busy.reused = false;
        self.retries += 1;
        self.advance();
    }

    fn upload(&mut self) -> bool {
        let State::Busy(busy) = &mut self.state else { return false };
        let enough = busy.exchange.download_done() && !self.finishes_uploads;
        if busy.exchange.upload_done() || enough {
            return false;
        }
        if self.from_client.is_empty() {
            if self.client_ended {
                self.close(End::Aborted);
            }
            return false;
        }
        match busy.exchange.upload(&self.from_client) {
            Ok(bytes) => {
                let upstream = &mut self.upstreams[busy.upstream];
                upstream.bytes.extend(self.from_client.drain(..bytes));
                bytes > 0
            }
            Err(refusal) => {
                self.refuse(refusal);
                false
            }
        }
    }

    fn download(&mut self) -> bool {
        let State::Busy(busy) = &mut self.state else { return false };
        if busy.from_upstream.is_empty() || busy.exchange.download_done() {
            return false;
        }
        if !busy.exchange.awaits_head() {
            return match busy.exchange.response_body(&busy.from_upstream) {
                Ok(step) => {
                    let (start, end) = step.forward;
                    self.to_client.extend_from_slice(&busy.from_upstream[start..end]);
                    busy.from_upstream.drain(..step.consumed);
                    step.consumed > 0
                }
                Err(fault) => {
                    self.bad_gateway(fault);
                    false
                }
            };
        }
        let (input, scanned) = (&busy.from_upstream, busy.scanned);
        let (out, close) = (&mut self.to_client, self.draining);
        match busy.exchange.response_head(input, scanned, &RULES, close, out) {
            Ok(None) => {
                busy.scanned = busy.from_upstream.len();
                false
            }
            Ok(Some(step)) => {
                busy.from_upstream.drain(..step.consumed);
                busy.scanned = 0;
                match step.kind {
                    HeadKind::Interim => {}
                    HeadKind::Final => busy.head_delivered = true,
                    HeadKind::Switched => self.switch(),
                }
                true
            }
            Err(fault) => {
                self.bad_gateway(fault);
                false
            }
        }
    }

    fn switch(&mut self) {
        let State::Busy(busy) = &mut self.state else { return };
        let upstream = busy.upstream;
        self.to_client.append(&mut busy.from_upstream);
        self.upstreams[upstream].bytes.append(&mut self.from_client);
        self.state = State::Tunnel { upstream, upstream_ended: false };
    }

    fn finish(&mut self) -> bool {
        let State::Busy(busy) = &self.state else { return false };
        let exchange = &busy.exchange;
        if !exchange.download_done() {
            return false;
        }
        if exchange.client_persistent() {
            if exchange.upstream_persistent() {
                self.idle = Some(busy.upstream);
            } else {
                self.upstreams[busy.upstream].closed = true;
            }
            self.state = State::Idle;
            return true;
        }
        if exchange.upload_done() || !self.finishes_uploads {
            self.close(End::Clean);
        }
        false
    }

    fn refuse(&mut self, refusal: Refusal) {
        if self.answer(refusal.status()) {
            self.close(End::Refused(refusal));
        } else {
            self.close(End::Aborted);
        }
    }

    fn bad_gateway(&mut self, fault: GatewayFault) {
        if self.answer(502) {
            self.close(End::BadGateway(fault));
        } else {
            self.close(End::Aborted);
        }
    }

    /// An answer of the edge's own, if the upstream's has not begun to go out.
    fn answer(&mut self, status: u16) -> bool {
        if matches!(&self.state, State::Busy(busy) if busy.head_delivered) {
            return false;
        }
        let head = format!(
            "HTTP/1.1 {status} Edge\r\nX-Edge: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        self.to_client.extend_from_slice(head.as_bytes());
        true
    }

    fn close(&mut self, end: End) {
        self.end = Some(end);
        self.state = State::Closed;
        self.idle = None;
        for upstream in &mut self.upstreams {
            upstream.closed = true;
        }
    }
}
