//! What the management listener asks and is asked of a replica, and what it says in the metrics of
//! its readiness, its drain and its feed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use portico_control::feed::FeedHandle;
use portico_proxy::management::{self, Readiness};
use portico_proxy::{Explainer, SharedTable, explain};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use tokio::sync::Notify;

pub struct Status {
    feed: FeedHandle,
    /// None where there is no data plane.
    pub table: Option<SharedTable>,
    pub drain_requested: Notify,
    drain_timeout: Duration,
    started_at: u64,
    /// When the drain under way is to have ended; 0 before there is one.
    drain_deadline: AtomicU64,
}

impl Status {
    pub fn new(feed: FeedHandle, table: Option<SharedTable>, drain_timeout: Duration) -> Self {
        Self {
            feed,
            // Without a data plane there is nothing that a drain waits for.
            drain_timeout: if table.is_some() { drain_timeout } else { Duration::ZERO },
            table,
            drain_requested: Notify::new(),
            started_at: unix_seconds(),
            drain_deadline: AtomicU64::new(0),
        }
    }

    pub fn is_draining(&self) -> bool {
        self.drain_deadline.load(Ordering::Acquire) != 0
    }

    /// The first call counts: who asks again does not lengthen a drain.
    pub fn begin_drain(&self) {
        // Not 0, also where the clock is not set.
        let deadline = (unix_seconds() + self.drain_timeout.as_secs()).max(1);
        let _ =
            self.drain_deadline.compare_exchange(0, deadline, Ordering::Release, Ordering::Relaxed);
    }

    /// `explainer` is that of the data plane, where there is one.
    pub fn management(
        self: &Arc<Self>,
        registry: &Registry,
        explainer: Option<Arc<Explainer>>,
    ) -> Router {
        if let Err(error) = registry.register(Box::new(StatusMetrics::new(self.clone()))) {
            tracing::error!(%error, "readiness and feed will not be shown in the metrics");
        }
        let (ready, drain) = (self.clone(), self.clone());
        let router = management::router(
            registry.clone(),
            Arc::new(move || ready.readiness()),
            Arc::new(move || drain.drain_requested.notify_one()),
        );
        match explainer {
            Some(explainer) => router.merge(explain::router(explainer)),
            None => router,
        }
    }

    /// A feed that cannot read the store is told (`degraded`), but is no reason to take traffic
    /// away: the routes in the table still work. Only a replica that never had any is not ready.
    fn readiness(&self) -> Readiness {
        let status = self.feed.status();
        let draining = self.is_draining();
        let feed = serde_json::json!({
            "position": status.position.0,
            "snapshots": status.snapshots,
            "unreadable": status.unreadable,
            "source": status.source.map(|source| source.as_str()),
            "failure": status.failure,
        });
        let mut detail = serde_json::Map::new();
        detail.insert("draining".to_owned(), draining.into());
        detail.insert("degraded".to_owned(), status.failure.is_some().into());
        if let Some(table) = &self.table {
            detail.insert("routes".to_owned(), table.load().len().into());
        }
        detail.insert("feed".to_owned(), feed);
        Readiness { ready: !draining && status.source.is_some(), detail }
    }
}

/// Gathered when somebody asks: neither the replica nor the feed knows of metrics.
struct StatusMetrics {
    status: Arc<Status>,
    started: IntGauge,
    ready: IntGauge,
    draining: IntGauge,
    drain_deadline: IntGauge,
    degraded: IntGauge,
    position: IntGauge,
    snapshots: IntGauge,
    unreadable: IntGauge,
}

impl StatusMetrics {
    fn new(status: Arc<Status>) -> Self {
        let gauge = |name, help| IntGauge::new(name, help).expect("the name is valid");
        Self {
            status,
            started: gauge(
                "portico_start_timestamp_seconds",
                "When this process started, as seconds since 1970",
            ),
            ready: gauge("portico_ready", "Whether /readyz says that this process wants traffic"),
            draining: gauge("portico_draining", "Whether this process is on its way to its end"),
            drain_deadline: gauge(
                "portico_drain_deadline_timestamp_seconds",
                "When the drain under way has to be over, as seconds since 1970, else 0",
            ),
            degraded: gauge(
                "portico_feed_degraded",
                "Whether routes may be behind the store, because it cannot be read",
            ),
            position: gauge("portico_feed_position", "The last change of the store that is known"),
            snapshots: gauge("portico_feed_snapshots", "Times that the whole store was loaded"),
            unreadable: gauge(
                "portico_feed_unreadable",
                "Stored sessions and changes that were skipped because they could not be read",
            ),
        }
    }

    fn all(&self) -> [&IntGauge; 8] {
        [
            &self.started,
            &self.ready,
            &self.draining,
            &self.drain_deadline,
            &self.degraded,
            &self.position,
            &self.snapshots,
            &self.unreadable,
        ]
    }
}

impl Collector for StatusMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let feed = self.status.feed.status();
        self.started.set(self.status.started_at as i64);
        self.ready.set(i64::from(self.status.readiness().ready));
        self.draining.set(i64::from(self.status.is_draining()));
        self.drain_deadline.set(self.status.drain_deadline.load(Ordering::Acquire) as i64);
        self.degraded.set(i64::from(feed.failure.is_some()));
        self.position.set(feed.position.0 as i64);
        self.snapshots.set(feed.snapshots as i64);
        self.unreadable.set(feed.unreadable as i64);
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
