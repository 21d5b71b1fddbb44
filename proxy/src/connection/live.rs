//! What a connection was let in to, and by what: kept while a request or a relay is under way, to
//! be judged again when something is taken back.

use std::sync::Arc;

use portico_core::access::{Admitted, Cause, Gate};
use portico_core::activity::request::RequestKind;
use portico_core::http::decide::By;
use portico_core::quota::Accounts;
use portico_core::route::{Route, RouteTable};
use portico_core::session::Name;

use crate::edge::Ended;

pub(crate) struct Live {
    pub(super) route: Arc<Route>,
    pub(super) by: By,
    /// None where the gate is open.
    pub(super) admitted: Option<Box<Admitted>>,
    /// Whether somebody's doing, or a page's poll.
    pub(crate) kind: RequestKind,
    /// Whose quotas it is counted by.
    pub(crate) accounts: Accounts,
}

impl Live {
    pub(crate) fn objection(&self, gate: &Gate, table: &RouteTable) -> Option<Cause> {
        gate.objection(&self.route, self.by, self.admitted.as_deref(), table)
    }

    pub(crate) fn ended(&self, cause: Cause) -> Ended {
        Ended { route: self.route.clone(), user: self.user().cloned(), cause }
    }

    pub(crate) fn session(&self) -> &str {
        self.route.session()
    }

    pub(crate) fn user(&self) -> Option<&Name> {
        self.admitted.as_ref()?.grant.as_ref().map(|grant| &grant.user)
    }
}
