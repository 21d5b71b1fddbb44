//! `GET /v1/events`: changes as server-sent events (HTML Living Standard §9.2), resumed by
//! `Last-Event-ID`. The id of an event is its position in the change log.

pub mod schema;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};
use portico_core::domain::Domains;
use portico_core::limits;
use portico_core::record::{Document, DocumentKey, Kind as DocumentKind, Record};
use portico_core::session::Name;
use portico_core::workspace::{AllowList, Limits, StoredAllowList};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Api;
use super::auth::By;
use super::problem::{Kind, Problem};
use super::request::{position, query};
use super::wire::{self, rfc3339};
use crate::clock;
use crate::events::Next;
use crate::replica::Replica;
use crate::store::{Change, Entry, Position};

/// Listeners at the moment; each holds a connection for as long as it likes.
#[derive(Default)]
pub struct Listeners(AtomicUsize);

struct Listener(Arc<Api>);

pub async fn listen(
    State(api): State<Arc<Api>>,
    by: By,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (workspace, from_query) = read(&uri)?;
    if let Some(workspace) = &workspace {
        by.require_workspace(workspace)?;
    }
    let after = match headers.get("last-event-id") {
        Some(id) => Some(id.to_str().ok().and_then(position).ok_or_else(|| {
            Problem::new(Kind::InvalidRequest, format!("Last-Event-ID {NO_EVENT}"))
        })?),
        None => from_query,
    };
    let listener = Listener::begin(api.clone())?;
    let after = after.unwrap_or_else(|| api.settings.events.newest());
    let filter = Filter { workspace, by };
    let stream = stream(listener, filter, after);
    let keep_alive = KeepAlive::new().interval(limits::EVENT_KEEP_ALIVE);
    Ok(Sse::new(stream).keep_alive(keep_alive).into_response())
}

/// For which workspace, and behind which event.
pub fn read(uri: &Uri) -> Result<(Option<Name>, Option<Position>), Problem> {
    let mut fields = query(uri)?;
    let workspace = fields.parsed("workspace");
    let after = fields.checked("after", |text| position(text).ok_or(NO_EVENT));
    match fields.complete("is not a parameter of the event stream") {
        true => Ok((workspace, after)),
        false => Err(fields.into_problem()),
    }
}

const NO_EVENT: &str = "is not the id of an event of this stream";

impl Listener {
    fn begin(api: Arc<Api>) -> Result<Self, Problem> {
        let listeners = &api.listeners.0;
        let room = |now: usize| (now < limits::EVENT_LISTENERS_MAX).then_some(now + 1);
        match listeners.fetch_update(Ordering::AcqRel, Ordering::Acquire, room) {
            Ok(_) => Ok(Self(api)),
            Err(now) => {
                let detail = format!("{now} listeners are there already");
                Err(Problem::new(Kind::TooManyListeners, detail)
                    .retry_after(limits::EVENT_KEEP_ALIVE))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listeners.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A comment at once, so that a client knows that it is heard before anything happens. It ends with
/// the token that it was asked for with: nothing else would look at that again.
fn stream(
    listener: Listener,
    filter: Filter,
    after: Position,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let waiting = VecDeque::from([Event::default().id(after.0.to_string()).comment("listening")]);
    let begin = (listener, filter, after, waiting);
    unfold(begin, async |(listener, filter, mut after, mut waiting)| {
        let settings = &listener.0.settings;
        let is_allowed = || settings.keyring.holds(&filter.by.caller, clock::now());
        while waiting.is_empty() && is_allowed() {
            let next = settings.events.next(after);
            let Ok(next) = timeout(limits::EVENT_TOKEN_CHECK, next).await else { continue };
            match next? {
                Next::Missed(position) => {
                    after = position;
                    let reason = "older changes are not kept any more: read what you need anew";
                    waiting.push_back(event(position, "reset", &json!({ "reason": reason })));
                }
                Next::Entries(entries) => {
                    after = entries.last().map_or(after, |entry| entry.position);
                    waiting.extend(entries.iter().filter_map(|entry| {
                        let (name, data) = filter.told(entry, &settings.domains)?;
                        Some(event(entry.position, name, &data))
                    }));
                }
            }
        }
        // A slow reader may have asked for it long ago.
        let next = if is_allowed() { waiting.pop_front()? } else { return None };
        Some((Ok(next), (listener, filter, after, waiting)))
    })
}

fn event(position: Position, name: &str, data: &Value) -> Event {
    Event::default().id(position.0.to_string()).event(name).data(data.to_string())
}

/// What one listener is told.
struct Filter {
    workspace: Option<Name>,
    by: By,
}

impl Filter {
    fn wants(&self, workspace: &Name) -> bool {
        self.workspace.as_ref().is_none_or(|wanted| wanted == workspace)
            && self.by.caller.reaches(workspace)
    }

    fn told(&self, entry: &Entry, domains: &Domains) -> Option<(&'static str, Value)> {
        let at = rfc3339(entry.at);
        let (name, mut data) = match &entry.change {
            Change::Put(record) if self.wants(&record.session.workspace) => {
                let session = &record.session;
                let name = match session.created_at == session.changed_at {
                    true => "session.created",
                    false if session.has_become_idle() => "session.idle",
                    false => "session.changed",
                };
                (name, about_session(record, domains))
            }
            Change::Deleted(record) if self.wants(&record.session.workspace) => {
                ("session.deleted", about_session(record, domains))
            }
            Change::Put(_)
            | Change::Deleted(_)
            | Change::Gone(_)
            | Change::Forgotten(_)
            | Change::Noted
            | Change::Unreadable(_) => return None,
            Change::DocumentPut(document) => self.document(document)?,
            Change::DocumentDeleted(key) => self.deleted(key)?,
        };
        data["at"] = json!(at);
        Some((name, data))
    }

    fn document(&self, document: &Document) -> Option<(&'static str, Value)> {
        let Document { key: DocumentKey { kind, name }, body, .. } = document;
        Some(match kind {
            DocumentKind::AllowList => {
                // What cannot be read here was told to the log by those who obey it.
                let allowed = match StoredAllowList::decode(body).ok()?.list {
                    AllowList::All => Value::Null,
                    AllowList::Only(names) => {
                        let reached = names.iter().filter(|name| self.wants(name));
                        reached.map(|name| json!(name.as_str())).collect()
                    }
                };
                ("workspaces.changed", json!({ "allowed": allowed }))
            }
            DocumentKind::Workspace if self.wants(name) => {
                let limits = Limits::decode(body).ok()?;
                let data = json!({
                    "workspace": name.as_str(),
                    "sessions_max": limits.sessions_max,
                    "connections_max": limits.connections_max,
                    "requests_per_second_max": limits.requests_per_second_max,
                    "bytes_per_second_max": limits.bytes_per_second_max,
                });
                ("workspace.changed", data)
            }
            DocumentKind::Template => ("template.changed", json!({ "template": name.as_str() })),
            DocumentKind::Replica => {
                let role = Replica::decode(body).ok()?.role.as_str();
                ("replica.started", json!({ "replica": name.as_str(), "role": role }))
            }
            // Who may use the API is in the audit log, for administrators.
            DocumentKind::Token
            | DocumentKind::Store
            | DocumentKind::Workspace
            | DocumentKind::SigningKey
            | DocumentKind::Revocation
            | DocumentKind::Client => return None,
        })
    }

    fn deleted(&self, DocumentKey { kind, name }: &DocumentKey) -> Option<(&'static str, Value)> {
        Some(match kind {
            DocumentKind::AllowList => ("workspaces.reset", json!({})),
            DocumentKind::Workspace if self.wants(name) => {
                ("workspace.deleted", json!({ "workspace": name.as_str() }))
            }
            DocumentKind::Template => ("template.deleted", json!({ "template": name.as_str() })),
            DocumentKind::Replica => ("replica.ended", json!({ "replica": name.as_str() })),
            DocumentKind::Token
            | DocumentKind::Store
            | DocumentKind::Workspace
            | DocumentKind::SigningKey
            | DocumentKind::Revocation
            | DocumentKind::Client => return None,
        })
    }
}

fn about_session(record: &Record, domains: &Domains) -> Value {
    json!({ "session": wire::session(record, domains), "version": record.version.0 })
}
