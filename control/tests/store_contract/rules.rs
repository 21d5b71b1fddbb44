//! The rules themselves. They know a store only by its trait.

use std::sync::Arc;
use std::time::Duration;

use portico_control::store::{Bounds, Change, Conflict, Expected, Gap, Position, Query, Store};
use portico_core::label::{Label, SessionId};
use portico_core::record::{Record, Version};
use portico_core::session::{Session, State, Timestamp};

pub type Shared = Arc<dyn Store>;

/// Small, so that a few writes reach them.
pub const BOUNDS: Bounds =
    Bounds { log_entries: 400, tombstones: 5, audit_records: 600, idempotency_keys: 8 };

pub fn session(id: &str) -> Session {
    let id = SessionId::parse(id).unwrap();
    let (workspace, owner) = ("genomics".parse().unwrap(), "ada".parse().unwrap());
    let upstream = "http://10.0.0.7:8888".parse().unwrap();
    Session::new(id, workspace, owner, "jupyter".parse().unwrap(), upstream, Timestamp(1))
}

pub fn id(text: &str) -> SessionId {
    SessionId::parse(text).unwrap()
}

pub async fn create(store: &Shared, session: Session) -> Record {
    store.put(session, Expected::Absent).await.unwrap().unwrap()
}

pub async fn all_changes(store: &Shared, mut after: Position) -> Vec<Change> {
    let end = store.snapshot().await.unwrap().position;
    let mut all = Vec::new();
    while after < end {
        for entry in store.changes(after).await.unwrap().unwrap() {
            assert_eq!(entry.position.0, after.0 + 1, "positions have no holes");
            after = entry.position;
            all.push(entry.change);
        }
    }
    all
}

pub async fn a_session_is_kept_as_it_was_put(store: Shared) {
    assert_eq!(store.fetch(id("one")).await.unwrap(), None);
    let mut one = session("one");
    one.reason = Some("☹".to_owned());
    let record = create(&store, one.clone()).await;
    assert_eq!(record, Record { session: one, version: Version(1) });
    assert_eq!(store.fetch(id("one")).await.unwrap(), Some(record));
}

pub async fn ids_and_labels_are_taken_once(store: Shared) {
    create(&store, session("one")).await;
    let again = store.put(session("one"), Expected::Absent).await.unwrap();
    assert_eq!(again, Err(Conflict::IdTaken));
    let other = Session { label: Label::parse("aone").unwrap(), ..session("two") };
    assert_eq!(store.put(other, Expected::Absent).await.unwrap(), Err(Conflict::LabelTaken));
    assert_eq!(store.fetch(id("two")).await.unwrap(), None);
    assert_eq!(all_changes(&store, Position(0)).await.len(), 1);
}

pub async fn a_replacement_needs_the_current_version(store: Shared) {
    let first = create(&store, session("one")).await;
    let stopped = Session { state: State::Stopped, ..session("one") };
    let current = Expected::Version(first.version);
    let second = store.put(stopped.clone(), current).await.unwrap().unwrap();
    assert!(second.version > first.version);
    assert_eq!(
        store.put(session("one"), current).await.unwrap(),
        Err(Conflict::Changed(second.version))
    );
    assert_eq!(store.put(session("two"), current).await.unwrap(), Err(Conflict::Missing));
    let renamed = Session { label: Label::parse("other").unwrap(), ..session("one") };
    let current = Expected::Version(second.version);
    assert_eq!(store.put(renamed, current).await.unwrap(), Err(Conflict::Fixed));
    assert_eq!(store.fetch(id("one")).await.unwrap(), Some(second.clone()));
    assert_eq!(
        store.delete(id("one"), Some(first.version)).await.unwrap(),
        Err(Conflict::Changed(second.version))
    );
    assert_eq!(store.delete(id("one"), Some(second.version)).await.unwrap(), Ok(Some(second)));
}

pub async fn a_deletion_leaves_a_tombstone_that_a_new_session_replaces(store: Shared) {
    let first = create(&store, session("one")).await;
    let label = first.session.label.clone();
    assert_eq!(store.delete(id("one"), None).await.unwrap(), Ok(Some(first.clone())));
    assert_eq!(store.delete(id("one"), None).await.unwrap(), Err(Conflict::Missing));
    assert_eq!(store.fetch(id("one")).await.unwrap(), None);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.records.len(), snapshot.tombstones), (0, vec![label.clone()]));

    let again = create(&store, session("one")).await;
    assert!(again.version > first.version, "a version never comes back");
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.records, snapshot.tombstones), (vec![again.clone()], vec![]));
    assert_eq!(
        all_changes(&store, Position(0)).await,
        [Change::Put(first.clone()), Change::Deleted(first), Change::Put(again)]
    );
}

pub async fn the_oldest_tombstones_are_forgotten_through_the_log(store: Shared) {
    for name in ["s0", "s1", "s2", "s3", "s4", "s5", "s6"] {
        create(&store, session(name)).await;
        store.delete(id(name), None).await.unwrap().unwrap();
    }
    let labels = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| Label::parse(name).unwrap()).collect()
    };
    let mut left = store.snapshot().await.unwrap().tombstones;
    left.sort();
    assert_eq!(left, labels(&["as2", "as3", "as4", "as5", "as6"]));
    let forgotten =
        all_changes(&store, Position(0)).await.into_iter().filter_map(|change| match change {
            Change::Forgotten(label) => Some(label),
            _ => None,
        });
    assert_eq!(forgotten.collect::<Vec<_>>(), labels(&["as0", "as1"]));
}

pub async fn lists_are_paged_and_filtered(store: Shared) {
    for number in 0..25 {
        let mut session = session(&format!("s{number:02}"));
        if number % 2 == 0 {
            session.workspace = "imaging".parse().unwrap();
        }
        if number % 5 == 0 {
            session.state = State::Stopped;
        }
        create(&store, session).await;
    }
    // A workspace whose name begins like another's is not part of it.
    create(&store, Session { workspace: "imaging2".parse().unwrap(), ..session("s99") }).await;

    let ids = async |workspace: Option<&str>, state, items_max| {
        let workspace = workspace.map(|name| name.parse().unwrap());
        let mut query = Query { workspace, state, items_max, ..Query::default() };
        let mut ids = Vec::new();
        loop {
            let page = store.list(query.clone()).await.unwrap();
            assert!(page.items.len() <= items_max);
            ids.extend(page.items.iter().map(|record| record.session.id.to_string()));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return ids,
            }
        }
    };
    let every = |of: fn(usize) -> bool| -> Vec<_> {
        (0..25).filter(|n| of(*n)).map(|n| format!("s{n:02}")).collect()
    };
    for items_max in [1, 3, 5, 13, 26, 1000] {
        assert_eq!(ids(None, None, items_max).await.len(), 26);
        assert_eq!(ids(Some("imaging"), None, items_max).await, every(|n| n % 2 == 0));
        assert_eq!(ids(None, Some(State::Stopped), items_max).await, every(|n| n % 5 == 0));
        assert_eq!(
            ids(Some("imaging"), Some(State::Stopped), items_max).await,
            every(|n| n % 10 == 0)
        );
        assert!(ids(Some("none"), None, items_max).await.is_empty());
    }
    // Exactly full is also the last.
    let query = Query { items_max: 26, ..Query::default() };
    assert_eq!(store.list(query).await.unwrap().next, None);
    store.delete(id("s00"), None).await.unwrap().unwrap();
    assert_eq!(ids(Some("imaging"), None, 4).await.len(), 12);
}

pub async fn changes_come_in_order_and_end_where_the_snapshot_does(store: Shared) {
    let empty = store.snapshot().await.unwrap();
    assert_eq!((empty.records.len(), empty.position), (0, Position(0)));
    let mut put = Vec::new();
    for number in 0..20 {
        put.push(Change::Put(create(&store, session(&format!("s{number}"))).await));
    }
    assert_eq!(all_changes(&store, Position(0)).await, put);
    assert_eq!(all_changes(&store, Position(15)).await, put[15..]);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.records.len(), snapshot.position), (20, Position(20)));
}

pub async fn a_follower_is_woken_by_a_change(store: Shared) {
    let waiting = store.clone();
    let follower = tokio::spawn(async move { waiting.changes(Position(0)).await });
    tokio::task::yield_now().await;
    let record = create(&store, session("one")).await;
    let woken = tokio::time::timeout(Duration::from_secs(10), follower).await.unwrap().unwrap();
    let woken: Vec<_> = woken.unwrap().unwrap();
    assert_eq!((woken[0].position, &woken[0].change), (Position(1), &Change::Put(record)));
}

pub async fn a_position_outside_the_log_is_a_gap(store: Shared) {
    assert_eq!(store.changes(Position(1)).await.unwrap(), Err(Gap), "beyond the newest");
    let mut record = create(&store, session("one")).await;
    let writes = BOUNDS.log_entries as u64 + 10;
    for number in 1..writes {
        let next = Session { changed_at: Timestamp(number), ..session("one") };
        record = store.put(next, Expected::Version(record.version)).await.unwrap().unwrap();
    }
    assert_eq!(record.version, Version(writes));
    assert_eq!(store.changes(Position(0)).await.unwrap(), Err(Gap));
    assert_eq!(store.changes(Position(9)).await.unwrap(), Err(Gap));
    assert_eq!(all_changes(&store, Position(10)).await.len(), BOUNDS.log_entries);
    let newest = store.changes(Position(writes - 1)).await.unwrap().unwrap();
    assert_eq!((newest[0].position, &newest[0].change), (Position(writes), &Change::Put(record)));
}

pub async fn writes_from_many_tasks_are_all_kept(store: Shared) {
    let tasks: Vec<_> = (0..300)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { create(&store, session(&format!("s{number}"))).await })
        })
        .collect();
    let mut versions = Vec::new();
    for task in tasks {
        versions.push(task.await.unwrap().version.0);
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=300).collect::<Vec<_>>());
    assert_eq!(store.snapshot().await.unwrap().records.len(), 300);
}

pub async fn of_many_replacements_of_one_version_one_wins(store: Shared) {
    let record = create(&store, session("one")).await;
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let (store, expected) = (store.clone(), Expected::Version(record.version));
            let next = Session { changed_at: Timestamp(number), ..session("one") };
            tokio::spawn(async move { store.put(next, expected).await.unwrap() })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::Changed(Version(2))),
        }
    }
    assert_eq!(won, 1);
}
