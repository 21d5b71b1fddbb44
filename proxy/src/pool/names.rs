//! Addresses of upstreams' names. A lookup cannot be stopped and may take half a minute, so one
//! dead name must cost little: each name is looked up once at a time for all who wait for it, a
//! failure is remembered for a moment, and a worker has a bounded number of lookups under way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;

use portico_core::limits;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::Context;
use crate::metrics::labels::Limit;
use crate::watch::{Tick, ticks};

/// Asks the system, and blocks meanwhile.
type Resolve = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Names {
    known: Rc<RefCell<HashMap<Box<str>, Known>>>,
    places: Rc<Semaphore>,
    resolve: Resolve,
}

enum Known {
    Asked {
        since: Tick,
        ended: Rc<Notify>,
    },
    /// No addresses: the lookup failed.
    Answered {
        until: Tick,
        addresses: Rc<[IpAddr]>,
    },
}

impl Names {
    pub(super) fn new() -> Self {
        Self::with(Arc::new(|name| Ok((name, 0).to_socket_addrs()?.map(|a| a.ip()).collect())))
    }

    fn with(resolve: Resolve) -> Self {
        let places = Rc::new(Semaphore::new(limits::UPSTREAM_LOOKUPS_MAX));
        Self { known: Rc::default(), places, resolve }
    }

    /// At most a few addresses; none when the name has none, or no answer came in time.
    pub(super) async fn addresses(&self, name: &str, context: &Context<'_>) -> Rc<[IpAddr]> {
        let ended = match self.look(name, context.now()) {
            Look::Known(addresses) => return addresses,
            Look::Asked(ended) => ended,
            Look::Unknown => self.ask(name, context),
        };
        // Not a ring operation, and its task goes on: giving up at the deadline loses nothing.
        let answered = ended.notified();
        if tokio::time::timeout(limits::CONNECT_TIMEOUT, answered).await.is_err() {
            return Rc::default();
        }
        match self.known.borrow().get(name) {
            Some(Known::Answered { addresses, .. }) => addresses.clone(),
            Some(Known::Asked { .. }) | None => Rc::default(),
        }
    }

    /// Those that are known without asking.
    pub(super) fn known(&self, name: &str, now: Tick) -> Rc<[IpAddr]> {
        match self.look(name, now) {
            Look::Known(addresses) => addresses,
            Look::Asked(_) | Look::Unknown => Rc::default(),
        }
    }

    fn look(&self, name: &str, now: Tick) -> Look {
        match self.known.borrow().get(name) {
            Some(Known::Answered { until, addresses }) if now < *until => {
                Look::Known(addresses.clone())
            }
            // Others have waited for it in vain: nobody waits any more, until it ends.
            Some(Known::Asked { since, .. })
                if now.wrapping_sub(*since) >= ticks(limits::CONNECT_TIMEOUT) =>
            {
                Look::Known(Rc::default())
            }
            Some(Known::Asked { ended, .. }) => Look::Asked(ended.clone()),
            Some(Known::Answered { .. }) | None => Look::Unknown,
        }
    }

    fn ask(&self, name: &str, context: &Context<'_>) -> Rc<Notify> {
        let ended = Rc::new(Notify::new());
        let asked = Known::Asked { since: context.now(), ended: ended.clone() };
        self.known.borrow_mut().insert(name.into(), asked);
        if self.places.available_permits() == 0 {
            context.counters.limit_reached.at(Limit::UpstreamLookups).add(1);
        }
        let (names, name, clock) = (self.clone(), Box::from(name), context.clock.clone());
        let told = ended.clone();
        crate::io::spawn(async move {
            let addresses = names.looked_up(&name).await;
            let kept = match addresses.is_empty() {
                true => limits::RESOLVE_FAILURE_TTL,
                false => limits::RESOLVE_CACHE_TTL,
            };
            let answered = Known::Answered { until: clock.now() + ticks(kept), addresses };
            names.known.borrow_mut().insert(name, answered);
            told.notify_waiters();
        });
        ended
    }

    async fn looked_up(&self, name: &str) -> Rc<[IpAddr]> {
        // Who waited for a place for so long has nobody waiting for it any more.
        let place = tokio::time::timeout(limits::CONNECT_TIMEOUT, self.places.acquire());
        let Ok(Ok(_place)) = place.await else { return Rc::default() };
        let (answer, answered) = oneshot::channel();
        let (resolve, asked) = (self.resolve.clone(), name.to_owned());
        // A thread of its own: a runtime waits for its blocking threads when it ends, and a process
        // that is told to end would wait for a name server that never answers.
        let thread = std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            // Fails when the worker has ended.
            let _ = answer.send(resolve(&asked));
        });
        let found = match thread {
            Ok(_) => answered.await.unwrap_or_else(|_| Ok(Vec::new())),
            Err(error) => Err(error),
        };
        match found {
            Ok(mut addresses) => {
                addresses.truncate(limits::UPSTREAM_ADDRESSES_MAX);
                addresses.into()
            }
            Err(error) => {
                tracing::debug!(name, %error, "an upstream's name cannot be resolved");
                Rc::default()
            }
        }
    }

    pub(super) fn sweep(&self, now: Tick) {
        self.known.borrow_mut().retain(|_, known| match known {
            Known::Asked { .. } => true,
            Known::Answered { until, .. } => now < *until,
        });
    }
}

enum Look {
    Known(Rc<[IpAddr]>),
    Asked(Rc<Notify>),
    Unknown,
}

#[cfg(test)]
mod tests;
