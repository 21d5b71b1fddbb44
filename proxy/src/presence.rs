//! Who is connected to which session through this process: the open WebSockets of known users.
//! Written when one begins or ends, read when somebody wants to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_core::session::{Name, Timestamp};

#[derive(Debug, Default)]
pub struct Presence(Mutex<BTreeMap<Arc<Key>, Connected>>);

/// Session and user.
type Key = (Box<str>, Name);

/// The connections of one user to one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connected {
    pub connections: u64,
    /// Of the oldest of an unbroken series.
    pub since: Timestamp,
}

/// One connection; it ends when this is dropped. All of one user to one session have one key.
#[derive(Debug)]
pub(crate) struct Present {
    presence: Arc<Presence>,
    key: Arc<Key>,
}

impl Presence {
    pub(crate) fn enter(self: &Arc<Self>, session: &str, user: Name, now: Timestamp) -> Present {
        let key: Key = (session.into(), user);
        let mut all = self.all();
        let key = all.get_key_value(&key).map_or_else(|| Arc::new(key.clone()), |(k, _)| k.clone());
        let connected = all.entry(key.clone()).or_insert(Connected { connections: 0, since: now });
        connected.connections += 1;
        drop(all);
        Present { presence: self.clone(), key }
    }

    /// Sessions in order, and in each its users.
    pub fn list(&self) -> Vec<(Box<str>, Name, Connected)> {
        let all = self.all();
        let told = |(key, who): (&Arc<Key>, &Connected)| (key.0.clone(), key.1.clone(), *who);
        all.iter().map(told).collect()
    }

    /// A count is changed whole, so what a panic left is as good as any.
    fn all(&self) -> MutexGuard<'_, BTreeMap<Arc<Key>, Connected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut all = self.presence.all();
        if let Some(connected) = all.get_mut(&*self.key) {
            connected.connections -= 1;
            if connected.connections == 0 {
                all.remove(&*self.key);
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
