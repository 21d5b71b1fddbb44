//! What the management listener asks and is asked of a replica, and what it says of its feed in the
//! metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use portico_control::feed::FeedHandle;
use portico_proxy::SharedTable;
use portico_proxy::management::{self, Readiness};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use tokio::sync::Notify;

pub struct Status {
    pub feed: FeedHandle,
    /// None where there is no data plane.
    pub table: Option<SharedTable>,
    pub draining: AtomicBool,
    pub drain_requested: Notify,
}

impl Status {
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub fn management(self: &Arc<Self>, registry: &Registry) -> Router {
        if let Err(error) = registry.register(Box::new(FeedMetrics::new(self.clone()))) {
            tracing::error!(%error, "the feed will not be shown in the metrics");
        }
        let (ready, drain) = (self.clone(), self.clone());
        management::router(
            registry.clone(),
            Arc::new(move || ready.readiness()),
            Arc::new(move || drain.drain_requested.notify_one()),
        )
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

/// Gathered when somebody asks: the feed does not know of metrics.
struct FeedMetrics {
    status: Arc<Status>,
    degraded: IntGauge,
    position: IntGauge,
    snapshots: IntGauge,
    unreadable: IntGauge,
}

impl FeedMetrics {
    fn new(status: Arc<Status>) -> Self {
        let gauge = |name, help| IntGauge::new(name, help).expect("the name is valid");
        Self {
            status,
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

    fn all(&self) -> [&IntGauge; 4] {
        [&self.degraded, &self.position, &self.snapshots, &self.unreadable]
    }
}

impl Collector for FeedMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let status = self.status.feed.status();
        self.degraded.set(i64::from(status.failure.is_some()));
        self.position.set(status.position.0 as i64);
        self.snapshots.set(status.snapshots as i64);
        self.unreadable.set(status.unreadable as i64);
        self.all().into_iter().flat_map(Collector::collect).collect()
    }
}
