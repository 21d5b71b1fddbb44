//! What only the embedded store promises: its directory, its lock, and that what was acknowledged
//! is there when it is opened again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use portico_control::store::embedded::Embedded;
use portico_control::store::{self, Bounds, Store, StoreError};
use portico_core::label::Label;
use tempfile::TempDir;

use crate::rules::{create, id, session};

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
    for url in ["redis://user:secret@host", "embedded:", "/var/lib/portico"] {
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
