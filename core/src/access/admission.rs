//! Whether a request may go to its session, and whether a connection that was let in may stay.

use std::sync::Arc;

use super::AccessState;
use super::cookies::{Carrier, CookieName, grants, logins};
use super::gate::Gate;
use super::grant::Grant;
use super::login::{Login, LoginId};
use super::origin::{Sender, Signs, is_upgrade};
use super::policy::Policy;
use super::proven::Proven;
use super::token::Invalid;
use crate::domain::Scheme;
use crate::http::client::Client;
use crate::http::decide::By;
use crate::http::request::Request;
use crate::route::{Entry, Route, RouteTable};
use crate::session::{Name, State, Timestamp};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// None: nobody was asked for a grant, because the gate is elsewhere.
    Admitted(Option<Admitted>),
    Refused(Refused),
}

/// By what somebody was let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    /// None for a public session, of which nobody needs to be known.
    pub grant: Option<Arc<Grant>>,
    pub carrier: Carrier,
    /// The value of a `Set-Cookie`, for the answer: the grant for another while.
    pub renewed: Option<String>,
    /// The page of another origin that may read the answer.
    pub origin: Option<Box<str>>,
}

/// Why not, and in which form that is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A page that is gone to: sign in first.
    SignIn { invalid: Option<Invalid> },
    /// Anything else without a good grant.
    Unauthorized { invalid: Option<Invalid>, origin: Option<Box<str>> },
    /// The grant is good, and its user is none of those who may.
    NotAllowed { user: Name, origin: Option<Box<str>> },
    /// A page of another session, or of elsewhere.
    CrossOrigin,
    /// A browser asks before it asks: yes, for this origin.
    Preflight { origin: Box<str> },
}

/// Why a connection that was let in has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    SessionEnded,
    WorkspaceNotAllowed,
    PolicyChanged,
    Revoked,
}

impl Cause {
    pub const ALL: [Cause; 4] =
        [Cause::SessionEnded, Cause::WorkspaceNotAllowed, Cause::PolicyChanged, Cause::Revoked];

    /// The value of the label `cause` in metrics, and the word in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::SessionEnded => "session_ended",
            Cause::WorkspaceNotAllowed => "workspace_not_allowed",
            Cause::PolicyChanged => "policy_changed",
            Cause::Revoked => "revoked",
        }
    }
}

/// A request, and what it is about.
#[derive(Clone, Copy)]
pub struct Question<'q, 'h, 'b> {
    pub request: &'q Request<'h, 'b>,
    pub route: &'q Route,
    pub by: By,
    pub client: &'q Client,
    /// Of the connect URL.
    pub scheme: Scheme,
    /// What this worker need not prove again.
    pub proven: &'q Proven,
    pub now: Timestamp,
}

/// What the grants of a request come to.
enum Found {
    Good(Arc<Grant>, Carrier),
    /// Good, but its user is not let in.
    Unwelcome(Name),
    Nothing(Option<Invalid>),
}

impl Gate {
    pub fn judge(&self, question: Question<'_, '_, '_>, state: &AccessState) -> Verdict {
        let Question { request, client, scheme, .. } = question;
        if !self.is_closed() {
            // Also a gate elsewhere gives cookies that a sibling's page could use.
            let foreign = is_upgrade(request)
                && Signs::of(request).sender(request, self, scheme, client) == Sender::Foreign;
            return match foreign {
                true => Verdict::Refused(Refused::CrossOrigin),
                false => Verdict::Admitted(None),
            };
        }
        let signs = Signs::of(request);
        let origin = match signs.sender(request, self, scheme, client) {
            Sender::Own => None,
            Sender::Allowed(origin) => Some(Box::from(origin)),
            Sender::Foreign => return Verdict::Refused(Refused::CrossOrigin),
        };
        if let Some(asking) = signs.preflight(request) {
            return Verdict::Refused(Refused::Preflight { origin: asking.into() });
        }
        let found = self.search(question, state);
        match found {
            Found::Good(grant, carrier) => {
                let renewed = self.renewal(&grant, carrier, question, state);
                let grant = Some(grant);
                Verdict::Admitted(Some(Admitted { grant, carrier, renewed, origin }))
            }
            Found::Unwelcome(_) | Found::Nothing(_)
                if self.asks_nobody(question.route, question.by) =>
            {
                Verdict::Admitted(Some(Admitted { origin, ..Admitted::default() }))
            }
            Found::Unwelcome(user) => Verdict::Refused(Refused::NotAllowed { user, origin }),
            Found::Nothing(invalid) => Verdict::Refused(match signs.is_navigation(request) {
                true => Refused::SignIn { invalid },
                false => Refused::Unauthorized { invalid, origin },
            }),
        }
    }

    /// The first grant that opens the session; else the best reason why none does.
    fn search(&self, question: Question<'_, '_, '_>, state: &AccessState) -> Found {
        let Question { request, route, by, proven, now, .. } = question;
        let (mut unwelcome, mut invalid) = (None, None);
        let mut signed_in = None;
        for (token, carrier) in grants(request, CookieName::of(by, &route.label)) {
            let verified = Grant::verify(token, route, state, proven, now);
            match verified
                .and_then(|grant| confirmed(grant, carrier, question, state, &mut signed_in))
            {
                Ok(grant) if self.admits(route, by, &grant) => return Found::Good(grant, carrier),
                Ok(grant) => unwelcome = Some(grant.user.clone()),
                Err(reason) => invalid = Some(reason),
            }
        }
        unwelcome.map_or(Found::Nothing(invalid), Found::Unwelcome)
    }

    /// Whether the policy of the session lets this grant's user in.
    fn admits(&self, route: &Route, by: By, grant: &Grant) -> bool {
        self.admits_user(route, by, &grant.user, grant.member)
    }

    /// The same of somebody who has no grant yet. `member`: of the session's workspace.
    pub fn admits_user(&self, route: &Route, by: By, user: &Name, member: bool) -> bool {
        if *user == route.owner {
            return true;
        }
        if is_path(by) && !self.path_sharing {
            return false;
        }
        match route.access.policy {
            Policy::Private => false,
            Policy::Workspace => member,
            Policy::Users => route.access.users.contains(user),
            Policy::Public => self.public_sessions,
        }
    }

    /// A sentence for who may not.
    pub fn who_may(&self, route: &Route, by: By) -> String {
        let owner = &route.owner;
        if is_path(by) && !self.path_sharing {
            return format!("On this kind of link it opens for its owner only, {owner}.");
        }
        match route.access.policy {
            Policy::Private | Policy::Public => {
                format!("It is private: only its owner {owner} can open it, or let others in.")
            }
            Policy::Workspace => {
                format!("It is for the members of the workspace {}.", route.workspace.name)
            }
            Policy::Users => {
                format!("It is for those whom its owner has named. Ask {owner} to add you.")
            }
        }
    }

    /// A public session.
    fn asks_nobody(&self, route: &Route, by: By) -> bool {
        let shared = !is_path(by) || self.path_sharing;
        route.access.policy == Policy::Public && self.public_sessions && shared
    }

    fn renewal(
        &self,
        grant: &Grant,
        carrier: Carrier,
        Question { route, by, now, .. }: Question<'_, '_, '_>,
        state: &AccessState,
    ) -> Option<String> {
        if carrier == Carrier::Field {
            return None;
        }
        set_cookie(&grant.renewed(self.grant_lifetime, now)?, route, by, state, now)
    }

    /// The same after the platform was asked again: its word holds until then.
    pub fn lengthened(
        &self,
        grant: &Grant,
        until: Timestamp,
        (route, by): (&Route, By),
        state: &AccessState,
        now: Timestamp,
    ) -> Option<String> {
        let expires_at = now.plus(self.grant_lifetime).min(until);
        let longer = Grant { issued_at: now, expires_at, until, ..grant.clone() };
        set_cookie(&longer, route, by, state, now)
    }

    /// Why a connection that was let in to this route has to go; None: it may stay. `admitted` is
    /// none where the gate is elsewhere.
    pub fn objection(
        &self,
        route: &Arc<Route>,
        by: By,
        admitted: Option<&Admitted>,
        table: &RouteTable,
    ) -> Option<Cause> {
        let Some(Entry::Route(now)) = table.lookup(route.label.as_str()) else {
            return Some(Cause::SessionEnded);
        };
        if now.created_at != route.created_at {
            return Some(Cause::SessionEnded);
        }
        match now.state {
            State::Stopped | State::Errored | State::BuildFailed => {
                return Some(Cause::SessionEnded);
            }
            State::Building | State::Starting | State::Running | State::Stopping => {}
        }
        if !now.workspace.is_allowed() {
            return Some(Cause::WorkspaceNotAllowed);
        }
        match admitted?.grant.as_ref() {
            None => (!self.asks_nobody(now, by)).then_some(Cause::PolicyChanged),
            Some(grant) if table.access().revocations.cover(&grant.user, grant.login) => {
                Some(Cause::Revoked)
            }
            Some(grant) => (!self.admits(now, by, grant)).then_some(Cause::PolicyChanged),
        }
    }
}

/// The value of a `Set-Cookie` with a grant that is issued now.
fn set_cookie(
    grant: &Grant,
    route: &Route,
    by: By,
    state: &AccessState,
    now: Timestamp,
) -> Option<String> {
    let token = grant.token(state.keys.signing(now)?);
    Some(CookieName::of(by, &route.label).set(&token, grant.expires_at.since(now)))
}

fn is_path(by: By) -> bool {
    match by {
        By::Path { .. } => true,
        By::Subdomain => false,
    }
}

/// Under a path the grant's cookie can be set by a sibling of the connect host, and with it
/// somebody be made to work as another. The cookie of the sign-in cannot: both must be of one.
/// `signed_in` are those that are good, found once for all grants: else a head full of both would
/// cost their product.
fn confirmed(
    grant: Arc<Grant>,
    carrier: Carrier,
    Question { request, by, now, .. }: Question<'_, '_, '_>,
    state: &AccessState,
    signed_in: &mut Option<Vec<LoginId>>,
) -> Result<Arc<Grant>, Invalid> {
    if !is_path(by) || carrier == Carrier::Field {
        return Ok(grant);
    }
    let good = |token| Login::verify(token, state, now).ok().map(|login| login.proof.id);
    let signed_in = signed_in.get_or_insert_with(|| logins(request).filter_map(good).collect());
    match signed_in.contains(&grant.login.id) {
        true => Ok(grant),
        false => Err(Invalid::OtherLogin),
    }
}

#[cfg(test)]
mod tests;
