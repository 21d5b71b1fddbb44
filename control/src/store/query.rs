//! What can be asked of a store's sessions and of its audit log, page by page.

use std::collections::BTreeSet;
use std::sync::Arc;

use portico_core::label::SessionId;
use portico_core::record::{AuditRecord, Record};
use portico_core::session::{Labels, Name, State};

use super::Position;

/// Sessions that have all of this.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pub workspace: Option<Name>,
    pub owner: Option<Name>,
    pub tool: Option<Name>,
    pub state: Option<State>,
    pub labels: Labels,
    /// Of one of these workspaces.
    pub within: Option<Arc<BTreeSet<Name>>>,
    /// The last session of the page before.
    pub after: Option<SessionId>,
    pub items_max: usize,
}

/// Can be shorter than asked, or empty, and still not be the last.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub items: Vec<Record>,
    /// Where to go on; absent on the last page.
    pub next: Option<SessionId>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct AuditQuery {
    pub after: Position,
    pub items_max: usize,
}

#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    pub items: Vec<(Position, AuditRecord)>,
    /// The position to go on after; absent on the last page.
    pub next: Option<Position>,
}

impl Query {
    /// Whether a session belongs to the answer, its place in the order apart.
    pub fn wants(&self, record: &Record) -> bool {
        let session = &record.session;
        let same = |wanted: &Option<Name>, name: &Name| wanted.as_ref().is_none_or(|w| w == name);
        same(&self.workspace, &session.workspace)
            && same(&self.owner, &session.owner)
            && same(&self.tool, &session.tool)
            && self.state.is_none_or(|state| state == session.state)
            && session.labels.include(&self.labels)
            && self.within.as_ref().is_none_or(|within| within.contains(&session.workspace))
    }
}
