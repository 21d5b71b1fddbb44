//! The rules of what a store keeps besides sessions: documents, the audit log, idempotency keys,
//! the room of workspaces, heartbeats, and who it is.

use std::num::NonZeroU64;
use std::time::Duration;

use portico_control::store::{
    AuditQuery, Author, Beat, Change, Conflict, Expected, Once, Position, Query, Stored, Write,
};
use portico_core::limits;
use portico_core::record::{AuditRecord, Document, DocumentKey, Kind, Version};
use portico_core::session::{Session, Timestamp};

use crate::rules::{BOUNDS, Shared, all_changes, create, id, session};

fn author(at: u64) -> Author {
    Author {
        name: "platform".parse().unwrap(),
        address: Some("192.0.2.7".parse().unwrap()),
        at: Timestamp(at),
        detail: Some("said \"so\"".into()),
    }
}

fn key(text: &str) -> DocumentKey {
    text.parse().unwrap()
}

async fn put(
    store: &Shared,
    name: &str,
    body: &str,
    expected: Option<Expected>,
) -> Result<Document, Conflict> {
    let write = Write::PutDocument { key: key(name), body: body.into(), expected };
    store.write(write, author(1)).await.unwrap().map(Stored::into_document)
}

async fn delete(
    store: &Shared,
    name: &str,
    expected: Option<Version>,
) -> Result<Document, Conflict> {
    let write = Write::DeleteDocument { key: key(name), expected };
    store.write(write, author(1)).await.unwrap().map(Stored::into_document)
}

pub async fn documents_are_created_replaced_and_deleted(store: Shared) {
    let name = "workspace/genomics";
    assert_eq!(store.document(key(name)).await.unwrap(), None);
    let wrong = Some(Expected::Version(Version(9)));
    assert_eq!(put(&store, name, "{}", wrong).await, Err(Conflict::Missing));
    assert_eq!(delete(&store, name, None).await, Err(Conflict::Missing));

    let first = put(&store, name, r#"{"a":1.10,"b":"☹"}"#, Some(Expected::Absent)).await.unwrap();
    assert_eq!((first.version, first.key.clone()), (Version(1), key(name)));
    assert_eq!(store.document(key(name)).await.unwrap().unwrap().version, Version(1));
    assert_eq!(put(&store, name, "{}", Some(Expected::Absent)).await, Err(Conflict::Exists));
    let changed = Err(Conflict::Changed(first.version));
    assert_eq!(put(&store, name, "{}", wrong).await, changed);
    assert_eq!(delete(&store, name, Some(Version(9))).await, changed);

    let current = Some(Expected::Version(first.version));
    let second = put(&store, name, r#"{"v":1,"version":7}"#, current).await.unwrap();
    let third = put(&store, name, r#"{"v":1,"version":8}"#, None).await.unwrap();
    assert_eq!((second.version, third.version), (Version(2), Version(3)));
    assert_eq!(store.document(key(name)).await.unwrap(), Some(third.clone()));
    assert_eq!(store.snapshot().await.unwrap().documents, std::slice::from_ref(&third));
    assert_eq!(delete(&store, name, Some(third.version)).await, Ok(third.clone()));
    assert_eq!(store.document(key(name)).await.unwrap(), None);

    let changes = all_changes(&store, Position(0)).await;
    assert_eq!(
        changes[1..],
        [
            Change::DocumentPut(second),
            Change::DocumentPut(third),
            Change::DocumentDeleted(key(name)),
        ]
    );
}

pub async fn documents_are_listed_by_kind_in_order(store: Shared) {
    for name in ["token/b", "workspace/z", "token/a", "token/c", "allow-list/all"] {
        put(&store, name, "{}", None).await.unwrap();
    }
    let names = async |kind| -> Vec<String> {
        let documents = store.documents(kind).await.unwrap();
        documents.iter().map(|document| document.key.to_string()).collect()
    };
    assert_eq!(names(Kind::Token).await, ["token/a", "token/b", "token/c"]);
    assert_eq!(names(Kind::Workspace).await, ["workspace/z"]);
    assert!(names(Kind::Template).await.is_empty());
    assert_eq!(store.snapshot().await.unwrap().documents.len(), 5);
}

pub async fn the_audit_log_says_who_did_what(store: Shared) {
    let by = author(1_795_000_000_123);
    let one = store.put_by(session("one"), Expected::Absent, by.clone()).await.unwrap().unwrap();
    let stopped = Session { reason: Some("over".into()), ..session("one") };
    store.put_by(stopped, Expected::Version(one.version), by.clone()).await.unwrap().unwrap();
    store.put(session("one"), Expected::Absent).await.unwrap().unwrap_err();
    store.delete(id("one"), None).await.unwrap().unwrap();
    put(&store, "workspace/genomics", "{}", Some(Expected::Absent)).await.unwrap();
    delete(&store, "workspace/genomics", None).await.unwrap();

    let page = store.audit(AuditQuery { after: Position(0), items_max: 100 }).await.unwrap();
    assert_eq!(page.next, None);
    let said: Vec<_> =
        page.items.iter().map(|(at, r)| (at.0, r.action.as_str(), r.subject.as_str())).collect();
    assert_eq!(
        said,
        [
            (1, "session.created", "sessions/one"),
            (2, "session.changed", "sessions/one"),
            (3, "session.deleted", "sessions/one"),
            (4, "workspace.created", "workspaces/genomics"),
            (5, "workspace.deleted", "workspaces/genomics"),
        ]
    );
    let Author { name: actor, address, at, detail } = by;
    let (action, subject) = ("session.created".to_owned(), "sessions/one".to_owned());
    let workspace = Some("genomics".parse().unwrap());
    let first = AuditRecord { at, actor, address, action, subject, workspace, detail };
    assert_eq!(page.items[0].1, first);
    let deletion = &page.items[2].1;
    assert_eq!((deletion.actor.as_str(), &deletion.workspace), ("portico", &first.workspace));
    assert_eq!(page.items[3].1.workspace, first.workspace);

    let page = store.audit(AuditQuery { after: Position(1), items_max: 2 }).await.unwrap();
    assert_eq!(page.items.iter().map(|(at, _)| at.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(page.next, Some(Position(3)));
    let page = store.audit(AuditQuery { after: Position(3), items_max: 2 }).await.unwrap();
    assert_eq!((page.items.len(), page.next), (2, None), "exactly full is also the last");
}

pub async fn the_audit_log_is_bounded(store: Shared) {
    let writes = BOUNDS.audit_records as u64 + 10;
    let tasks: Vec<_> = (0..writes)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { put(&store, "template/a", "{}", None).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let page = store.audit(AuditQuery { after: Position(0), items_max: 1_000 }).await.unwrap();
    assert_eq!(page.items.len(), BOUNDS.audit_records);
    assert_eq!(page.items[0].0, Position(11));
}

async fn once(store: &Shared, name: &str, key: &str, at: u64) -> Result<Stored, Conflict> {
    let once = Once { key: key.to_owned(), fingerprint: format!("of {name}") };
    let (session, expected) = (Box::new(session(name)), Expected::Absent);
    let write = Write::Put { session, expected, once: Some(once), room: None };
    store.write(write, author(at)).await.unwrap()
}

pub async fn what_was_done_once_is_not_done_again(store: Shared) {
    once(&store, "one", "k1", 1).await.unwrap();
    let done = Err(Conflict::Done { id: id("one"), fingerprint: "of one".into() });
    assert_eq!(once(&store, "one", "k1", 2).await, done);
    assert_eq!(once(&store, "other", "k1", 3).await, done, "whatever is asked now");
    // A write that was refused did nothing that could be repeated.
    assert_eq!(once(&store, "one", "k2", 4).await, Err(Conflict::IdTaken));
    once(&store, "two", "k2", 5).await.unwrap();
    // What was created then is answered even where it is gone.
    store.delete(id("one"), None).await.unwrap().unwrap();
    assert_eq!(once(&store, "one", "k1", 6).await, done);
    assert_eq!(all_changes(&store, Position(0)).await.len(), 3);
}

pub async fn idempotency_keys_expire_and_are_bounded(store: Shared) {
    let ttl = limits::IDEMPOTENCY_TTL.as_millis() as u64;
    once(&store, "s0", "k0", 1_000).await.unwrap();
    assert!(matches!(once(&store, "again", "k0", 999 + ttl).await, Err(Conflict::Done { .. })));
    once(&store, "again", "k0", 1_000 + ttl).await.unwrap();
    // As many as fit, and one more: the oldest goes.
    let at = 1_001 + ttl;
    for number in 1..=BOUNDS.idempotency_keys {
        once(&store, &format!("s{number}"), &format!("k{number}"), at).await.unwrap();
    }
    assert!(matches!(once(&store, "t", "k8", at).await, Err(Conflict::Done { .. })));
    once(&store, "t", "k0", at).await.unwrap();
}

pub async fn a_full_workspace_takes_no_more(store: Shared) {
    let room = NonZeroU64::new(2);
    let add = async |name: &str, workspace: &str| {
        let session = Session { workspace: workspace.parse().unwrap(), ..session(name) };
        let session = Box::new(session);
        let write = Write::Put { session, expected: Expected::Absent, once: None, room };
        store.write(write, author(1)).await.unwrap().map(Stored::into_session)
    };
    let one = add("one", "genomics").await.unwrap();
    add("two", "genomics").await.unwrap();
    let full = Err(Conflict::WorkspaceFull(room.unwrap()));
    assert_eq!(add("three", "genomics").await, full);
    assert_eq!(add("two", "genomics").await, Err(Conflict::IdTaken));
    // One whose name begins like another's has room of its own.
    add("three", "genomics2").await.unwrap();
    add("four", "genomic").await.unwrap();
    // A replacement takes no room.
    let next = Session { reason: Some("idle".into()), ..session("one") };
    store.put(next, Expected::Version(one.version)).await.unwrap().unwrap();
    store.delete(id("one"), None).await.unwrap().unwrap();
    add("five", "genomics").await.unwrap();
    assert_eq!(add("six", "genomics").await, full);
}

pub async fn a_heartbeat_lasts_for_its_time(store: Shared) {
    let beat = async |name: &str, ttl| {
        let beat = Beat { name: name.parse().unwrap(), note: format!("{name}\0{ttl:?}").into() };
        store.beat(beat, ttl).await.unwrap()
    };
    let long = Duration::from_secs(60);
    beat("b", long).await;
    beat("a", long).await;
    beat("c", Duration::from_millis(1)).await;
    beat("d", Duration::from_millis(1)).await;
    beat("d", long).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let beats = store.beating().await.unwrap();
        let names: Vec<_> = beats.iter().map(|beat| beat.name.as_str()).collect();
        if names == ["a", "b", "d"] {
            assert_eq!(beats[2].note, format!("d\0{long:?}").into_bytes(), "the newest note");
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{names:?}");
    }
}

pub async fn a_ticket_is_redeemed_once(store: Shared) {
    let now = Author::portico().at;
    let redeem = |ticket: String, until| {
        let (session, workspace) = (id("one"), "genomics".parse().unwrap());
        let write = Write::Redeem { ticket, until: Timestamp(until), session, workspace };
        let store = store.clone();
        async move { store.write(write, Author::portico().saying("by ada")).await.unwrap() }
    };
    let attempts = (0..20).map(|_| tokio::spawn(redeem("t1".into(), now.0 + 60_000)));
    let mut first = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        match attempt.await.unwrap() {
            Ok(Stored::Nothing) => first += 1,
            Err(Conflict::Exists) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(first, 1);
    assert_eq!(redeem("t2".into(), now.0 + 60_000).await, Ok(Stored::Nothing));
    // One that nobody can bring any more is forgotten.
    assert_eq!(redeem("old".into(), now.0 - 60_000).await, Ok(Stored::Nothing));
    redeem("t3".into(), now.0 + 60_000).await.unwrap();
    assert_eq!(redeem("old".into(), now.0 + 60_000).await, Ok(Stored::Nothing));
    assert_eq!(redeem("t1".into(), now.0 + 60_000).await, Err(Conflict::Exists));
    let audit = store.audit(AuditQuery { after: Position(0), items_max: 10 }).await.unwrap();
    let (_, record) = &audit.items[0];
    assert_eq!((&*record.action, &*record.subject), ("ticket.redeemed", "sessions/one"));
    assert_eq!(record.detail.as_deref(), Some("by ada"));
}

/// Uses up a ticket that is good for a minute.
pub async fn redeem(store: &Shared, ticket: &str) -> Result<Stored, Conflict> {
    let now = Author::portico().at;
    redeem_at(store, ticket, now, Timestamp(now.0 + 60_000)).await
}

async fn redeem_at(
    store: &Shared,
    ticket: &str,
    at: Timestamp,
    until: Timestamp,
) -> Result<Stored, Conflict> {
    let (session, workspace) = (id("one"), "genomics".parse().unwrap());
    let write = Write::Redeem { ticket: ticket.to_owned(), until, session, workspace };
    store.write(write, Author { at, ..Author::portico() }).await.unwrap()
}

/// Whoever redeems after a long pause does not pay for all that were used before it.
pub async fn one_write_forgets_few_tickets(store: Shared) {
    let begin = Author::portico().at.0;
    let at = |seconds: u64| Timestamp(begin + seconds * 1_000);
    let tickets: Vec<_> = (0..limits::TICKETS_FORGET_PER_WRITE * 5 / 2)
        .map(|number| format!("t{number:02}"))
        .collect();
    for ticket in &tickets {
        redeem_at(&store, ticket, at(0), at(60)).await.unwrap();
    }
    let last = tickets.last().unwrap();
    let later = async |ticket: &str| redeem_at(&store, ticket, at(120), at(180)).await;
    later("a").await.unwrap();
    assert_eq!(later(last).await, Err(Conflict::Exists), "all were forgotten at once");
    for ticket in ["b", "c"] {
        later(ticket).await.unwrap();
    }
    assert_eq!(later(last).await, Ok(Stored::Nothing));
}

pub async fn a_note_changes_nothing_and_is_kept(store: Shared) {
    create(&store, session("one")).await;
    let before = store.snapshot().await.unwrap();
    let write = Write::Note {
        action: "connections.ended".into(),
        subject: "sessions/one".into(),
        workspace: Some("genomics".parse().unwrap()),
    };
    let noted = store.write(write, Author::portico().saying("2 of bob")).await.unwrap();
    assert_eq!(noted, Ok(Stored::Nothing));
    let after = store.snapshot().await.unwrap();
    assert_eq!(after.records, before.records);
    assert_eq!(all_changes(&store, before.position).await, [Change::Noted]);
    let audit = store.audit(AuditQuery { after: before.position, items_max: 10 }).await.unwrap();
    let (position, record) = &audit.items[0];
    assert_eq!(*position, after.position);
    assert_eq!(
        (&*record.action, record.detail.as_deref()),
        ("connections.ended", Some("2 of bob"))
    );
    assert_eq!(record.workspace.as_ref().unwrap().as_str(), "genomics");
}

pub async fn the_identity_stays(store: Shared) {
    let identity = store.identity().await.unwrap();
    assert!(identity.len() >= 16);
    create(&store, session("one")).await;
    assert_eq!(store.identity().await.unwrap(), identity);
}

/// Every record has its label, its place in the lists, its change and its audit record, or there is
/// nothing of it.
pub async fn nothing_is_half_there(store: &Shared) {
    let snapshot = store.snapshot().await.unwrap();
    let changes = all_changes(store, Position(0)).await;
    let audit = store.audit(AuditQuery { after: Position(0), items_max: 10_000 }).await.unwrap();
    let count = snapshot.records.len();
    assert_eq!(snapshot.position.0 as usize, count, "only creations");
    assert_eq!((changes.len(), audit.items.len()), (count, count));
    for record in snapshot.records.clone() {
        assert!(changes.contains(&Change::Put(record.clone())));
        let id = record.session.id.clone();
        assert_eq!(store.fetch(id.clone()).await.unwrap(), Some(record.clone()));
        let other = Session { label: record.session.label.clone(), ..session("other") };
        let taken = store.put(other, Expected::Absent).await.unwrap();
        assert_eq!(taken, Err(Conflict::LabelTaken));
    }
    let workspace = session("any").workspace;
    let mut query = Query { workspace: Some(workspace), items_max: 1_000, ..Query::default() };
    let mut listed = Vec::new();
    loop {
        let page = store.list(query.clone()).await.unwrap();
        listed.extend(page.items);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert!(listed == snapshot.records, "lists have what the snapshot has");
}

pub async fn a_caller_that_goes_away_leaves_no_half_write(store: Shared) {
    for number in 0..60 {
        let other = store.clone();
        let writing =
            tokio::spawn(async move { create(&other, session(&format!("s{number}"))).await });
        for _ in 0..number % 6 {
            tokio::task::yield_now().await;
        }
        writing.abort();
        let _ = writing.await;
    }
    // A later write is behind those that were on their way.
    create(&store, session("last")).await;
    nothing_is_half_there(&store).await;
}
