//! Grants that last as long as the platform's word: it is asked again while they are used, so that
//! nobody is interrupted whom it still lets in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_core::access::{Grant, LoginId};
use portico_core::limits;
use portico_core::route::Route;
use portico_core::session::Timestamp;

use super::Inner;
use crate::clock;
use crate::webhook::{Answer, Question, Webhook};

#[derive(Default)]
pub struct Rechecks(Mutex<HashMap<(LoginId, Box<str>), Word>>);

/// What the platform said last.
#[derive(Debug, Clone, Copy)]
struct Word {
    asked_at: Timestamp,
    /// None while it has not answered, and after a no: the grant then ends when it ends.
    until: Option<Timestamp>,
}

impl Rechecks {
    /// A word is written whole, so what a panic left is as good as any.
    fn all(&self) -> MutexGuard<'_, HashMap<(LoginId, Box<str>), Word>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest word, and a question under way where there is none that is new.
pub fn recheck(inner: &Arc<Inner>, grant: &Grant, route: &Arc<Route>) -> Option<Timestamp> {
    let webhook = inner.settings.webhook.as_ref()?;
    let now = clock::now();
    let key = (grant.login.id, grant.session.clone());
    let mut all = inner.rechecks.all();
    if let Some(word) = all.get(&key) {
        if word.until.is_some_and(|until| until > grant.until) {
            return word.until;
        }
        if now.since(word.asked_at) < pause(grant) {
            return None;
        }
    }
    if all.len() >= limits::RECHECKS_MAX {
        all.retain(|_, word| word.until.is_some_and(|until| until > now));
        if all.len() >= limits::RECHECKS_MAX {
            return None;
        }
    }
    all.insert(key.clone(), Word { asked_at: now, until: None });
    drop(all);
    let (inner, webhook) = (inner.clone(), webhook.clone());
    let (grant, route) = (grant.clone(), route.clone());
    tokio::spawn(async move {
        if let Some(until) = asked(&inner, &webhook, &grant, &route).await {
            inner.rechecks.all().insert(key, Word { asked_at: now, until: Some(until) });
        }
    });
    None
}

/// A word that holds for seconds is asked for again within them, and has time for another try.
fn pause(grant: &Grant) -> Duration {
    limits::RECHECK_PAUSE.min(grant.until.since(grant.issued_at) / 4)
}

async fn asked(
    inner: &Inner,
    webhook: &Webhook,
    grant: &Grant,
    route: &Route,
) -> Option<Timestamp> {
    match webhook.ask(&Question::about(&grant.user, route)).await {
        Ok(Answer::Allow { ttl }) => {
            inner.counters.rechecks("allowed");
            let end_of_login = grant.login.at.plus(inner.settings.login_lifetime);
            Some(clock::now().plus(ttl).min(end_of_login))
        }
        Ok(Answer::Deny { .. }) => {
            inner.counters.rechecks("denied");
            tracing::info!(user = %grant.user, session = route.session(), "the platform says no");
            None
        }
        Err(error) => {
            inner.counters.rechecks("failed");
            tracing::warn!(error = crate::with_causes(&error), "the platform was not heard");
            None
        }
    }
}
