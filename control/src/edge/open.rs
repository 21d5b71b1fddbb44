//! Where a ticket becomes a grant: once, on any replica, and out of the URL at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use portico_core::access::{Invalid, Login, Reach, START_COOKIE, Ticket};
use portico_core::domain::{LabelText, PATH_PREFIX};
use portico_core::http::decide::{By, Door};
use portico_core::limits;
use portico_core::page::Action;
use portico_core::route::Route;
use portico_core::session::{Name, Timestamp};

use super::Edge;
use super::answer::{Answer, Words, failed, gone};
use super::asked::{self, Fields, cookies};
use super::hand_over::{Admission, grant_cookie, login_cookie, new_grant, no_key};
use super::place::Place;
use crate::clock;
use crate::store::{Author, Write};

/// Tickets of sign-ins that were used in this process.
#[derive(Default)]
pub struct Used(Mutex<HashMap<[u8; Ticket::ID_BYTES], Timestamp>>);

impl Used {
    /// False: it was used before.
    fn first(&self, id: [u8; Ticket::ID_BYTES], until: Timestamp, now: Timestamp) -> bool {
        // A moment is written whole, so what a panic left is as good as any.
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= limits::TICKETS_USED_MAX {
            used.retain(|_, until| *until > now);
        }
        // Beyond the bound nobody is let in: forgetting one would let it in twice.
        used.len() < limits::TICKETS_USED_MAX && used.insert(id, until).is_none()
    }
}

/// Why a ticket opens nothing.
enum Refusal {
    Invalid(Invalid),
    /// It was made for another browser, or this one keeps no cookies.
    OtherBrowser,
    /// This browser is somebody else's, who is signed in.
    OtherUser {
        here: Name,
        user: Name,
    },
    /// A page that is not the platform's sent this browser with it: is it its user's own wish?
    Unasked(Name),
    StoreAway,
    NotAllowed(String),
    /// Portico has no key yet.
    NoKey,
}

impl Refusal {
    fn word(&self) -> &'static str {
        match self {
            Refusal::Invalid(invalid) => invalid.as_str(),
            Refusal::OtherBrowser => "other_browser",
            Refusal::OtherUser { .. } => "other_user",
            Refusal::Unasked(_) => "unasked",
            Refusal::StoreAway => "store_away",
            Refusal::NotAllowed(_) => "not_allowed",
            Refusal::NoKey => "no_key",
        }
    }
}

/// Whether a ticket may sign a browser in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// As far as its sender is the platform, or its user.
    BySender,
    /// Its user said so, or it is no browser.
    Known,
}

struct Redeemed {
    place: Place,
    login: Login,
    admission: Admission,
}

pub async fn open(
    State(edge): State<Edge>,
    Extension(door): Extension<Door>,
    uri: Uri,
    fields: HeaderMap,
) -> Response {
    opened(&edge, door, &uri, &fields, Wish::BySender).await
}

/// The button below `Refusal::Unasked`.
pub async fn open_asked(
    State(edge): State<Edge>,
    Extension(door): Extension<Door>,
    uri: Uri,
    fields: HeaderMap,
) -> Response {
    let wish = match asked::is_own(&fields, &edge.0.settings.domains.connect.to_string()) {
        true => Wish::Known,
        false => Wish::BySender,
    };
    opened(&edge, door, &uri, &fields, wish).await
}

async fn opened(edge: &Edge, door: Door, uri: &Uri, fields: &HeaderMap, wish: Wish) -> Response {
    let query = Fields::of_query(uri);
    let ticket = query.get("ticket").unwrap_or_default().as_bytes();
    let redeemed = redeem(edge, door, query.get("session"), ticket, fields, wish).await;
    let Redeemed { place, login, admission } = match redeemed {
        Ok(redeemed) => redeemed,
        Err(Refusal::Unasked(user)) => return ask(edge, uri, &user).done(),
        Err(refusal) => return refused(edge, &refusal, door).done(),
    };
    let now = clock::now();
    let domains = &edge.0.settings.domains;
    // Under a path a grant stands beside its sign-in: that of the ticket, or the one that is there.
    let there = asked::login(fields, &edge.0.access(), now);
    let (login, fresh) = match (place.by, there.filter(|there| there.user == login.user)) {
        (By::Subdomain, _) => (login, None),
        (By::Path { .. }, Some(there)) => (there, None),
        (By::Path { .. }, None) => match login_cookie(edge, &login, now) {
            Some(cookie) => (login, Some(cookie)),
            None => return no_key(edge),
        },
    };
    let grant = new_grant(edge, &place, &login, admission, now);
    let Some(cookie) = grant_cookie(edge, &place, &grant) else { return no_key(edge) };
    edge.0.note("session.opened", &place.route, format!("by {}", login.user));
    Answer::redirect(&place.url(domains))
        .cookies(fresh)
        .cookie(cookie)
        .cookie(gone(START_COOKIE))
        .done()
}

/// For programs: the grant itself, to be sent in `X-Portico-Grant`.
pub async fn grant(
    State(edge): State<Edge>,
    Extension(door): Extension<Door>,
    fields: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Fields::parse(&body);
    let ticket = form.get("ticket").unwrap_or_default().as_bytes();
    match redeem(&edge, door, form.get("session"), ticket, &fields, Wish::Known).await {
        Err(refusal) => {
            let (status, detail) = words(&refusal);
            edge.0.counters.tickets(refusal.word());
            Answer::problem(status, "ticket-refused", "The ticket opens nothing", &detail).done()
        }
        Ok(Redeemed { place, login, admission }) => {
            let now = clock::now();
            let grant = new_grant(&edge, &place, &login, admission, now);
            // Nobody renews it, so it lasts as long as it may.
            let grant = portico_core::access::Grant { expires_at: grant.until, ..grant };
            let state = edge.0.access();
            let Some(key) = state.keys.signing(now) else { return no_key(&edge) };
            edge.0.note("session.opened", &place.route, format!("by {}, a program", login.user));
            let until = crate::api::wire::rfc3339(grant.expires_at);
            let answer = serde_json::json!({ "grant": grant.token(key), "expires_at": until });
            Answer::json(200, &answer).done()
        }
    }
}

async fn redeem(
    edge: &Edge,
    door: Door,
    session: Option<&str>,
    token: &[u8],
    fields: &HeaderMap,
    wish: Wish,
) -> Result<Redeemed, Refusal> {
    let (now, state) = (clock::now(), edge.0.access());
    if state.keys.signing(now).is_none() {
        return Err(Refusal::NoKey);
    }
    let ticket = Ticket::verify(token, &state, now).map_err(Refusal::Invalid)?;
    let (label, by): (Option<LabelText>, _) = match door {
        Door::Session(label) => (Some(label), "subdomain"),
        Door::Connect => (session.and_then(|label| LabelText::new(label.as_bytes())), "path"),
    };
    let label = label.ok_or(Refusal::Invalid(Invalid::OtherSession))?;
    // It says where on the session, on whatever URL that is.
    let to = match door {
        Door::Session(_) => ticket.to.to_string(),
        Door::Connect => format!("{PATH_PREFIX}{}{}", label.as_str(), ticket.to),
    };
    let place = Place::find(&edge.0, label.as_str(), by, &to)
        .filter(|place| *place.route.session() == *ticket.session.as_str())
        .filter(|place| place.route.created_at == ticket.session_created_at)
        .ok_or(Refusal::Invalid(Invalid::OtherSession))?;
    if let Some(binding) = ticket.binding {
        // Of a sign-in by the session's own host, where it stays.
        if door == Door::Connect {
            return Err(Refusal::Invalid(Invalid::OtherSession));
        }
        let mut nonces = cookies(fields, START_COOKIE);
        if !nonces.any(|nonce| portico_core::access::Binding::of(nonce) == binding) {
            return Err(Refusal::OtherBrowser);
        }
    }
    let gate = &edge.0.settings.gate;
    if !gate.admits_user(&place.route, place.by, &ticket.user, ticket.member) {
        let who_may = gate.who_may(&place.route, place.by);
        return Err(Refusal::NotAllowed(format!("You are {}. {who_may}", ticket.user)));
    }
    if wish == Wish::BySender {
        may_sign_in(edge, &place, &ticket.user, fields, now)?;
    }
    // Last: a ticket that opens nothing for other reasons is not used up by trying.
    use_up(edge, &ticket, &place.route, now).await?;
    edge.0.counters.tickets("redeemed");
    let workspaces = match ticket.member {
        true => vec![place.route.workspace.name.clone()],
        false => Vec::new(),
    };
    let (proof, reach) = (ticket.login, Reach::Ticket);
    let login = Login { user: ticket.user, proof, reach, until: ticket.until, workspaces };
    let Ticket { member, recheck, until, .. } = ticket;
    Ok(Redeemed { place, login, admission: Admission { member, recheck, until } })
}

async fn use_up(
    edge: &Edge,
    ticket: &Ticket,
    route: &Route,
    now: Timestamp,
) -> Result<(), Refusal> {
    let first = match ticket.binding {
        Some(_) => edge.0.used.first(ticket.id, ticket.expires_at, now),
        None => {
            let write = Write::Redeem {
                ticket: data_encoding::HEXLOWER.encode(&ticket.id),
                until: ticket.expires_at.plus(limits::CLOCK_SKEW_MAX),
                session: ticket.session.clone(),
                workspace: route.workspace.name.clone(),
            };
            let author = Author::portico().saying(format!("by {}", ticket.user));
            let redeemed = edge.0.store.write(write, author).await.map_err(|error| {
                tracing::warn!(error = crate::with_causes(&error), "a ticket cannot be redeemed");
                Refusal::StoreAway
            })?;
            redeemed.is_ok()
        }
    };
    match first {
        true => Ok(()),
        false => Err(Refusal::Invalid(Invalid::Used)),
    }
}

/// Under a path a ticket signs the browser in, on an origin that all paths share: who made somebody
/// work there as another would put their own session's scripts beside those of the victim.
fn may_sign_in(
    edge: &Edge,
    place: &Place,
    user: &Name,
    fields: &HeaderMap,
    now: Timestamp,
) -> Result<(), Refusal> {
    match (place.by, asked::login(fields, &edge.0.access(), now)) {
        (By::Subdomain, _) => Ok(()),
        (By::Path { .. }, Some(login)) if login.user == *user => Ok(()),
        (By::Path { .. }, Some(login)) => {
            Err(Refusal::OtherUser { here: login.user, user: user.clone() })
        }
        (By::Path { .. }, None) => match asked::is_sent_by(fields, &edge.0.settings.gate.origins) {
            true => Ok(()),
            false => Err(Refusal::Unasked(user.clone())),
        },
    }
}

fn ask(edge: &Edge, uri: &Uri, user: &Name) -> Answer {
    let detail = format!(
        "This link, which another page has sent you to, opens the session as {user}. If that is \
         not you, close this page."
    );
    let to = uri.path_and_query().map_or("", |target| target.as_str());
    let action = Some(Action::Button { to, words: "Open the session" });
    Answer::page(edge, &Words { status: 403, title: "Is it you?", detail: &detail, action })
}

fn refused(edge: &Edge, refusal: &Refusal, door: Door) -> Answer {
    edge.0.counters.tickets(refusal.word());
    let (status, detail) = words(refusal);
    let action = match door {
        Door::Session(_) => Some(Action::Link { to: "/", words: "Go to the session" }),
        Door::Connect => None,
    };
    match refusal {
        Refusal::StoreAway | Refusal::NoKey => failed(edge, status, &detail, None),
        Refusal::Invalid(_)
        | Refusal::OtherBrowser
        | Refusal::OtherUser { .. }
        | Refusal::Unasked(_)
        | Refusal::NotAllowed(_) => {
            let title = "This link opens nothing";
            Answer::page(edge, &Words { status, title, detail: &detail, action })
        }
    }
}

fn words(refusal: &Refusal) -> (u16, String) {
    match refusal {
        Refusal::Invalid(Invalid::Used) => {
            (403, "It was used already: each such link opens a session once.".into())
        }
        Refusal::Invalid(Invalid::Expired) => {
            (403, "It is too old: such a link is good for a minute.".into())
        }
        Refusal::Invalid(_) => (403, "It is not for this session, or not whole.".into()),
        Refusal::OtherBrowser => (
            403,
            "It was made for another browser, or this one keeps no cookies of this site: allow \
             them, and open the session again."
                .into(),
        ),
        Refusal::OtherUser { here, user } => (
            403,
            format!("It is for {user}, and this browser is signed in as {here}: sign out first."),
        ),
        Refusal::Unasked(user) => (403, format!("It is for {user}, who has to be asked first.")),
        Refusal::NotAllowed(why) => (403, why.clone()),
        Refusal::StoreAway => {
            (503, "Portico's store, which knows the used ones, does not answer. Try again.".into())
        }
        Refusal::NoKey => (503, "Portico has not heard from its store yet. Try again.".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_used_once_and_what_is_remembered_is_bounded() {
        let used = Used::default();
        let (now, until) = (Timestamp(1), Timestamp(2));
        assert!(used.first([0; 16], until, now) && !used.first([0; 16], until, now));
        for number in 1..limits::TICKETS_USED_MAX as u128 {
            assert!(used.first(number.to_be_bytes(), until, now));
        }
        assert!(!used.first([0xff; 16], until, now), "full");
        assert!(used.first([0xff; 16], Timestamp(9), until), "old ones make room");
    }
}
