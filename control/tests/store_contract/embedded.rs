//! What only the embedded store promises: its directory, its lock, and that what was acknowledged
//! is there when it is opened again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use portico_control::store::embedded::Embedded;
use portico_control::store::{
    self, Added, Bounds, Change, Conflict, Position, Query, Store, StoreError, Stored,
};
use portico_core::label::Label;
use portico_core::record::{Record, Version};
use tempfile::TempDir;

use crate::more_rules::redeem;
use crate::quota_rules::counted_again;
use crate::rules::{create, id, session};
use crate::usage_rules::{add, all, batch, row};

pub async fn open(bounds: Bounds) -> (Arc<dyn Store>, TempDir) {
    let directory = TempDir::new().unwrap();
    let store = Embedded::open(directory.path().join("store"), bounds).await.unwrap();
    (Arc::new(store), directory)
}

fn url(directory: &Path) -> String {
    format!("embedded:{}", directory.display())
}

#[tokio::test]
async fn what_was_acknowledged_is_there_when_opened_again() {
    let directory = TempDir::new().unwrap();
    let url = url(&directory.path().join("deep/store"));
    let before = {
        let store = store::open(&url).await.unwrap();
        create(&store, session("one")).await;
        create(&store, session("two")).await;
        store.delete(id("two"), None).await.unwrap().unwrap();
        store.snapshot().await.unwrap()
    };
    let store = store::open(&url).await.unwrap();
    let after = store.snapshot().await.unwrap();
    assert_eq!(after.records, before.records);
    assert_eq!(after.tombstones, [Label::parse("atwo").unwrap()]);
    assert_eq!(after.position, before.position);
    assert_eq!(create(&store, session("three")).await.version.0, before.position.0 + 1);
}

#[tokio::test]
async fn a_ticket_that_was_used_stays_so_when_opened_again() {
    let directory = TempDir::new().unwrap();
    let url = url(directory.path());
    for outcome in [Ok(Stored::Nothing), Err(Conflict::Exists)] {
        let store = store::open(&url).await.unwrap();
        assert_eq!(redeem(&store, "t1").await, outcome);
    }
}

#[tokio::test]
async fn usage_is_there_when_opened_again_and_is_not_added_again() {
    let directory = TempDir::new().unwrap();
    let url = url(directory.path());
    for added in [Added::Now, Added::Before] {
        let store = store::open(&url).await.unwrap();
        assert_eq!(add(&store, batch("w1", 1, vec![row(5)])).await, added);
        assert_eq!(all(&store).await, [row(5)]);
    }
}

#[tokio::test]
async fn what_quotas_have_counted_is_there_when_opened_again() {
    let directory = TempDir::new().unwrap();
    let url = url(directory.path());
    for number in 1..=2 {
        let store = store::open(&url).await.unwrap();
        assert_eq!(counted_again(&store, number).await, 10 * number);
        assert_eq!(
            counted_again(&store, number).await,
            10 * number,
            "also which batches they were"
        );
    }
}

#[tokio::test]
async fn only_its_owner_can_read_it() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let _store = store::open(&url(&path)).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("sessions.redb")), 0o600);
}

#[tokio::test]
async fn a_store_in_use_is_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let url = url(directory.path());
    let _first = store::open(&url).await.unwrap();
    let error = store::open(&url).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }) && error.is_settings());
    assert!(error.to_string().contains(&directory.path().display().to_string()), "{error}");
}

#[tokio::test]
async fn a_url_of_another_store_is_refused_without_its_password() {
    for url in ["etcd://user:secret@host", "embedded:", "/var/lib/portico"] {
        let error = store::open(url).await.map(drop).unwrap_err();
        assert!(error.is_settings());
        assert!(error.to_string().contains("embedded:") && !error.to_string().contains("secret"));
    }
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("sessions.redb"), "not a store".repeat(1000)).unwrap();
    let error = store::open(&url(directory.path())).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error:?}");
}

/// As a Portico would leave them that accepts more than this one: in the table and in the log.
fn damage(store: &Path, id: &str, position: u64) {
    use redb::{Database, ReadableTable, TableDefinition};
    const SESSIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("sessions");
    const LOG: TableDefinition<u64, (&str, u64, &[u8])> = TableDefinition::new("log2");
    let database = Database::open(store.join("sessions.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let record = {
        let mut sessions = transaction.open_table(SESSIONS).unwrap();
        let record = sessions.get(id).unwrap().unwrap().value().to_vec();
        let record = String::from_utf8(record).unwrap().replace("10.0.0.7", "0x7f000001");
        sessions.insert(id, record.as_bytes()).unwrap();
        record
    };
    transaction.open_table(LOG).unwrap().insert(position, ("put", 1, record.as_bytes())).unwrap();
    transaction.commit().unwrap();
}

async fn damaged() -> (Arc<dyn Store>, TempDir) {
    let (store, directory) = open(Bounds::default()).await;
    for id in ["one", "two", "three"] {
        create(&store, session(id)).await;
    }
    drop(store);
    let path = directory.path().join("store");
    damage(&path, "two", 2);
    (Arc::new(Embedded::open(path, Bounds::default()).await.unwrap()), directory)
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other() {
    let (store, _directory) = damaged().await;
    let ids = |records: Vec<Record>| -> Vec<_> {
        records.into_iter().map(|record| record.session.id.to_string()).collect()
    };
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.unreadable, snapshot.position.0), (1, 3));
    assert_eq!(ids(snapshot.records), ["one", "three"]);
    for workspace in [None, Some("genomics".parse().unwrap())] {
        let query = Query { items_max: 1, workspace, ..Query::default() };
        let first = store.list(query.clone()).await.unwrap();
        let rest = Query { after: first.next, items_max: 9, ..query };
        assert_eq!(ids(first.items), ["one"]);
        assert_eq!(ids(store.list(rest).await.unwrap().items), ["three"]);
    }
    let changes = store.changes(Position(0)).await.unwrap().unwrap();
    let unreadable: Vec<_> =
        changes.into_iter().map(|entry| (entry.position.0, entry.change.is_unreadable())).collect();
    assert_eq!(unreadable, [(1, false), (2, true), (3, false)]);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_deleted_by_its_id() {
    let (store, _directory) = damaged().await;
    assert!(matches!(store.fetch(id("two")).await, Err(StoreError::Record(_))));
    let expected = Some(Version(2));
    assert!(matches!(store.delete(id("two"), expected).await, Err(StoreError::Record(_))));
    assert_eq!(store.delete(id("two"), None).await.unwrap(), Ok(None));
    assert_eq!(store.fetch(id("two")).await.unwrap(), None);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.unreadable, snapshot.position.0), (0, 4));
    assert_eq!(snapshot.tombstones, [Label::parse("atwo").unwrap()]);
    let label = session("two").label;
    let last = store.changes(Position(3)).await.unwrap().unwrap();
    assert_eq!((last[0].position, &last[0].change), (Position(4), &Change::Gone(label)));
    create(&store, session("two")).await;
}
