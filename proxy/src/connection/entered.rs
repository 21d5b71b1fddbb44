//! A request's or relay's place within the limits of its workspace, given back when it ends.

use std::sync::Arc;

use portico_core::route::Route;
use portico_core::workspace::Excess;

use crate::clock::Clock;
use crate::worker::Worker;

pub(crate) struct Entered {
    route: Arc<Route>,
    clock: Clock,
}

impl Entered {
    pub(super) fn try_new(worker: &Worker, route: Arc<Route>) -> Result<Self, Excess> {
        let clock = worker.shared.clock;
        route.workspace.enter(clock.microseconds())?;
        Ok(Self { route, clock })
    }

    pub(crate) fn charge(&self, bytes: u64) {
        self.route.workspace.charge(bytes, self.clock.microseconds());
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.route.workspace.leave();
    }
}
