//! What only the workers know of a session: they are asked, one after the other is waited for, and
//! what they say is put together. A worker answers between two requests and holds nothing up; one
//! that is too busy is left out, and that is told.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use portico_core::label::Label;
use portico_core::limits;
use portico_core::route::Route;
use portico_core::session::Timestamp;
use portico_core::upstream::Upstream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::last_errors::Happened;
use crate::pool::KnownAddress;
use crate::worker::Worker;

/// To one worker, about one session.
pub(crate) struct Question {
    label: Label,
    created_at: Timestamp,
    upstream: Upstream,
    answer: oneshot::Sender<Answer>,
}

struct Answer {
    errors: Vec<Happened>,
    addresses: Vec<KnownAddress>,
}

/// What all that have answered know together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) asked: usize,
    pub(super) answered: usize,
    /// Of each kind one; what happened last stands first.
    pub(super) errors: Vec<Happened>,
    pub(super) addresses: Vec<OfAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfAddress {
    pub(super) address: SocketAddr,
    /// Connections that wait for a request.
    pub(super) idle: usize,
    /// Workers that do not try it, and until when the last of them does not.
    pub(super) backing_off: usize,
    pub(super) backoff: Duration,
}

/// A worker's part, until nobody can ask any more.
pub(crate) async fn answer(worker: Rc<Worker>, mut questions: mpsc::Receiver<Question>) {
    while let Some(Question { label, created_at, upstream, answer }) = questions.recv().await {
        let errors = worker.last_errors.of(&label, created_at);
        let addresses = worker.pool.known(&upstream, worker.watches.now());
        // Fails where nobody waits for it any more.
        let _ = answer.send(Answer { errors, addresses });
    }
}

pub(super) async fn ask(workers: &[mpsc::Sender<Question>], route: &Route) -> Known {
    let asked = workers.iter().map(|worker| {
        let (answer, answered) = oneshot::channel();
        let (label, upstream) = (route.label.clone(), route.upstream.clone());
        let question = Question { label, created_at: route.created_at, upstream, answer };
        // Where too many wait already, and where it has ended, `answered` fails at once.
        let _ = worker.try_send(question);
        answered
    });
    let asked: Vec<_> = asked.collect();
    let deadline = Instant::now() + limits::QUESTION_TIMEOUT;
    let mut known = Known { asked: asked.len(), ..Known::default() };
    for answered in asked {
        if let Ok(Ok(answer)) = timeout_at(deadline, answered).await {
            known.add(answer);
        }
    }
    known.errors.sort_by_key(|happened| std::cmp::Reverse(happened.last_at));
    known
}

impl Known {
    fn add(&mut self, Answer { errors, addresses }: Answer) {
        self.answered += 1;
        for happened in errors {
            match self.errors.iter_mut().find(|known| known.error == happened.error) {
                Some(known) => {
                    known.count = known.count.saturating_add(happened.count);
                    known.first_at = known.first_at.min(happened.first_at);
                    known.last_at = known.last_at.max(happened.last_at);
                }
                None => self.errors.push(happened),
            }
        }
        for KnownAddress { address, idle, backoff } in addresses {
            let known = match self.addresses.iter().position(|known| known.address == address) {
                Some(at) => &mut self.addresses[at],
                None => {
                    let backoff = Duration::ZERO;
                    self.addresses.push(OfAddress { address, idle: 0, backing_off: 0, backoff });
                    self.addresses.last_mut().expect("it was just put there")
                }
            };
            known.idle += idle;
            known.backing_off += usize::from(backoff.is_some());
            known.backoff = known.backoff.max(backoff.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::last_errors::{Attempt, Error};
    use crate::metrics::labels::Reason;

    /// One has ended, and of one too many questions wait already.
    #[test]
    fn a_worker_that_cannot_answer_is_left_out_at_once() {
        let route = crate::last_errors::tests::route("a", 0);
        let (ended, _) = mpsc::channel(1);
        let (busy, mut waiting) = mpsc::channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let begun = std::time::Instant::now();
        let known = runtime.block_on(async {
            let (answer, _) = oneshot::channel();
            let (label, upstream) = (route.label.clone(), route.upstream.clone());
            let created_at = route.created_at;
            busy.try_send(Question { label, created_at, upstream, answer }).ok().unwrap();
            ask(&[ended, busy], &route).await
        });
        assert_eq!(known, Known { asked: 2, ..Known::default() });
        assert!(begun.elapsed() < limits::QUESTION_TIMEOUT);
        assert!(waiting.try_recv().is_ok());
    }

    #[test]
    fn what_workers_know_is_put_together() {
        let error = |status| {
            let attempt = Attempt::default();
            Error { status, reason: Reason::UpstreamUnreachable, attempt }
        };
        let once = |status, at| Happened::once(error(status), Timestamp(at));
        let address = "10.0.0.1:80".parse().unwrap();
        let of = |idle, backoff: Option<u64>| {
            let backoff = backoff.map(Duration::from_millis);
            vec![KnownAddress { address, idle, backoff }]
        };
        let mut known = Known { asked: 3, ..Known::default() };
        known.add(Answer { errors: vec![once(502, 5)], addresses: of(2, Some(250)) });
        known.add(Answer { errors: vec![once(503, 3), once(502, 1)], addresses: of(1, None) });
        assert_eq!((known.asked, known.answered), (3, 2));
        let (first_at, last_at) = (Timestamp(1), Timestamp(5));
        let twice = Happened { error: error(502), count: 2, first_at, last_at };
        assert_eq!(known.errors, [twice, once(503, 3)]);
        let backoff = Duration::from_millis(250);
        assert_eq!(known.addresses, [OfAddress { address, idle: 3, backing_off: 1, backoff }]);
    }
}
