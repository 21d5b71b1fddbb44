//! The heartbeat of this process, and the burial of others that have none any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use portico_core::limits;
use portico_core::record::{DocumentKey, Kind};
use portico_core::session::Name;
use tokio::task::JoinHandle;

use super::Replica;
use crate::store::{Author, Beat, Expected, Store, StoreError, Write};

/// What a process says of itself while it lives.
pub type Note = Box<dyn Fn() -> Vec<u8> + Send + Sync>;

/// This process among the replicas of its install, from its start to `leave`.
#[must_use = "the heart stops when it is dropped"]
pub struct Heart {
    store: Arc<dyn Store>,
    name: Name,
    task: JoinHandle<()>,
}

impl Heart {
    /// `buries`: whether it takes dead replicas off the list, which one with an API does.
    /// `note` is asked at each beat.
    pub fn start(
        store: Arc<dyn Store>,
        name: Name,
        replica: Replica,
        buries: bool,
        note: Note,
    ) -> Self {
        let beating = Beating { store: store.clone(), name: name.clone(), replica, buries, note };
        Self { store, name, task: tokio::spawn(beating.run()) }
    }

    /// Takes this process off the list, if the store is there.
    pub async fn leave(self) {
        self.task.abort();
        let key = DocumentKey { kind: Kind::Replica, name: self.name.clone() };
        let write = Write::DeleteDocument { key, expected: None };
        let leaving = self.store.write(write, Author::portico().saying("it ended"));
        match tokio::time::timeout(limits::REPLICA_LEAVE_TIMEOUT, leaving).await {
            Ok(Ok(_)) => {}
            // The others will see that its heart does not beat.
            Ok(Err(error)) => {
                tracing::debug!(error = crate::with_causes(&error), "it leaves without a word");
            }
            Err(_) => tracing::debug!("it leaves without a word: the store does not answer"),
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Beating {
    store: Arc<dyn Store>,
    name: Name,
    replica: Replica,
    buries: bool,
    note: Note,
}

impl Beating {
    async fn run(self) {
        let mut missing = BTreeSet::new();
        loop {
            // The feed tells loudly when the store is away; this only waits for it.
            if let Err(error) = self.beat(&mut missing).await {
                tracing::debug!(error = crate::with_causes(&error), "no heartbeat");
            }
            tokio::time::sleep(limits::REPLICA_BEAT).await;
        }
    }

    async fn beat(&self, missing: &mut BTreeSet<Name>) -> Result<(), StoreError> {
        let beat = Beat { name: self.name.clone(), note: (self.note)() };
        self.store.beat(beat, limits::REPLICA_TTL).await?;
        let key = |name: Name| DocumentKey { kind: Kind::Replica, name };
        // Also after a store that lost everything, or a burial by mistake.
        let own = key(self.name.clone());
        let body = self.replica.encode();
        if self.store.document(own.clone()).await?.is_none() {
            let write = Write::PutDocument { key: own, body, expected: Some(Expected::Absent) };
            let _ = self.store.write(write, Author::portico().saying("it started")).await?;
        }
        if !self.buries {
            return Ok(());
        }
        let beating = self.store.beating().await?;
        let beating: BTreeSet<_> = beating.into_iter().map(|beat| beat.name).collect();
        let listed = self.store.documents(Kind::Replica).await?;
        let silent: BTreeSet<_> = listed
            .into_iter()
            .map(|document| document.key.name)
            .filter(|name| !beating.contains(name))
            .collect();
        for name in silent.intersection(missing) {
            tracing::warn!(replica = %name, "its heart does not beat: it is taken off the list");
            let write = Write::DeleteDocument { key: key(name.clone()), expected: None };
            let _ = self.store.write(write, Author::portico().saying("no heartbeat")).await?;
        }
        // Twice in a row: one that is just starting may be listed before it beats.
        *missing = silent;
        Ok(())
    }
}
