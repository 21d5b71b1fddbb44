//! What a store in Redis promises when Redis is in trouble.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portico_control::store::redis::{Redis, RedisFailure};
use portico_control::store::{
    Answer, AuditQuery, Beat, Bounds, Change, Expected, Gap, Position, Query, RedisOptions, Store,
    StoreError,
};
use portico_core::limits;
use portico_core::record::{Kind, Record, Version};

use crate::more_rules::nothing_is_half_there;
use crate::redis::open;
use crate::redis::servers::{Cluster, Sentinels, Server};
use crate::rules::{Shared, create, id, session};

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// Writes from several tasks until it is told to stop; what was acknowledged.
fn writers(
    store: &Arc<Redis>,
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<Vec<Record>>> {
    let write = |task: usize| {
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let session = session(&format!("s{task}-{number}"));
                match store.put(session, Expected::Absent).await {
                    Ok(written) => acknowledged.push(written.unwrap()),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            acknowledged
        }
    };
    (0..4).map(|task| tokio::spawn(write(task))).collect()
}

async fn until<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn works_again(store: &Arc<Redis>) {
    until("the store works again", || async { store.snapshot().await.ok() }).await;
}

/// A follower as the feed is one: the snapshot first, and again for every gap.
async fn follow(store: Arc<Redis>, stop: Arc<AtomicBool>) -> Vec<Record> {
    let mut known = std::collections::BTreeMap::new();
    let mut position = None;
    loop {
        let is_over = stop.load(Ordering::Relaxed);
        if let Some(after) = position {
            let wait = Duration::from_millis(500);
            match tokio::time::timeout(wait, store.changes(after)).await {
                Ok(Ok(Ok(entries))) => {
                    for entry in entries {
                        position = Some(entry.position);
                        let Change::Put(record) = entry.change else { panic!("only creations") };
                        known.insert(record.session.id.clone(), record);
                    }
                }
                Ok(Ok(Err(Gap))) => position = None,
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(_) if is_over => return known.into_values().collect(),
                Err(_) => {}
            }
        } else if let Ok(snapshot) = store.snapshot().await {
            let records = snapshot.records.into_iter();
            known = records.map(|record| (record.session.id.clone(), record)).collect();
            position = Some(snapshot.position);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_under_writes_loses_nothing_that_was_acknowledged() {
    let mut sentinels = tokio::task::spawn_blocking(Sentinels::start).await.unwrap();
    let store = open(&sentinels.url()).await;
    let (stop, follower_stop) = (Arc::default(), Arc::default());
    let follower = tokio::spawn(follow(store.clone(), Arc::clone(&follower_stop)));
    let tasks = writers(&store, &stop);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let before = store.snapshot().await.unwrap().position;
    sentinels.primary.kill();
    works_again(&store).await;
    until("writes go on", || async {
        let position = store.snapshot().await.ok()?.position;
        (position.0 > before.0 + 200).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    let snapshot = store.snapshot().await.unwrap();
    assert!(acknowledged.len() > 200);
    for record in acknowledged {
        assert!(snapshot.records.contains(&record), "{:?} is gone", record.session.id);
    }
    let replica = sentinels.replica.cli(&["role"]);
    assert!(replica.starts_with("master"), "{replica}");
    follower_stop.store(true, Ordering::Relaxed);
    assert!(follower.await.unwrap() == snapshot.records, "the follower has what the store has");
}

#[tokio::test]
async fn a_write_that_no_replica_confirms_is_not_acknowledged() {
    let primary = Server::plain(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.port.to_string();
    let replica = Server::plain(&["--replicaof", "127.0.0.1", &port]);
    let store = open(&url(&primary)).await;
    crate::redis::servers::eventually("the replica follows", || {
        primary.cli(&["role"]).contains(&replica.port.to_string())
    });
    store.put(session("one"), Expected::Absent).await.unwrap().unwrap();
    assert!(replica.cli(&["hkeys", "{portico}:sessions"]).contains("one"));
    replica.signal("STOP");
    let error = store.put(session("two"), Expected::Absent).await.unwrap_err();
    assert!(matches!(error, StoreError::Redis(RedisFailure::Unconfirmed)), "{error}");
    replica.signal("CONT");
    store.put(session("three"), Expected::Absent).await.unwrap().unwrap();
    let options = RedisOptions::new(url(&replica));
    let error = Redis::open(&options, Bounds::default()).await.map(drop).unwrap_err();
    assert!(error.is_settings() && error.to_string().contains("is a replica"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_under_writes_and_restarted_has_all_that_was_acknowledged() {
    let mut server = Server::plain(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = open(&url(&server)).await;
    let stop = Arc::default();
    let tasks = writers(&store, &stop);
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    store.snapshot().await.unwrap_err();
    server.restart();
    works_again(&store).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    let snapshot = store.snapshot().await.unwrap();
    assert!(acknowledged.len() > 100);
    for record in &acknowledged {
        assert!(snapshot.records.contains(record), "{:?} is gone", record.session.id);
    }
    let store: Shared = store;
    nothing_is_half_there(&store).await;
}

#[tokio::test]
async fn a_redis_restarted_empty_is_noticed_and_not_written_to() {
    let mut server = Server::plain(&["--appendonly", "yes"]);
    let store = open(&url(&server)).await;
    let shared: Shared = store.clone();
    let identity = store.identity().await.unwrap();
    create(&shared, session("one")).await;
    let position = store.snapshot().await.unwrap().position;
    server.kill();
    server.forget_everything();
    server.restart();
    let identity_now = until("Redis answers", || async { store.identity().await.ok() }).await;
    assert_eq!(&*identity_now, "");
    let replaced = |error: StoreError| {
        assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    };
    replaced(store.snapshot().await.unwrap_err());
    replaced(store.fetch(id("one")).await.unwrap_err());
    replaced(store.changes(position).await.map(drop).unwrap_err());
    // A connection that was in use a moment ago is not tried first.
    tokio::time::sleep(limits::REDIS_IDLE_CHECK).await;
    replaced(store.put(session("two"), Expected::Absent).await.unwrap_err());
    assert_eq!(server.cli(&["dbsize"]).trim(), "0");

    let key = "token/a".parse().unwrap();
    assert_eq!(store.document(key).await.unwrap(), None, "consent can be looked for");

    let adopted = store.adopt().await.unwrap();
    assert!(!adopted.is_empty() && adopted != identity);
    assert_eq!(store.identity().await.unwrap(), adopted);
    assert_eq!(store.changes(position).await.unwrap(), Err(Gap));
    let record = create(&shared, session("two")).await;
    assert_eq!(store.snapshot().await.unwrap().records, [record]);
}

#[tokio::test]
async fn a_redis_emptied_while_it_runs_is_noticed() {
    let server = Server::plain(&[]);
    let store = open(&url(&server)).await;
    let shared: Shared = store.clone();
    create(&shared, session("one")).await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changes(Position(1)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.cli(&["flushall"]);
    store.snapshot().await.unwrap_err();
    store.put(session("two"), Expected::Absent).await.unwrap_err();
    let wait = limits::REDIS_FOLLOW_WAIT + limits::REDIS_RESPONSE_TIMEOUT;
    tokio::time::timeout(wait, waiting).await.unwrap().unwrap().unwrap_err();
}

#[tokio::test]
async fn forgotten_scripts_are_loaded_again() {
    let server = Server::plain(&[]);
    let store: Shared = open(&url(&server)).await;
    create(&store, session("one")).await;
    server.cli(&["script", "flush"]);
    create(&store, session("two")).await;
    assert_eq!(store.snapshot().await.unwrap().position, Position(2));
}

#[tokio::test]
async fn a_full_redis_takes_deletions_only_and_nothing_by_half() {
    let server = Server::plain(&[]);
    let store: Shared = open(&url(&server)).await;
    create(&store, session("one")).await;
    server.cli(&["config", "set", "maxmemory", "1"]);
    let error = store.put(session("two"), Expected::Absent).await.unwrap_err();
    assert!(matches!(error, StoreError::Redis(RedisFailure::Refused(_))), "{error}");
    server.cli(&["config", "set", "maxmemory", "0"]);
    nothing_is_half_there(&store).await;
    server.cli(&["config", "set", "maxmemory", "1"]);
    store.delete(id("one"), None).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slot_that_moves_to_another_node_is_followed() {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let store: Shared = open(&cluster.url()).await;
    create(&store, session("one")).await;
    let key = "{portico}:identity";
    let slot = cluster.nodes[0].cli(&["cluster", "keyslot", key]).trim().to_owned();
    let has = |node: &Server| node.cli(&["exists", key]).trim() == "1";
    let from = cluster.nodes.iter().find(|node| has(node)).unwrap();
    let to = cluster.nodes.iter().find(|node| !has(node)).unwrap();
    let name = |node: &Server| node.cli(&["cluster", "myid"]).trim().to_owned();
    let (from_name, to_name, port) = (name(from), name(to), to.port.to_string());
    to.cli(&["cluster", "setslot", &slot, "importing", &from_name]);
    from.cli(&["cluster", "setslot", &slot, "migrating", &to_name]);
    let keys = from.cli(&["keys", "*"]);
    let move_keys = ["migrate", "127.0.0.1", &port, "", "0", "5000", "keys"];
    let moved: Vec<_> = move_keys.into_iter().chain(keys.lines()).collect();
    assert_eq!(from.cli(&moved).trim(), "OK");
    for node in [to, from] {
        node.cli(&["cluster", "setslot", &slot, "node", &to_name]);
    }
    let record = create(&store, session("two")).await;
    assert_eq!(store.fetch(id("two")).await.unwrap(), Some(record));
    assert_eq!(store.snapshot().await.unwrap().position, Position(2));
    assert!(has(to));
}

#[tokio::test]
async fn a_patient_store_is_opened_while_redis_is_away() {
    let mut server = Server::plain(&[]);
    server.kill();
    let mut options = RedisOptions::new(url(&server));
    let error = Redis::open(&options, Bounds::default()).await.map(drop).unwrap_err();
    assert!(!error.is_settings() && error.to_string().contains("cannot be reached"), "{error}");
    options.patient = true;
    let (store, report) = Redis::open(&options, Bounds::default()).await.unwrap();
    assert!(report.warnings[0].contains("cannot be reached"), "{report:?}");
    let store: Shared = Arc::new(store);
    store.snapshot().await.unwrap_err();
    store.put(session("one"), Expected::Absent).await.unwrap_err();
    server.restart();
    until("Redis answers", || async { store.identity().await.ok() }).await;
    let record = create(&store, session("one")).await;
    assert_eq!(store.snapshot().await.unwrap().records, [record]);
    assert!(!store.identity().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_and_can_be_deleted() {
    let server = Server::plain(&[]);
    let store: Shared = open(&url(&server)).await;
    for id in ["one", "two", "three"] {
        create(&store, session(id)).await;
    }
    let key = "{portico}:sessions";
    let damaged = server.cli(&["hget", key, "two"]).trim().replace("10.0.0.7", "0x7f000001");
    server.cli(&["hset", key, "two", &damaged]);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.records.len(), snapshot.unreadable), (2, 1));
    let query = Query { items_max: 1, ..Query::default() };
    let first = store.list(query.clone()).await.unwrap();
    let rest = store.list(Query { after: first.next, items_max: 9, ..query }).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len()), (1, 1));
    assert!(matches!(store.fetch(id("two")).await, Err(StoreError::Record(_))));
    let expected = Some(Version(2));
    assert!(matches!(store.delete(id("two"), expected).await, Err(StoreError::Record(_))));
    assert_eq!(store.delete(id("two"), None).await.unwrap(), Ok(None));
    let last = store.changes(Position(3)).await.unwrap().unwrap();
    assert_eq!(last[0].change, Change::Gone(session("two").label));
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.unreadable, snapshot.tombstones), (0, vec![session("two").label]));
    create(&store, session("two")).await;
    server.cli(&["hset", key, "one", "rubbish"]);
    assert!(matches!(store.delete(id("one"), None).await, Err(StoreError::Record(_))));
}

/// Each call fails in its time and works again afterwards.
async fn every_call_fails(store: &Arc<Redis>) {
    let bound = limits::REDIS_CALL_TIMEOUT * 2 + Duration::from_secs(1);
    let one = || id("one");
    let calls: Vec<(&str, Answer<'_, ()>)> = vec![
        ("put", Box::pin(async { store.put(session("x"), Expected::Absent).await.map(drop) })),
        ("fetch", Box::pin(async { store.fetch(one()).await.map(drop) })),
        (
            "list",
            Box::pin(async {
                store.list(Query { items_max: 5, ..Query::default() }).await.map(drop)
            }),
        ),
        ("documents", Box::pin(async { store.documents(Kind::Token).await.map(drop) })),
        ("snapshot", Box::pin(async { store.snapshot().await.map(drop) })),
        ("audit", Box::pin(async { store.audit(AuditQuery::default()).await.map(drop) })),
        ("beat", Box::pin(store.beat(Beat { name: "a".parse().unwrap(), note: vec![] }, bound))),
        ("beating", Box::pin(async { store.beating().await.map(drop) })),
        ("identity", Box::pin(async { store.identity().await.map(drop) })),
        ("changes", Box::pin(async { store.changes(Position(1)).await.map(drop) })),
    ];
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for (name, call) in calls {
        tasks.push(async move {
            let ended = tokio::time::timeout(bound, call).await;
            assert!(ended.is_ok_and(|answer| answer.is_err()), "{name}");
        });
    }
    futures_join(tasks).await;
    assert!(begin.elapsed() < bound);
}

/// All at once, without a crate for it.
async fn futures_join<F: Future<Output = ()>>(tasks: Vec<F>) {
    let mut tasks: Vec<_> = tasks.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        if tasks.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn with_redis_away_every_call_fails_in_bounded_time() {
    let mut server = Server::plain(&["--appendonly", "yes"]);
    let store = open(&url(&server)).await;
    let shared: Shared = store.clone();
    create(&shared, session("one")).await;
    server.signal("STOP");
    every_call_fails(&store).await;
    server.signal("CONT");
    works_again(&store).await;
    server.kill();
    every_call_fails(&store).await;
    server.restart();
    works_again(&store).await;
    create(&shared, session("two")).await;
    // The one that was sent to the standing server may have been done when it went on.
    let records = store.snapshot().await.unwrap().records;
    let ids: Vec<_> = records.iter().map(|record| record.session.id.as_str()).collect();
    assert_eq!(ids.into_iter().filter(|id| *id != "x").collect::<Vec<_>>(), ["one", "two"]);
}
