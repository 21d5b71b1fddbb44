//! What becomes of a URL here, and what became of its session lately: for an operator, who cannot
//! see into workers. It decides nothing itself: what is decided of a request is asked of the
//! functions that workers use, and what only a worker knows of that worker. No traffic comes here.

mod asked;
mod inquiry;
mod ask;
mod told;
mod endpoint;

use std::sync::Arc;

use portico_core::http::decide::Install;
use portico_core::limits;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::settings::ListenerSettings;
use crate::worker::Shared;
use ask::Known;
pub(crate) use ask::{Question, answer};
use asked::Asked;
pub use endpoint::router;
use inquiry::Inquiry;

pub struct Explainer {
    shared: Arc<Shared>,
    listeners: Vec<ListenerSettings>,
    workers: Vec<mpsc::Sender<Question>>,
}

impl Explainer {
    /// With what each worker is to answer. `listeners` are those that are bound.
    pub(crate) fn new(
        shared: Arc<Shared>,
        listeners: Vec<ListenerSettings>,
        workers: usize,
    ) -> (Self, Vec<mpsc::Receiver<Question>>) {
        let channel = |_| mpsc::channel(limits::QUESTIONS_MAX);
        let (workers, questions) = (0..workers).map(channel).unzip();
        (Self { shared, listeners, workers }, questions)
    }

    async fn explain(&self, asked: &Asked) -> Value {
        let shared = &*self.shared;
        let install = Install { domains: &shared.domains, gate: &shared.gate };
        let inquiry = Inquiry {
            install,
            networks: &shared.networks,
            quotas: shared.quotas.as_deref(),
            table: &shared.table.load_full(),
            clock: shared.clock,
            now: crate::clock::now(),
        };
        let found = inquiry.found(asked);
        let known = match &found.route {
            Some(route) => ask::ask(&self.workers, route).await,
            None => Known::default(),
        };
        told::told(asked, &found, &known, &self.listeners, (install, &shared.networks))
    }
}
