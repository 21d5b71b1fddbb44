//! What a connection was let in to, and by what: kept while a request or a relay is under way, to
//! be judged again when something is taken back.

use std::sync::Arc;

use portico_core::access::{Admitted, Cause, Gate};
use portico_core::activity::request::RequestKind;
use portico_core::http::decide::By;
use portico_core::quota::Ledger;
use portico_core::route::{Route, RouteTable};
use portico_core::session::{Name, Timestamp};

use super::quota::Quoted;
use crate::edge::Ended;

pub(crate) struct Live {
    pub(super) route: Arc<Route>,
    pub(super) by: By,
    /// None where the gate is open.
    pub(super) admitted: Option<Admitted>,
    /// Whether somebody's doing, or a page's poll.
    pub(crate) kind: RequestKind,
    /// Whose quotas it is counted by; none where there is no policy.
    pub(crate) quoted: Option<Box<Quoted>>,
}

impl Live {
    pub(crate) fn objection(&self, gate: &Gate, table: &RouteTable) -> Option<Cause> {
        gate.objection(&self.route, self.by, self.admitted.as_ref(), table)
    }

    pub(crate) fn ended(&self, cause: Cause) -> Ended {
        Ended { route: self.route.clone(), user: self.user().cloned(), cause }
    }

    /// A connection that was let in under another policy is counted by the one in force.
    pub(crate) fn follow(&mut self, ledger: &Ledger, now: Timestamp) {
        let user = self.admitted.as_ref().and_then(|admitted| admitted.grant.as_ref());
        let user = user.map(|grant| &grant.user);
        if let Some(quoted) = &mut self.quoted {
            quoted.follow(ledger, &self.route, user, now);
        }
    }

    pub(crate) fn session(&self) -> &str {
        self.route.session()
    }

    pub(crate) fn user(&self) -> Option<&Name> {
        self.admitted.as_ref()?.grant.as_ref().map(|grant| &grant.user)
    }
}
