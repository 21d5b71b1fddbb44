//! Who is connected to which session through this process: the open WebSockets of known users.
//! Written when one begins or ends, read when somebody wants to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_core::session::{Name, Timestamp};

#[derive(Debug, Default)]
pub struct Presence(Mutex<BTreeMap<(Box<str>, Name), Connected>>);

/// The connections of one user to one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    pub connections: u64,
    /// Of the oldest of an unbroken series.
    pub since: Timestamp,
}

/// One connection; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Present {
    presence: Arc<Presence>,
    session: Box<str>,
    user: Name,
}

impl Presence {
    pub(crate) fn enter(self: &Arc<Self>, session: &str, user: Name, now: Timestamp) -> Present {
        let session: Box<str> = session.into();
        let mut all = self.all();
        let connected = all
            .entry((session.clone(), user.clone()))
            .or_insert(Connected { connections: 0, since: now });
        connected.connections += 1;
        drop(all);
        Present { presence: self.clone(), session, user }
    }

    /// Sessions in order, and in each its users.
    pub fn list(&self) -> Vec<(Box<str>, Name, Connected)> {
        let all = self.all();
        all.iter().map(|((session, user), who)| (session.clone(), user.clone(), *who)).collect()
    }

    /// A count is changed whole, so what a panic left is as good as any.
    fn all(&self) -> MutexGuard<'_, BTreeMap<(Box<str>, Name), Connected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut all = self.presence.all();
        let key = (std::mem::take(&mut self.session), self.user.clone());
        if let Some(connected) = all.get_mut(&key) {
            connected.connections -= 1;
            if connected.connections == 0 {
                all.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_is_counted_until_the_last_connection_ends() {
        let presence = Arc::new(Presence::default());
        let ada: Name = "ada".parse().unwrap();
        let one = presence.enter("a1", ada.clone(), Timestamp(1));
        let two = presence.enter("a1", ada.clone(), Timestamp(2));
        let there = |connections| Connected { connections, since: Timestamp(1) };
        assert_eq!(presence.list(), [("a1".into(), ada.clone(), there(2))]);
        drop(one);
        assert_eq!(presence.list(), [("a1".into(), ada, there(1))]);
        drop(two);
        assert!(presence.list().is_empty());
    }
}
