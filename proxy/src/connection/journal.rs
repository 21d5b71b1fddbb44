//! What is counted and logged of one request, from its head to its end.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use portico_core::http::client::Client;
use portico_core::http::field::Field;
use portico_core::http::request::Request;
use portico_core::label::Label;
use portico_core::route::Route;
use portico_core::workspace::Excess;

use super::entered::Entered;
use crate::access_log::{self, Entry};
use crate::metrics::labels::StatusClass;
use crate::relay::Relayed;
use crate::worker::Worker;

pub(super) struct Journal {
    begun: Instant,
    /// Only while there is an access log: its texts are copies.
    entry: Option<Box<Entry>>,
    /// Only while the session's workspace is limited.
    pub(super) entered: Option<Box<Entered>>,
}

impl Journal {
    pub(super) fn begin(
        worker: &Worker,
        client: &Client,
        request: &Request<'_, '_>,
        session: Option<&Label>,
    ) -> Self {
        let text = |bytes: &[u8]| access_log::Field::new(bytes);
        let mut journal = Self::unread(worker, client);
        if let Some(entry) = &mut journal.entry {
            entry.session = session.cloned();
            entry.host = text(request.host.as_bytes());
            entry.method = text(request.method.as_bytes());
            entry.target = text(request.target.as_bytes());
            entry.bytes_in = request.bytes as u64;
            entry.upgrade = request.upgrade.is_some();
            entry.user_agent = request.value(Field::UserAgent).map(text);
        }
        journal
    }

    /// Of something that could not be read as a request.
    pub(super) fn unread(worker: &Worker, client: &Client) -> Self {
        let entry = worker.log.as_ref().map(|_| {
            Box::new(Entry {
                time: SystemTime::now(),
                client: client.address,
                session: None,
                host: access_log::Field::default(),
                method: access_log::Field::default(),
                target: access_log::Field::default(),
                status: 0,
                bytes_in: 0,
                bytes_out: 0,
                duration: Default::default(),
                upgrade: false,
                user_agent: None,
            })
        });
        Self { begun: Instant::now(), entry, entered: None }
    }

    /// Asks the limits of the session's workspace, if it has any.
    pub(super) fn enter(&mut self, worker: &Worker, route: &Arc<Route>) -> Result<(), Excess> {
        if route.workspace.is_limited() {
            self.entered = Some(Box::new(Entered::try_new(worker, route.clone())?));
        }
        Ok(())
    }

    pub(super) fn uploaded(&mut self, bytes: u64) {
        if let Some(entry) = &mut self.entry {
            entry.bytes_in += bytes;
        }
        if let Some(entered) = &self.entered {
            entered.charge(bytes);
        }
    }

    /// The answer is complete, or as complete as it will be.
    pub(super) fn answered(self, worker: &Worker, status: u16, bytes_out: u64) {
        let duration = self.begun.elapsed();
        worker.counters.request_duration.observe(duration);
        if let Some(entered) = &self.entered {
            entered.charge(bytes_out);
        }
        if let Some(class) = StatusClass::of(status) {
            worker.counters.requests.at(class).add(1);
        }
        if let (Some(mut entry), Some(log)) = (self.entry, &worker.log) {
            entry.status = status;
            entry.bytes_out = bytes_out;
            entry.duration = duration;
            entry.upgrade = false;
            log.log(*entry, &worker.counters);
        }
    }

    /// What is left of it for the relay that the request has become, which may last for days.
    pub(super) fn of_relay(self) -> RelayJournal {
        let begun = self.begun;
        RelayJournal {
            entry: self.entry.map(|entry| Box::new((entry, begun))),
            entered: self.entered,
        }
    }
}

/// No larger than two pointers: most relays need neither.
pub(super) struct RelayJournal {
    entry: Option<Box<(Box<Entry>, Instant)>>,
    pub(super) entered: Option<Box<Entered>>,
}

impl RelayJournal {
    /// The relay has ended.
    pub(super) fn ended(&mut self, worker: &Worker, relayed: Relayed) {
        if let (Some(logged), Some(log)) = (self.entry.take(), &worker.log) {
            let (mut entry, begun) = *logged;
            entry.status = 101;
            entry.bytes_in += relayed.from_client;
            entry.bytes_out = relayed.from_upstream;
            entry.duration = begun.elapsed();
            entry.upgrade = true;
            log.log(*entry, &worker.counters);
        }
    }
}
