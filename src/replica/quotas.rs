//! The traffic policy of a replica, and what keeps it as its file says and its counts as the other
//! replicas say.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use portico_control::quotas::Quotas;
use portico_control::store::{Author, Store};
use portico_core::limits;
use portico_core::quota::{Ledger, Note};
use portico_proxy::SharedTable;

use crate::failure::{Failure, Outcome};
use crate::settings::PolicyFile;

use super::Keep;

/// With the policy in force, of which what is worth knowing is said.
pub fn ledger(file: Option<&PolicyFile>) -> Arc<Ledger> {
    let Some(file) = file else { return Arc::default() };
    let buckets = file.policy.buckets.len();
    tracing::info!(buckets, "traffic policy loaded");
    file.notes.iter().for_each(tell);
    Arc::new(Ledger::new(file.policy.clone()))
}

/// What is done for a data plane's quotas in the background.
pub fn start(
    file: Option<PolicyFile>,
    ledger: &Arc<Ledger>,
    table: &SharedTable,
    store: Arc<dyn Store>,
    metrics: &prometheus::Registry,
) -> Outcome<Vec<Keep>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let quotas = Quotas::new(ledger.clone(), store, metrics).map_err(Failure::machine)?;
    let looking = look_after(file.path.map(Reading::of), ledger.clone(), table.clone());
    Ok(vec![Keep(tokio::spawn(quotas.keep())), Keep(tokio::spawn(looking))])
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
    read: Option<(SystemTime, u64)>,
}

impl Reading {
    fn of(path: PathBuf) -> Self {
        let read = look(&path);
        Self { path, read }
    }

    fn read_changed(&mut self, ledger: &Ledger) {
        // A file that is being exchanged is not there for a moment.
        let look = look(&self.path);
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

fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn tell(note: &Note) {
    tracing::warn!("traffic policy: {note}");
}
