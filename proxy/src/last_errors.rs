//! What went wrong lately, by session: for an operator who asks why. Each worker has its own and
//! writes to it only when something has failed; a request that goes well does not come here. It
//! keeps what metrics count and nothing that a client has sent: no targets, no fields, no names.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;

use portico_core::label::Label;
use portico_core::limits;
use portico_core::route::Route;
use portico_core::session::Timestamp;

use crate::metrics::labels::{ConnectError, Reason};

#[derive(Default)]
pub(crate) struct LastErrors {
    sessions: RefCell<HashMap<Label, OfSession>>,
}

/// Of the session of this label that was created then: another one starts anew.
struct OfSession {
    created_at: Timestamp,
    last_at: Timestamp,
    /// The one that happened last stands last; never empty.
    errors: Vec<Happened>,
}

/// One kind of error, and how often it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Happened {
    pub(crate) error: Error,
    pub(crate) count: u64,
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Error {
    /// That of the answer, which is the session's own where it was cut short.
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    pub(crate) attempt: Attempt,
}

/// What was tried of the upstream; nothing where the answer is not its fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attempt {
    /// None where its name has none.
    pub(crate) address: Option<SocketAddr>,
    /// Why it could not be connected to.
    pub(crate) failed: Option<ConnectError>,
}

/// Whether an error found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    /// Sessions were forgotten for it.
    Made,
}

const _: () = assert!(size_of::<Happened>() <= limits::ERROR_BYTES_MAX);
/// A table takes no more than 7/8 of its places, whose number is a power of two, with a byte beside
/// each: here two places for a session. The label's text with its two counters is shared with the
/// route until that is gone.
const _: () = assert!(
    (size_of::<(Label, OfSession)>() + 1) * 2 + limits::LABEL_BYTES_MAX + 16
        <= limits::ERRORS_SESSION_BYTES_MAX
);
const _: () = assert!(limits::ERRORS_SESSIONS_MAX.is_power_of_two());

impl LastErrors {
    pub(crate) fn add(&self, route: &Route, error: Error, now: Timestamp) -> Room {
        let mut sessions = self.sessions.borrow_mut();
        if let Some(of_session) = sessions.get_mut(route.label.as_str()) {
            of_session.add(route.created_at, error, now);
            return Room::Enough;
        }
        let is_full = sessions.len() >= limits::ERRORS_SESSIONS_MAX;
        if is_full {
            forget_oldest(&mut sessions);
        }
        let errors = vec![Happened::once(error, now)];
        let of_session = OfSession { created_at: route.created_at, last_at: now, errors };
        sessions.insert(route.label.clone(), of_session);
        if is_full { Room::Made } else { Room::Enough }
    }

    /// Of this very session; what happened last stands last.
    pub(crate) fn of(&self, label: &Label, created_at: Timestamp) -> Vec<Happened> {
        let sessions = self.sessions.borrow();
        let of_session = sessions.get(label).filter(|found| found.created_at == created_at);
        of_session.map(|found| found.errors.clone()).unwrap_or_default()
    }
}

impl OfSession {
    fn add(&mut self, created_at: Timestamp, error: Error, now: Timestamp) {
        if self.created_at != created_at {
            self.errors.clear();
            self.created_at = created_at;
        }
        self.last_at = now;
        let known = self.errors.iter().position(|happened| happened.error == error);
        let happened = match known {
            Some(at) => self.errors.remove(at).again(now),
            None => {
                if self.errors.len() >= limits::ERRORS_PER_SESSION_MAX {
                    self.errors.remove(0);
                }
                Happened::once(error, now)
            }
        };
        self.errors.push(happened);
    }
}

impl Happened {
    pub(crate) fn once(error: Error, now: Timestamp) -> Self {
        Self { error, count: 1, first_at: now, last_at: now }
    }

    fn again(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last_at: now, ..self }
    }
}

fn forget_oldest(sessions: &mut HashMap<Label, OfSession>) {
    let part = sessions.len().div_ceil(limits::ERRORS_FORGOTTEN_PART);
    let mut times: Vec<_> = sessions.values().map(|found| found.last_at).collect();
    let (_, newest_to_go, _) = times.select_nth_unstable(part - 1);
    let newest_to_go = *newest_to_go;
    // Of those of the same moment no more than the part: all may be of one.
    let mut left = part;
    sessions.retain(|_, found| {
        let goes = left > 0 && found.last_at <= newest_to_go;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use portico_core::label::SessionId;
    use portico_core::route::{Change, Entry, RouteTable};
    use portico_core::session::Session;

    use super::*;

    pub(crate) fn route(label: &str, created_at: u64) -> Arc<Route> {
        let (id, name) = (SessionId::parse(label).unwrap(), |name: &str| name.parse().unwrap());
        let upstream = "http://127.0.0.1:1".parse().unwrap();
        let created_at = Timestamp(created_at);
        let session = Session::new(id, name("w"), name("o"), name("t"), upstream, created_at);
        let session = Session { label: Label::parse(label).unwrap(), ..session };
        let table = RouteTable::default().with([Change::Set(Box::new(session))]);
        match table.lookup(label) {
            Some(Entry::Route(route)) => route.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn error(status: u16) -> Error {
        let failed = Some(ConnectError::Refused);
        let attempt = Attempt { address: "127.0.0.1:1".parse().ok(), failed };
        Error { status, reason: Reason::UpstreamUnreachable, attempt }
    }

    fn told(errors: &LastErrors, route: &Route) -> Vec<(u16, u64, u64, u64)> {
        let all = errors.of(&route.label, route.created_at);
        all.iter().map(|h| (h.error.status, h.count, h.first_at.0, h.last_at.0)).collect()
    }

    #[test]
    fn what_repeats_is_counted_and_pushes_nothing_out() {
        let (errors, route) = (LastErrors::default(), route("a", 0));
        for (status, now) in [(502, 1), (503, 2), (502, 3), (502, 4)] {
            assert_eq!(errors.add(&route, error(status), Timestamp(now)), Room::Enough);
        }
        assert_eq!(told(&errors, &route), [(503, 1, 2, 2), (502, 3, 1, 4)]);
        for status in [429, 403, 401] {
            errors.add(&route, error(status), Timestamp(5));
        }
        let statuses: Vec<_> = told(&errors, &route).iter().map(|told| told.0).collect();
        assert_eq!(statuses, [502, 429, 403, 401], "the oldest kind went");
    }

    #[test]
    fn another_session_of_the_label_starts_anew() {
        let (errors, old, new) = (LastErrors::default(), route("a", 1), route("a", 2));
        errors.add(&old, error(502), Timestamp(3));
        assert!(told(&errors, &new).is_empty());
        errors.add(&new, error(503), Timestamp(4));
        assert_eq!(told(&errors, &new), [(503, 1, 4, 4)]);
        assert!(told(&errors, &old).is_empty());
    }

    #[test]
    fn so_many_sessions_are_remembered_and_the_oldest_go() {
        let errors = LastErrors::default();
        let mut made = 0;
        let sessions = limits::ERRORS_SESSIONS_MAX as u64 * 2;
        for number in 0..sessions {
            let route = route(&format!("s{number}"), 0);
            made += usize::from(errors.add(&route, error(502), Timestamp(number)) == Room::Made);
            assert!(errors.sessions.borrow().len() <= limits::ERRORS_SESSIONS_MAX);
        }
        assert_eq!(made, limits::ERRORS_FORGOTTEN_PART, "many at once");
        assert!(told(&errors, &route("s0", 0)).is_empty());
        assert_eq!(told(&errors, &route(&format!("s{}", sessions - 1), 0)).len(), 1);
        // All of one moment: no more than a part of them.
        for number in 0..limits::ERRORS_SESSIONS_MAX as u64 + 1 {
            errors.add(&route(&format!("t{number}"), 0), error(502), Timestamp(sessions));
        }
        assert!(errors.sessions.borrow().len() > limits::ERRORS_SESSIONS_MAX * 7 / 8);
    }
}
