//! What to do with a request: which session's route it takes, or which answer it gets from the
//! edge. Pure: host, path, table and time in, decision out.

use std::sync::Arc;

use super::client::Client;
use super::refusal::Refusal;
use super::request::Request;
use crate::access::{Admitted, Gate, Proven, Question, Refused, Verdict};
use crate::domain::{Domains, LabelText, Site};
use crate::path::{PathSite, path_site};
use crate::route::{Entry, Route, RouteTable};
use crate::session::{State, Timestamp};

#[derive(Debug, Clone)]
pub enum Decision {
    /// With what somebody was let in by, where that is asked.
    Forward(Arc<Route>, By, Option<Admitted>),
    Answer(Answer),
    /// Of the edge's own pages: signing in and out, and what belongs to it.
    Edge(Door),
}

/// On which host a page of the edge is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Connect,
    Session(LabelText),
}

/// The paths of the edge's own pages, on the connect host and on those of sessions.
pub const EDGE_PREFIX: &str = "/_portico/";

/// What does not change from one request to the next.
#[derive(Debug, Clone, Copy)]
pub struct Install<'a> {
    pub domains: &'a Domains,
    pub gate: &'a Gate,
}

/// How the URL names the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Subdomain,
    /// `prefix` is the length of `/_studio/<label>` in the target.
    Path {
        prefix: usize,
    },
}

/// An answer of the edge itself.
#[derive(Debug, Clone)]
pub enum Answer {
    /// `GET /healthz` on a host that is no session: for load balancers.
    Healthy,
    /// `OPTIONS *`.
    Options,
    /// The path of a session without its slash.
    AddSlash,
    UnknownHost,
    /// The connect host, on a path that is no session's.
    NothingHere,
    UnknownSession(LabelText),
    Gone(LabelText),
    /// The session exists, but not on this kind of URL.
    OtherRouting(Arc<Route>),
    /// The session's workspace is not on the list of those that may have routes.
    WorkspaceNotAllowed(Arc<Route>),
    /// Building, starting, or on its way down.
    NotRunning(Arc<Route>),
    /// Who asks may not, or not like this.
    Refused(Arc<Route>, By, Refused),
}

impl Answer {
    /// The session that it is about, where there is one.
    pub fn route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::OtherRouting(route)
            | Self::WorkspaceNotAllowed(route)
            | Self::NotRunning(route)
            | Self::Refused(route, ..) => Some(route),
            Self::Healthy
            | Self::Options
            | Self::AddSlash
            | Self::UnknownHost
            | Self::NothingHere
            | Self::UnknownSession(_)
            | Self::Gone(_) => None,
        }
    }
}

pub fn decide(
    request: &Request<'_, '_>,
    client: &Client,
    install: Install<'_>,
    table: &RouteTable,
    proven: &Proven,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if request.target == "*" {
        return Ok(Decision::Answer(Answer::Options));
    }
    let asked = Asked { request, client, install, table, proven, now };
    let site = install.domains.site(request.host);
    let is_edge = install.gate.is_closed() && request.target.starts_with(EDGE_PREFIX);
    if let Site::Session(label) = site {
        return Ok(match is_edge {
            true => Decision::Edge(Door::Session(label)),
            false => asked.session(label, By::Subdomain),
        });
    }
    if request.path() == "/healthz" && matches!(request.method, "GET" | "HEAD") {
        return Ok(Decision::Answer(Answer::Healthy));
    }
    if site == Site::Unknown {
        return Ok(Decision::Answer(Answer::UnknownHost));
    }
    if is_edge {
        return Ok(Decision::Edge(Door::Connect));
    }
    match path_site(request.path()) {
        PathSite::Elsewhere | PathSite::Malformed => Ok(Decision::Answer(Answer::NothingHere)),
        PathSite::Escapes => Err(Refusal::PathEscapes),
        PathSite::Inside { label, prefix } => Ok(asked.session(label, By::Path { prefix })),
        PathSite::WithoutSlash(label) => {
            let prefix = request.path_bytes;
            Ok(asked.without_slash(label, By::Path { prefix }))
        }
    }
}

/// What becomes of a request that the gate has let in: the state of a session is told to those only
/// who may use it.
pub fn let_in(route: Arc<Route>, by: By, admitted: Option<Admitted>) -> Decision {
    match route.state {
        State::Running => Decision::Forward(route, by, admitted),
        State::Building
        | State::BuildFailed
        | State::Starting
        | State::Stopping
        | State::Stopped
        | State::Errored => Decision::Answer(Answer::NotRunning(route)),
    }
}

struct Asked<'q, 'h, 'b> {
    request: &'q Request<'h, 'b>,
    client: &'q Client,
    install: Install<'q>,
    table: &'q RouteTable,
    proven: &'q Proven,
    now: Timestamp,
}

impl Asked<'_, '_, '_> {
    fn session(&self, label: LabelText, by: By) -> Decision {
        let route = match self.route(label, by) {
            Ok(route) => route,
            Err(answer) => return Decision::Answer(answer),
        };
        let question = Question {
            request: self.request,
            route: &route,
            by,
            client: self.client,
            scheme: self.install.domains.connect.scheme,
            proven: self.proven,
            now: self.now,
        };
        let admitted = match self.install.gate.judge(question, self.table.access()) {
            Verdict::Admitted(admitted) => admitted,
            Verdict::Refused(refused) => {
                return Decision::Answer(Answer::Refused(route, by, refused));
            }
        };
        let_in(route, by, admitted)
    }

    /// Whoever it is, the address without its slash is not the session's; the cookie of a path is
    /// not sent to it.
    fn without_slash(&self, label: LabelText, by: By) -> Decision {
        match self.route(label, by) {
            Err(answer) => Decision::Answer(answer),
            Ok(route) if self.install.gate.is_closed() || route.state == State::Running => {
                Decision::Answer(Answer::AddSlash)
            }
            Ok(route) => Decision::Answer(Answer::NotRunning(route)),
        }
    }

    fn route(&self, label: LabelText, by: By) -> Result<Arc<Route>, Answer> {
        let route = match self.table.lookup(label.as_str()) {
            None => return Err(Answer::UnknownSession(label)),
            Some(Entry::Gone) => return Err(Answer::Gone(label)),
            Some(Entry::Route(route)) => route.clone(),
        };
        let answers_here = match by {
            By::Subdomain => route.routing.has_subdomain(),
            By::Path { .. } => route.routing.has_path(),
        };
        if !answers_here {
            return Err(Answer::OtherRouting(route));
        }
        match route.workspace.is_allowed() {
            true => Ok(route),
            false => Err(Answer::WorkspaceNotAllowed(route)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Scheme;
    use crate::http::head;
    use crate::label::{Label, SessionId};
    use crate::route::Change;
    use crate::session::{Routing, Session};
    use crate::workspace::AllowList;

    fn table() -> RouteTable {
        let session = |label: &str, workspace: &str, state, routing| {
            let name = |name: &str| name.parse().unwrap();
            let upstream = "http://10.0.0.1:1".parse().unwrap();
            let (id, tool) = (SessionId::parse(label).unwrap(), name("jupyter"));
            let label = Label::parse(label).unwrap();
            let session =
                Session::new(id, name(workspace), name("ada"), tool, upstream, Timestamp(0));
            Change::Set(Box::new(Session { label, state, routing, ..session }))
        };
        let route = |label: &str, state, routing| session(label, "w", state, routing);
        RouteTable::default().with([
            route("a1", State::Running, Routing::Both),
            route("sub", State::Running, Routing::Subdomain),
            route("new", State::Starting, Routing::Both),
            session("else", "x", State::Running, Routing::Both),
            Change::Allow(AllowList::of_words(["w"]).unwrap()),
            Change::Gone(Label::parse("old").unwrap()),
        ])
    }

    fn outcome(method: &str, host: &str, target: &str) -> String {
        let domains = Domains::new("https://connect.example.com", None, None).unwrap();
        let gate = Gate::open();
        let client = Client::new("192.0.2.1:1".parse().unwrap(), Scheme::Https, &[]);
        let text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut space = head::field_space();
        let request = Request::parse(text.as_bytes(), 0, &mut space).unwrap().unwrap();
        let install = Install { domains: &domains, gate: &gate };
        match decide(&request, &client, install, &table(), &Proven::default(), Timestamp(0)) {
            Err(refusal) => format!("refused {}", refusal.as_str()),
            Ok(Decision::Forward(route, By::Subdomain, _)) => format!("{} by host", route.label),
            Ok(Decision::Forward(route, By::Path { prefix }, _)) => {
                format!("{} by path {}", route.label, &target[prefix..])
            }
            Ok(Decision::Edge(door)) => format!("{door:?}"),
            Ok(Decision::Answer(answer)) => match answer {
                Answer::OtherRouting(_) => "other routing".into(),
                Answer::NotRunning(route) => format!("not running {}", route.label),
                Answer::WorkspaceNotAllowed(route) => {
                    format!("no workspace {}", route.workspace.name)
                }
                other => format!("{other:?}"),
            },
        }
    }

    #[test]
    fn a_request_finds_its_session_or_its_answer() {
        let connect = "connect.example.com";
        for (method, host, target, expected) in [
            ("GET", "a1.connect.example.com", "/lab", "a1 by host"),
            ("GET", "A1.CONNECT.example.com:443", "/healthz", "a1 by host"),
            ("GET", connect, "/_studio/a1/lab?x", "a1 by path /lab?x"),
            ("GET", connect, "/_studio/a1", "AddSlash"),
            ("GET", connect, "/_studio/a1?x=1", "AddSlash"),
            ("GET", connect, "/_studio/none", "UnknownSession(\"none\")"),
            ("GET", connect, "/_studio/a1/../new/", "refused path_escapes"),
            ("GET", connect, "/_studio/sub/", "other routing"),
            ("GET", "sub.connect.example.com", "/", "sub by host"),
            ("GET", "new.connect.example.com", "/", "not running new"),
            ("GET", "else.connect.example.com", "/", "no workspace x"),
            ("GET", connect, "/_studio/else", "no workspace x"),
            ("GET", "old.connect.example.com", "/", "Gone(\"old\")"),
            ("GET", "b1.connect.example.com", "/", "UnknownSession(\"b1\")"),
            ("GET", connect, "/", "NothingHere"),
            ("GET", connect, "/healthz", "Healthy"),
            ("GET", "10.0.0.1", "/healthz", "Healthy"),
            ("POST", "10.0.0.1", "/healthz", "UnknownHost"),
            ("GET", "other.example.org", "/", "UnknownHost"),
            ("OPTIONS", connect, "*", "Options"),
        ] {
            assert_eq!(outcome(method, host, target), expected, "{method} {host} {target}");
        }
    }
}
