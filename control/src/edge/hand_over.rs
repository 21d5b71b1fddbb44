//! From a user who is known to a session: whether they may, and how they get there.

use axum::response::Response;
use portico_core::access::{Binding, Grant, Login, Ticket, host_cookie};
use portico_core::http::decide::By;
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::page::Action;
use portico_core::session::Timestamp;

use super::answer::{Answer, Words, failed};
use super::place::Place;
use super::{Edge, random};
use crate::clock;
use crate::webhook::{Answer as Word, Question};

/// What lets somebody in.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    pub member: bool,
    /// `until` is the platform's word.
    pub recheck: bool,
    pub until: Timestamp,
}

pub enum Decided {
    Admitted(Admission),
    /// A sentence says who may, or why not.
    Denied(String),
    /// The platform was to be asked, and gave no answer.
    Unknown,
}

/// By the session's policy, then by the platform's word where that is to be asked.
pub async fn decide(edge: &Edge, place: &Place, login: &Login) -> Decided {
    let (gate, route) = (&edge.0.settings.gate, &place.route);
    let member = login.is_member(&route.workspace.name);
    let may = |member| gate.admits_user(route, place.by, &login.user, member);
    let Some(webhook) = &edge.0.settings.webhook else {
        return match may(member) {
            true => Decided::Admitted(Admission { member, recheck: false, until: login.until }),
            false => Decided::Denied(gate.who_may(route, place.by)),
        };
    };
    // The platform's yes makes a member; nothing makes an owner.
    if !may(true) {
        return Decided::Denied(gate.who_may(route, place.by));
    }
    let question = Question {
        user: login.user.as_str(),
        session: route.session(),
        workspace: route.workspace.name.as_str(),
        owner: route.owner.as_str(),
        policy: route.access.policy.as_str(),
    };
    match webhook.ask(&question).await {
        Ok(Word::Allow { ttl }) => {
            let until = clock::now().plus(ttl).min(login.until);
            Decided::Admitted(Admission { member: true, recheck: true, until })
        }
        Ok(Word::Deny { reason }) => {
            Decided::Denied(reason.unwrap_or_else(|| gate.who_may(route, place.by)))
        }
        Err(error) => {
            tracing::warn!(error = crate::with_causes(&error), "the platform was not heard");
            Decided::Unknown
        }
    }
}

/// To the session, with `fresh` cookies of a sign-in that has just been.
pub async fn hand_over(
    edge: &Edge,
    place: &Place,
    login: &Login,
    binding: Option<Binding>,
    fresh: Vec<String>,
) -> Response {
    let admission = match decide(edge, place, login).await {
        Decided::Admitted(admission) => admission,
        Decided::Denied(why) => return denied(edge, login, &why).cookies(fresh).done(),
        Decided::Unknown => {
            let words = "The platform, which is asked who may open this session, does not answer. \
                         What you have open keeps working. Try again in a moment.";
            let again = place.url(&edge.0.settings.domains);
            return failed(edge, 503, words, Some(&again)).cookies(fresh).done();
        }
    };
    edge.0.counters.sign_ins("handed_over");
    match (place.by, binding) {
        (By::Subdomain, Some(binding)) => by_ticket(edge, place, login, admission, binding, fresh),
        // A ticket that is bound to no browser could be brought to somebody else's: the session's
        // own host begins again, with a secret.
        (By::Subdomain, None) => {
            Answer::redirect(&place.url(&edge.0.settings.domains)).cookies(fresh).done()
        }
        (By::Path { .. }, _) => by_cookie(edge, place, login, admission, fresh),
    }
}

fn by_ticket(
    edge: &Edge,
    place: &Place,
    login: &Login,
    admission: Admission,
    binding: Binding,
    fresh: Vec<String>,
) -> Response {
    let (now, state) = (clock::now(), edge.0.access());
    let (Some(key), Some(id)) = (state.keys.signing(now), random()) else {
        return no_key(edge);
    };
    let Ok(session) = SessionId::parse(place.route.session()) else { return no_key(edge) };
    let ticket = Ticket {
        id,
        user: login.user.clone(),
        session,
        session_created_at: place.route.created_at,
        login: login.proof,
        member: admission.member,
        recheck: admission.recheck,
        until: admission.until,
        issued_at: now,
        expires_at: now.plus(limits::TICKET_LIFETIME_MAX),
        binding: Some(binding),
        to: place.path().into(),
    };
    let origin = place.origin(&edge.0.settings.domains);
    let to = format!("{origin}/_portico/open?ticket={}", ticket.token(key));
    Answer::redirect(&to).cookies(fresh).done()
}

/// All sessions share the host: the cookie is set here.
fn by_cookie(
    edge: &Edge,
    place: &Place,
    login: &Login,
    admission: Admission,
    fresh: Vec<String>,
) -> Response {
    let grant = new_grant(edge, place, login, admission, clock::now());
    let Some(cookie) = grant_cookie(edge, place, &grant) else { return no_key(edge) };
    edge.0.note("session.opened", &place.route, format!("by {}, by path", login.user));
    Answer::redirect(&place.url(&edge.0.settings.domains)).cookies(fresh).cookie(cookie).done()
}

pub fn new_grant(
    edge: &Edge,
    place: &Place,
    login: &Login,
    admission: Admission,
    now: Timestamp,
) -> Grant {
    let lifetime = edge.0.settings.gate.grant_lifetime;
    Grant {
        user: login.user.clone(),
        session: place.route.session().into(),
        session_created_at: place.route.created_at,
        login: login.proof,
        member: admission.member,
        recheck: admission.recheck,
        issued_at: now,
        expires_at: now.plus(lifetime).min(admission.until),
        until: admission.until,
    }
}

/// None while there is no key.
pub fn grant_cookie(edge: &Edge, place: &Place, grant: &Grant) -> Option<String> {
    let state = edge.0.access();
    let token = grant.token(state.keys.signing(grant.issued_at)?);
    Some(place.cookie().set(&token, grant.expires_at.since(grant.issued_at)))
}

pub fn login_cookie(edge: &Edge, login: &Login, now: Timestamp) -> Option<String> {
    let state = edge.0.access();
    let token = login.token(state.keys.signing(now)?);
    Some(host_cookie(portico_core::access::LOGIN_COOKIE, &token, login.until.since(now)))
}

pub fn denied(edge: &Edge, login: &Login, why: &str) -> Answer {
    edge.0.counters.sign_ins("denied");
    let detail = format!("You are signed in as {}. {why}", super::known(&login.user));
    let action = Some(Action::Link { to: "/_portico/logout", words: "Sign in as somebody else" });
    let title = "This session is not open to you";
    Answer::page(edge, &Words { status: 403, title, detail: &detail, action })
}

/// The store has not said yet with which key to sign.
pub fn no_key(edge: &Edge) -> Response {
    let words = "Portico has not heard from its store yet. Try again in a moment.";
    failed(edge, 503, words, None).done()
}
