//! What to do with a request: which session's route it takes, or which answer it gets from the
//! edge. Pure: host, path and table in, decision out.

use std::sync::Arc;

use super::refusal::Refusal;
use super::request::Request;
use crate::domain::{Domains, LabelText, Site};
use crate::path::{PathSite, path_site};
use crate::route::{Entry, Route, RouteTable};
use crate::session::State;

#[derive(Debug, Clone)]
pub enum Decision {
    Forward(Arc<Route>, By),
    Answer(Answer),
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
}

pub fn decide(
    request: &Request<'_, '_>,
    domains: &Domains,
    table: &RouteTable,
) -> Result<Decision, Refusal> {
    if request.target == "*" {
        return Ok(Decision::Answer(Answer::Options));
    }
    let site = domains.site(request.host);
    if let Site::Session(label) = site {
        return Ok(session(label, By::Subdomain, table));
    }
    if request.path() == "/healthz" && matches!(request.method, "GET" | "HEAD") {
        return Ok(Decision::Answer(Answer::Healthy));
    }
    if site == Site::Unknown {
        return Ok(Decision::Answer(Answer::UnknownHost));
    }
    match path_site(request.path()) {
        PathSite::Elsewhere | PathSite::Malformed => Ok(Decision::Answer(Answer::NothingHere)),
        PathSite::Escapes => Err(Refusal::PathEscapes),
        PathSite::Inside { label, prefix } => Ok(session(label, By::Path { prefix }, table)),
        PathSite::WithoutSlash(label) => {
            let prefix = request.path_bytes;
            Ok(match session(label, By::Path { prefix }, table) {
                Decision::Forward(..) => Decision::Answer(Answer::AddSlash),
                answer @ Decision::Answer(_) => answer,
            })
        }
    }
}

fn session(label: LabelText, by: By, table: &RouteTable) -> Decision {
    let route = match table.lookup(label.as_str()) {
        None => return Decision::Answer(Answer::UnknownSession(label)),
        Some(Entry::Gone) => return Decision::Answer(Answer::Gone(label)),
        Some(Entry::Route(route)) => route.clone(),
    };
    let answers_here = match by {
        By::Subdomain => route.routing.has_subdomain(),
        By::Path { .. } => route.routing.has_path(),
    };
    if !answers_here {
        return Decision::Answer(Answer::OtherRouting(route));
    }
    if !route.workspace.is_allowed() {
        return Decision::Answer(Answer::WorkspaceNotAllowed(route));
    }
    match route.state {
        State::Running => Decision::Forward(route, by),
        State::Building
        | State::BuildFailed
        | State::Starting
        | State::Stopping
        | State::Stopped
        | State::Errored => Decision::Answer(Answer::NotRunning(route)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head;
    use crate::label::{Label, SessionId};
    use crate::route::Change;
    use crate::session::{Routing, Session, Timestamp};
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
        let text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut space = head::field_space();
        let request = Request::parse(text.as_bytes(), 0, &mut space).unwrap().unwrap();
        match decide(&request, &domains, &table()) {
            Err(refusal) => format!("refused {}", refusal.as_str()),
            Ok(Decision::Forward(route, By::Subdomain)) => format!("{} by host", route.label),
            Ok(Decision::Forward(route, By::Path { prefix })) => {
                format!("{} by path {}", route.label, &target[prefix..])
            }
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
