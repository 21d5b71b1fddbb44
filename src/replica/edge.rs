//! Between the workers, who hand requests over, and the edge app, which answers them on the control
//! plane's threads: the one place that knows both.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use portico_control::edge::Edge;
use portico_core::access::{Cause, Grant};
use portico_core::http::decide::Door;
use portico_core::limits;
use portico_core::route::Route;
use portico_core::session::{Name, Timestamp};
use portico_proxy::{EdgeApp, EdgeRequest, EdgeResponse, Ended};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub struct EdgeDoor {
    runtime: Handle,
    edge: Edge,
    connect: Router,
    session: Router,
    /// Requests under way: who comes later is told to try again.
    places: Arc<Semaphore>,
    ended: mpsc::Sender<Ended>,
}

impl EdgeDoor {
    /// To be called on the runtime that answers.
    pub fn new(edge: Edge) -> Self {
        let (ended, received) = mpsc::channel(limits::ENDED_QUEUE_MAX);
        tokio::spawn(write_down(edge.clone(), received));
        let (connect, session) = (edge.connect_router(), edge.session_router());
        let places = Arc::new(Semaphore::new(limits::EDGE_REQUESTS_MAX));
        Self { runtime: Handle::current(), edge, connect, session, places, ended }
    }
}

impl EdgeApp for EdgeDoor {
    fn answer(&self, request: EdgeRequest) -> oneshot::Receiver<EdgeResponse> {
        let (reply, answer) = oneshot::channel();
        // Without a place the sender is dropped, which says that there is no answer.
        let Ok(place) = self.places.clone().try_acquire_owned() else { return answer };
        let router = match request.door {
            Door::Connect => self.connect.clone(),
            Door::Session(_) => self.session.clone(),
        };
        self.runtime.spawn(async move {
            if let Some(response) = ask(router, request).await {
                // The client may have left.
                let _ = reply.send(response);
            }
            drop(place);
        });
        answer
    }

    fn recheck(&self, grant: &Grant, route: &Arc<Route>) -> Option<Timestamp> {
        let _entered = self.runtime.enter();
        self.edge.recheck(grant, route)
    }

    fn ended(&self, ended: Ended) {
        // Beyond the bound a line in the audit log counts too few; the counters count all.
        if self.ended.try_send(ended).is_err() {
            tracing::warn!("an ended connection is missing in the audit log");
        }
    }
}

async fn ask(router: Router, asked: EdgeRequest) -> Option<EdgeResponse> {
    let mut request = Request::builder().method(&*asked.method).uri(&*asked.target);
    if let Some(fields) = request.headers_mut() {
        for (name, value) in &asked.fields {
            let name = HeaderName::try_from(name.as_str());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                fields.append(name, value);
            }
        }
    }
    let request = request.extension(asked.door).body(Body::from(asked.body)).ok()?;
    let answered = TowerToHyperService::new(router).call(request).await;
    let response: Response = match answered {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let (head, body) = response.into_parts();
    let body = to_bytes(body, limits::EDGE_ANSWER_BYTES_MAX).await.ok()?;
    let fields = head.headers.iter();
    let fields = fields.filter(|(name, _)| *name != axum::http::header::CONTENT_LENGTH);
    let fields = fields.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let (status, fields) = (head.status.as_u16(), fields.collect());
    Some(EdgeResponse { status, fields, body: body.to_vec() })
}

/// What of a session, by whom and why.
type Group = (Box<str>, Option<Name>, Cause);

/// One line in the audit log for all connections of a user to a session that ended for one reason.
async fn write_down(edge: Edge, mut ended: mpsc::Receiver<Ended>) {
    while let Some(first) = ended.recv().await {
        // Those of all workers come within a sweep of each other.
        tokio::time::sleep(limits::SWEEP_INTERVAL + Duration::from_millis(50)).await;
        let mut groups: HashMap<Group, (Arc<Route>, u64)> = HashMap::new();
        let mut next = Some(first);
        while let Some(Ended { route, user, cause }) = next {
            let key = (route.session().into(), user, cause);
            groups.entry(key).or_insert((route, 0)).1 += 1;
            next = ended.try_recv().ok();
        }
        for ((_, user, cause), (route, connections)) in groups {
            let of = user.map_or("nobody in particular".to_owned(), |user| user.to_string());
            let cause = cause.as_str();
            tracing::info!(
                session = route.session(),
                user = of,
                cause,
                connections,
                "connections ended"
            );
            edge.note("connections.ended", &route, format!("{connections} of {of}: {cause}"));
        }
    }
}
