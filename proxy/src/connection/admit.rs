//! From the bytes of a head to what will be done: forward, with the rewritten head ready to send,
//! or reply, with the answer ready to send. Nothing here waits, so the received bytes are only
//! borrowed.

use std::cell::RefCell;
use std::sync::Arc;

use portico_core::access::{Admitted, Carrier, Gate};
use portico_core::activity::message::Rules as MessageRules;
use portico_core::activity::request::{RequestKind, message_rules, request_kind};
use portico_core::domain::Scheme;
use portico_core::http::client::Client;
use portico_core::http::decide::{Answer, By, Decision, Install, decide};
use portico_core::http::exchange::Exchange;
use portico_core::http::forward::{Identity, write_request_head};
use portico_core::http::head::field_space;
use portico_core::http::refusal::Refusal;
use portico_core::http::request::{BodyLength, Request};
use portico_core::http::response::{Guard, Rules};
use portico_core::quota::Standing;
use portico_core::route::Route;
use portico_core::session::{Prefix, Timestamp};

use super::edge::Asked;
use super::journal::Journal;
use super::live::Live;
use super::quota::Quoted;
use crate::io::Leading;
use crate::metrics::labels::Limit;
use crate::pages::{Audience, Form, Page};
use crate::pool::Choice;
use crate::worker::Worker;

#[expect(clippy::large_enum_variant, reason = "most are forwarded: a box would be paid by each")]
pub(super) enum Admission {
    Forward(Forward),
    Reply(Reply),
    Edge(Box<Asked>),
}

/// A request on its way to a session.
pub(super) struct Forward {
    pub(super) route: Arc<Route>,
    /// Both directions of an upload use it, in turns.
    pub(super) exchange: RefCell<Exchange>,
    /// The head for the upstream; behind it, for us: authority and prefix as the client sent them.
    pub(super) head: Leading,
    authority_bytes: u32,
    host_bytes: u32,
    /// Path routing: the prefix stands last in `head.text`.
    by_path: bool,
    /// Of the answers that the edge may have to give instead of the session.
    pub(super) form: Form,
    pub(super) choice: Choice,
    has_body: bool,
    /// Of a WebSocket: how its messages are read.
    pub(super) websocket: Option<MessageRules>,
    pub(super) kind: RequestKind,
    /// The edge is the gate, and has a word in the answer.
    guarded: bool,
    /// What it says to this one, which mostly is nothing.
    said: Option<Box<Said>>,
    /// Until it is told to the watch.
    pub(super) live: Option<Live>,
    /// Nothing of the body was dropped on the way.
    pub(super) delivered: bool,
    pub(super) journal: Journal,
}

struct Said {
    renewed: Option<String>,
    origin: Option<Box<str>>,
}

impl Said {
    fn take(admitted: &mut Admitted) -> Option<Box<Said>> {
        let (renewed, origin) = (admitted.renewed.take(), admitted.origin.take());
        (renewed.is_some() || origin.is_some()).then(|| Box::new(Self { renewed, origin }))
    }
}

/// An answer of the edge itself.
pub(super) struct Reply {
    pub(super) text: Vec<u8>,
    pub(super) status: u16,
    pub(super) close: bool,
    pub(super) journal: Journal,
}

/// `None`: the head is not complete. Else what to do, and the length of the head.
pub(super) fn admit(
    worker: &Worker,
    client: &Client,
    buffer: &[u8],
    scanned: usize,
) -> Result<Option<(Admission, usize)>, Refusal> {
    let mut space = field_space();
    let Some(request) = Request::parse(buffer, scanned, &mut space)? else {
        return Ok(None);
    };
    let install = Install { domains: &worker.shared.domains, gate: &worker.shared.gate };
    let now = crate::clock::now();
    let proven = &worker.proven;
    let decision =
        worker.with_table(|table| decide(&request, client, install, table, proven, now))?;
    let session = match &decision {
        Decision::Forward(route, ..) => Some(&route.label),
        Decision::Answer(_) | Decision::Edge(_) => None,
    };
    let journal = Journal::begin(worker, client, &request, session);
    let admission = match decision {
        Decision::Forward(route, by, admitted) => {
            let through = Through { route, by, admitted };
            through.admission(worker, client, &request, journal, now)
        }
        Decision::Edge(door) => {
            let asked = Asked::new(door, client, &request, form(&request), journal);
            Admission::Edge(Box::new(asked))
        }
        Decision::Answer(answer) => {
            Admission::Reply(reply_to(worker, client, &request, &answer, journal))
        }
    };
    Ok(Some((admission, request.bytes)))
}

/// A request that the gate has let through.
struct Through {
    route: Arc<Route>,
    by: By,
    admitted: Option<Admitted>,
}

impl Through {
    /// If the limits of its workspace and the quotas that it is counted by have room for it, too.
    fn admission(
        self,
        worker: &Worker,
        client: &Client,
        request: &Request<'_, '_>,
        mut journal: Journal,
        now: Timestamp,
    ) -> Admission {
        let Self { route, by, admitted } = self;
        let refused = |page: &Page, route: &Route, journal| {
            Admission::Reply(Reply::about(route, worker, page, form(request), journal))
        };
        if let Err(excess) = journal.enter(worker, &route) {
            return refused(&Page::of_excess(excess, &route), &route, journal);
        }
        let admitted = admitted.map(|admitted| rechecked(worker, admitted, &route, by, now));
        let (method, target) = (request.method.as_bytes(), request.target.as_bytes());
        let kind = request_kind(route.kind, method, target);
        let mut live = Live { route, by, admitted, kind, quoted: None };
        live.quoted = Quoted::open(worker, client, request, &live, now);
        let standing = live.quoted.as_ref().map(|quoted| quoted.accounts.standing(now));
        if let Some(Standing::Denied { bucket, retry_after }) = standing {
            let page = Page::of_quota(&bucket, retry_after, &live.route);
            return refused(&page, &live.route, journal);
        }
        Admission::Forward(Forward::new(worker, client, request, live, journal))
    }
}

/// A grant that lasts as long as the platform's word: half-way the platform is asked again, and
/// what it has said meanwhile makes the grant last longer.
fn rechecked(
    worker: &Worker,
    mut admitted: Admitted,
    route: &Arc<Route>,
    by: By,
    now: Timestamp,
) -> Admitted {
    let Some(grant) = admitted.grant.as_ref().filter(|grant| grant.wants_recheck(now)) else {
        return admitted;
    };
    let until = worker.shared.edge.as_ref().and_then(|edge| edge.recheck(grant, route));
    if let Some(until) = until.filter(|until| *until > grant.until)
        && admitted.carrier == Carrier::Cookie
    {
        let gate = &worker.shared.gate;
        admitted.renewed = worker
            .with_table(|table| gate.lengthened(grant, until, (route, by), table.access(), now));
    }
    admitted
}

impl Forward {
    fn new(
        worker: &Worker,
        client: &Client,
        request: &Request<'_, '_>,
        mut live: Live,
        journal: Journal,
    ) -> Self {
        let mut text = worker.text();
        let (route, by) = (live.route.clone(), live.by);
        let fields = &worker.shared.gate.identity_fields;
        let identity = Identity { user: live.user(), fields };
        write_request_head(&mut text, request, &route, by, client, identity);
        let length = text.len();
        text.extend_from_slice(request.authority.as_bytes());
        if let By::Path { prefix } = by {
            text.extend_from_slice(&request.target.as_bytes()[..prefix]);
        }
        let has_body = request.body != BodyLength::None;
        let guarded = live.admitted.is_some();
        let said = live.admitted.as_mut().and_then(Said::take);
        let renewed = said.as_ref().is_some_and(|said| said.renewed.is_some());
        worker.counters.grants_renewed.add(u64::from(renewed));
        Self {
            exchange: RefCell::new(Exchange::new(request)),
            head: Leading { text, length },
            // No longer than a head.
            authority_bytes: request.authority.len() as u32,
            host_bytes: request.host.len() as u32,
            by_path: matches!(by, By::Path { .. }),
            form: form(request),
            choice: Choice::Idle,
            has_body,
            websocket: request
                .upgrade
                .filter(|to| to.eq_ignore_ascii_case("websocket"))
                .map(|_| message_rules(route.kind, request.target.as_bytes())),
            kind: live.kind,
            guarded,
            said,
            live: Some(live),
            delivered: true,
            journal,
            route,
        }
    }

    pub(super) fn has_body(&self) -> bool {
        self.has_body
    }

    /// For the time of a send, which owns it.
    pub(super) fn take_head(&mut self) -> Leading {
        std::mem::replace(&mut self.head, Leading { text: Vec::new(), length: 0 })
    }

    pub(super) fn rules<'a>(&'a self, gate: &'a Gate) -> Rules<'a> {
        let ours = std::str::from_utf8(&self.head.text[self.head.length..])
            .expect("authority and target were text when they were copied here");
        let (authority, prefix) = ours.split_at(self.authority_bytes as usize);
        Rules {
            authority,
            host: &authority[..self.host_bytes as usize],
            upstream: &self.route.upstream,
            prefix: self.by_path.then_some(prefix),
            stripped: self.by_path && self.route.prefix == Prefix::Strip,
            guard: self.guarded.then(|| Guard {
                renewed: self.said.as_ref().and_then(|said| said.renewed.as_deref()),
                origin: self.said.as_ref().and_then(|said| said.origin.as_deref()),
                frame_ancestors: gate.origins.frame_ancestors(),
            }),
        }
    }

    /// The answer in place of the session's.
    pub(super) fn instead(self, worker: &Worker, page: &Page) -> Reply {
        let form = Form { close: self.form.close || self.has_body, ..self.form };
        log_upstream_failure(&self.route, page);
        worker.return_text(self.head.text);
        Reply::about(&self.route, worker, page, form, self.journal)
    }
}

impl Reply {
    /// In place of this session's answer.
    fn about(route: &Route, worker: &Worker, page: &Page, form: Form, journal: Journal) -> Self {
        if let Some(error) = page.error() {
            worker.remember(route, error);
        }
        Self::new(worker, page, form, journal)
    }

    pub(super) fn new(worker: &Worker, page: &Page, form: Form, journal: Journal) -> Self {
        let close = form.close || worker.is_draining();
        let mut text = worker.text();
        page.write(&mut text, Form { close, ..form }, worker.shared.gate.origins.frame_ancestors());
        if let Some(reason) = page.reason {
            worker.counters.requests_refused.at(reason).add(1);
        }
        Self { text, status: page.status, close, journal }
    }
}

fn reply_to(
    worker: &Worker,
    client: &Client,
    request: &Request<'_, '_>,
    answer: &Answer,
    journal: Journal,
) -> Reply {
    let page = match answer {
        Answer::Refused(route, by, refused) => {
            Some(super::refused::page(worker, request, route, *by, refused))
        }
        answer => Page::of_answer(answer, request.target, request.path_bytes),
    };
    let page = page.unwrap_or_else(Page::of_edge_failure);
    if let Some(reason) = page.reason {
        tracing::debug!(
            client = %client.address,
            host = request.host,
            reason = crate::metrics::labels::LabelValue::as_str(reason),
            "answered by the edge"
        );
    }
    match answer.route() {
        Some(route) => Reply::about(route, worker, &page, form(request), journal),
        None => Reply::new(worker, &page, form(request), journal),
    }
}

fn form(request: &Request<'_, '_>) -> Form {
    Form {
        audience: Audience::of(request),
        head_only: request.method == "HEAD",
        // A body that nobody reads, or bytes of a protocol that was not switched to, may follow.
        close: !request.persistent || request.body != BodyLength::None || request.upgrade.is_some(),
    }
}

pub(super) fn note_refusal(worker: &Worker, client: &Client, refusal: Refusal) {
    let limit = match refusal {
        Refusal::LineTooLong => Some(Limit::RequestLine),
        Refusal::HeadTooLarge => Some(Limit::Head),
        Refusal::TooManyFields => Some(Limit::HeadFields),
        _ => None,
    };
    if let Some(limit) = limit {
        worker.counters.limit_reached.at(limit).add(1);
    }
    let scheme = match client.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    tracing::info!(
        client = %client.address,
        listener = scheme,
        reason = refusal.as_str(),
        status = refusal.status(),
        "request refused"
    );
}

fn log_upstream_failure(route: &Route, page: &Page) {
    tracing::warn!(
        session = route.session(),
        workspace = %route.workspace.name,
        upstream = %route.upstream,
        status = page.status,
        "{}",
        page.detail()
    );
}
