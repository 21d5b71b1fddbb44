//! The traffic policy of a replica, and what keeps it as its file says and its counts as the other
//! replicas say.

use std::path::PathBuf;
use std::sync::Arc;

use portico_control::quotas::Quotas;
use portico_control::store::Author;
use portico_core::limits;
use portico_core::quota::{Ledger, Note};
use portico_proxy::SharedTable;

use crate::failure::{Failure, Outcome};
use crate::settings::{PolicyFile, Seen};

use super::Keep;
use super::data_plane::Shared;

/// With the policy in force, of which what is worth knowing is said.
pub fn ledger(file: Option<&PolicyFile>) -> Arc<Ledger> {
    let Some(file) = file else { return Arc::default() };
    let buckets = file.policy.buckets.len();
    tracing::info!(buckets, "traffic policy loaded");
    file.notes.iter().for_each(tell);
    Arc::new(Ledger::new(file.policy.clone()))
}

/// What is done for quotas in the background: where there are workers also what counts for all
/// replicas together.
pub fn start(
    file: Option<PolicyFile>,
    ledger: &Arc<Ledger>,
    shared: Shared<'_>,
) -> Outcome<Vec<Keep>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let Shared { role, table, store, metrics } = shared;
    let reading = file.path.map(|path| Reading { path, read: file.seen });
    let mut keeps = vec![Keep(tokio::spawn(look_after(reading, ledger.clone(), table.clone())))];
    if role.has_proxy() {
        let quotas = Quotas::new(ledger.clone(), store.clone(), metrics);
        keeps.push(Keep(tokio::spawn(quotas.map_err(Failure::machine)?.keep())));
    }
    Ok(keeps)
}

/// Keeps the ledger as the policy's file says and as many replicas as there are.
async fn look_after(mut file: Option<Reading>, ledger: Arc<Ledger>, table: SharedTable) {
    loop {
        tokio::time::sleep(limits::QUOTA_POLICY_CHECK).await;
        ledger.set_share(table.load().shared_by().0);
        if let Some(file) = &mut file {
            file.read_changed(&ledger);
        }
    }
}

/// The policy's file, and how it looked when it was read.
struct Reading {
    path: PathBuf,
    read: Option<Seen>,
}

impl Reading {
    fn read_changed(&mut self, ledger: &Ledger) {
        let look = PolicyFile::look(&self.path);
        if look.is_some() && look != self.read {
            self.read = look;
            self.replace(ledger);
        }
    }

    fn replace(&self, ledger: &Ledger) {
        match PolicyFile::read(&self.path) {
            Ok((policy, notes)) => {
                let buckets = policy.buckets.len();
                notes.iter().for_each(tell);
                ledger.replace(policy, Author::portico().at);
                tracing::info!(path = %self.path.display(), buckets, "traffic policy read again");
            }
            Err(error) => tracing::error!("the old traffic policy stays: {error}"),
        }
    }
}

fn tell(note: &Note) {
    tracing::warn!("traffic policy: {note}");
}
