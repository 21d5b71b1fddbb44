//! What a store in Redis promises of usage when Redis is in trouble, and how it keeps it.

use std::time::Duration;

use portico_control::store::{Added, StoreError};
use portico_core::limits;

use crate::redis::open;
use crate::redis::servers::{Sentinels, Server};
use crate::rules::Shared;
use crate::usage_rules::{add, all, batch, row, this_hour};

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// As one that writes does: the same batch until its outcome is known.
async fn added(store: &Shared, number: u64) -> Added {
    for _ in 0..600 {
        if let Ok(added) = store.add_usage(batch("w1", number, vec![row(1)])).await {
            return added;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("batch {number} is not added in time");
}

#[tokio::test]
async fn a_restarted_redis_has_what_it_acknowledged_and_adds_nothing_twice() {
    let mut server = Server::plain(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store: Shared = open(&url(&server)).await;
    assert_eq!(added(&store, 1).await, Added::Now);
    server.kill();
    store.add_usage(batch("w1", 2, vec![row(1)])).await.unwrap_err();
    server.restart();
    assert_eq!(added(&store, 1).await, Added::Before);
    assert_eq!(added(&store, 2).await, Added::Now);
    assert_eq!(all(&store).await, [row(2)]);
}

#[tokio::test]
async fn a_batch_whose_outcome_was_not_heard_is_added_once() {
    let server = Server::plain(&[]);
    let store: Shared = open(&url(&server)).await;
    assert_eq!(added(&store, 1).await, Added::Now);
    server.signal("STOP");
    store.add_usage(batch("w1", 2, vec![row(1)])).await.unwrap_err();
    server.signal("CONT");
    // It stood in the server's queue, so it is done by now.
    added(&store, 2).await;
    assert_eq!(all(&store).await, [row(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_no_usage_that_was_acknowledged() {
    let mut sentinels = tokio::task::spawn_blocking(Sentinels::start).await.unwrap();
    let store: Shared = open(&sentinels.url()).await;
    for number in 1..=20 {
        assert_eq!(added(&store, number).await, Added::Now);
    }
    sentinels.primary.kill();
    for number in 20..=30 {
        added(&store, number).await;
    }
    assert_eq!(all(&store).await, [row(30)]);
}

#[tokio::test]
async fn another_redis_gets_no_usage() {
    let server = Server::plain(&[]);
    let store: Shared = open(&url(&server)).await;
    add(&store, batch("w1", 1, vec![row(1)])).await;
    server.cli(&["flushall"]);
    let error = store.add_usage(batch("w1", 2, vec![row(1)])).await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced { .. }), "{error}");
    assert_eq!(server.cli(&["dbsize"]).trim(), "0");
}

#[tokio::test]
async fn an_hour_ends_by_itself() {
    let server = Server::plain(&[]);
    let store: Shared = open(&url(&server)).await;
    add(&store, batch("w1", 1, vec![row(u64::MAX), row(7)])).await;
    assert_eq!(all(&store).await[0].counted.bytes_in, i64::MAX as u64, "it never wraps");
    let hour = this_hour().0;
    for key in [format!("{{portico}}:usage:{hour}"), format!("{{portico}}:usage:{hour}:slots")] {
        let left: u64 = server.cli(&["ttl", &key]).trim().parse().unwrap();
        let kept = limits::USAGE_RETENTION.as_secs();
        assert!((kept..=kept + 3600).contains(&left), "{left}");
    }
}
