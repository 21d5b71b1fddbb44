//! What a worker would do with the request that is asked about: the very functions that it calls,
//! in its order, on the same table. Only what a request changes (a place in a limit, bytes in a
//! quota) is looked at instead of taken.

use std::sync::Arc;

use portico_core::access::{Admitted, Proven, Refused};
use portico_core::domain::Site;
use portico_core::http::client::Client;
use portico_core::http::decide::{Answer, By, Decision, Install, decide, let_in};
use portico_core::http::head::field_space;
use portico_core::http::refusal::Refusal;
use portico_core::http::request::Request;
use portico_core::network::UpstreamNetworks;
use portico_core::path::{PathSite, path_site};
use portico_core::quota::{Asker, Counted, Forecast, Foreseen, Ledger, Standing};
use portico_core::route::{Entry, Route, RouteTable};
use portico_core::session::{Name, Timestamp};
use portico_core::workspace::Excess;

use super::asked::Asked;
use super::told::{Sent, sent};
use crate::clock::Clock;
use crate::connection::page_of;
use crate::metrics::labels::ConnectError;
use crate::pages::Page;

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Inquiry<'a> {
    pub(super) install: Install<'a>,
    pub(super) networks: &'a UpstreamNetworks,
    pub(super) quotas: Option<&'a Ledger>,
    pub(super) table: &'a RouteTable,
    pub(super) clock: Clock,
    pub(super) now: Timestamp,
}

/// What was found, with what stands behind it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rule: Rule,
    pub(super) label: Option<String>,
    /// The session of this label, also where it is not what answers.
    pub(super) route: Option<Arc<Route>>,
    /// What `who_may` is asked by.
    pub(super) by: Option<By>,
    pub(super) access: AccessWord,
    pub(super) excess: Option<Excess>,
    pub(super) quotas: Vec<Forecast>,
    /// What of the request the tool would get.
    pub(super) sent: Option<Sent>,
    pub(super) outcome: Outcome,
}

/// What the host and the path name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Subdomain,
    Path,
    ConnectHost,
    Nothing,
}

/// Whether who asks is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccessWord {
    /// Something else decides before anybody is asked.
    NotAsked,
    OpenGate,
    Public,
    Allowed,
    /// If the platform says that the user is of the session's workspace.
    IfMember,
    NotAllowed,
    SignIn,
}

#[derive(Debug)]
pub(super) enum Outcome {
    ToSession,
    /// A page of the edge app: signing in and out.
    EdgeApp,
    Page(Page),
}

impl Rule {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Subdomain => "subdomain",
            Self::Path => "path",
            Self::ConnectHost => "connect_host",
            Self::Nothing => "none",
        }
    }
}

impl AccessWord {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::OpenGate => "open_gate",
            Self::Public => "public",
            Self::Allowed => "allowed",
            Self::IfMember => "if_member",
            Self::NotAllowed => "not_allowed",
            Self::SignIn => "sign_in",
        }
    }
}

impl Inquiry<'_> {
    pub(super) fn found(self, asked: &Asked) -> Found {
        let head = asked.head();
        let mut space = field_space();
        match Request::parse(head.as_bytes(), 0, &mut space) {
            Ok(Some(request)) => self.of_request(&request, asked),
            // A head that ends is complete.
            Ok(None) => Found::unread(Refusal::Malformed),
            Err(refusal) => Found::unread(refusal),
        }
    }

    fn of_request(self, request: &Request<'_, '_>, asked: &Asked) -> Found {
        let client = Client::new(([127, 0, 0, 1], 0).into(), asked.scheme, &[]);
        let (rule, label, by) = self.named(request);
        let entry = label.as_deref().and_then(|label| self.table.lookup(label));
        let route = match entry {
            Some(Entry::Route(route)) => Some(route.clone()),
            Some(Entry::Gone) | None => None,
        };
        let mut found = Found { rule, label, route, by, ..Found::unread(Refusal::Malformed) };
        let decided =
            decide(request, &client, self.install, self.table, &Proven::default(), self.now)
                .map(|decision| self.as_user(decision, asked.user.as_ref()));
        let (decision, access) = match decided {
            Ok(decided) => decided,
            Err(refusal) => {
                found.outcome = Outcome::Page(Page::of_refusal(refusal));
                return found;
            }
        };
        found.access = access;
        found.outcome = match decision {
            Decision::Edge(_) => Outcome::EdgeApp,
            Decision::Answer(Answer::Refused(route, by, refused)) => {
                Outcome::Page(page_of(self.install, request, &route, by, &refused))
            }
            Decision::Answer(answer) => {
                let page = Page::of_answer(&answer, request.target, request.path_bytes);
                Outcome::Page(page.unwrap_or_else(Page::of_edge_failure))
            }
            Decision::Forward(route, by, _) => {
                found.sent = Some(sent(request, &route, by, &client));
                self.within_limits(&route, asked.user.as_ref(), &mut found)
            }
        };
        found
    }

    fn named(self, request: &Request<'_, '_>) -> (Rule, Option<String>, Option<By>) {
        let prefix = request.path_bytes;
        match self.install.domains.site(request.host) {
            Site::Session(label) => {
                (Rule::Subdomain, Some(label.as_str().to_owned()), Some(By::Subdomain))
            }
            Site::Unknown => (Rule::Nothing, None, None),
            Site::Connect => match path_site(request.path()) {
                PathSite::Inside { label, prefix } => {
                    (Rule::Path, Some(label.as_str().to_owned()), Some(By::Path { prefix }))
                }
                PathSite::WithoutSlash(label) => {
                    (Rule::Path, Some(label.as_str().to_owned()), Some(By::Path { prefix }))
                }
                PathSite::Elsewhere | PathSite::Malformed | PathSite::Escapes => {
                    (Rule::ConnectHost, None, None)
                }
            },
        }
    }

    /// The decision for nobody, or if somebody is named and would have to sign in, for that user as
    /// a sign-in decides it.
    fn as_user(self, decision: Decision, user: Option<&Name>) -> (Decision, AccessWord) {
        let gate = self.install.gate;
        let let_in_without = |decision| match gate.is_closed() {
            false => (decision, AccessWord::OpenGate),
            true => (decision, AccessWord::Public),
        };
        let (route, by) = match &decision {
            Decision::Forward(..) | Decision::Answer(Answer::NotRunning(_)) => {
                return let_in_without(decision);
            }
            Decision::Answer(Answer::Refused(route, by, refused)) => match refused {
                Refused::SignIn { .. } | Refused::Unauthorized { .. } => (route.clone(), *by),
                Refused::NotAllowed { .. } | Refused::CrossOrigin | Refused::Preflight { .. } => {
                    return (decision, AccessWord::NotAllowed);
                }
            },
            Decision::Answer(_) | Decision::Edge(_) => return (decision, AccessWord::NotAsked),
        };
        let Some(user) = user else { return (decision, AccessWord::SignIn) };
        let access = match (
            gate.admits_user(&route, by, user, false),
            gate.admits_user(&route, by, user, true),
        ) {
            (true, _) => AccessWord::Allowed,
            (false, true) => AccessWord::IfMember,
            (false, false) => {
                let refused = Refused::NotAllowed { user: user.clone(), origin: None };
                let answer = Answer::Refused(route, by, refused);
                return (Decision::Answer(answer), AccessWord::NotAllowed);
            }
        };
        (let_in(route, by, Some(Admitted::default())), access)
    }

    /// In the order of a worker: the workspace's limits, quotas, the upstream.
    fn within_limits(self, route: &Route, user: Option<&Name>, found: &mut Found) -> Outcome {
        let workspace = &route.workspace;
        let is_limited = workspace.is_limited();
        found.excess = is_limited.then(|| workspace.excess(self.clock.microseconds())).flatten();
        let asker = match (found.access, user) {
            (AccessWord::OpenGate, _) | (AccessWord::Public, None) => Asker::Nobody,
            (_, Some(user)) => Asker::User(user.as_str()),
            (_, None) => Asker::Unknown,
        };
        let of = Foreseen { workspace: workspace.name.as_str(), session: route.session(), asker };
        found.quotas = self.quotas.map(|ledger| ledger.foresee(of, self.now)).unwrap_or_default();
        if let Some(excess) = found.excess {
            return Outcome::Page(Page::of_excess(excess, route));
        }
        if let Standing::Denied { bucket, retry_after } = sternest(&found.quotas) {
            return Outcome::Page(Page::of_quota(&bucket, retry_after, route));
        }
        match route.upstream.address().map(|address| self.networks.check(address)) {
            Some(Err(_)) => Outcome::Page(Page::of_connect_error(ConnectError::Forbidden, route)),
            Some(Ok(())) | None => Outcome::ToSession,
        }
    }
}

fn sternest(quotas: &[Forecast]) -> Standing {
    let standings = quotas.iter().filter_map(|forecast| match &forecast.counted {
        Counted::As { standing, .. } => Some(standing.clone()),
        Counted::ByRequest(_) | Counted::NotHere => None,
    });
    standings.fold(Standing::Open, Standing::and)
}

impl Found {
    /// Of what no worker takes for a request.
    fn unread(refusal: Refusal) -> Self {
        Self {
            rule: Rule::Nothing,
            label: None,
            route: None,
            by: None,
            access: AccessWord::NotAsked,
            excess: None,
            quotas: Vec::new(),
            sent: None,
            outcome: Outcome::Page(Page::of_refusal(refusal)),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
