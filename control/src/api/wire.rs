//! Sessions as JSON: what a client sends becomes domain types here, once, and the other way round.
//! Domain types do not derive `Serialize`; the shapes below are the API's promise.

mod access;
mod difference;
mod list;
pub mod schema;

use std::collections::BTreeMap;

use portico_core::access::Access;
use portico_core::domain::Domains;
use portico_core::label::{Label, SessionId};
use portico_core::limits;
use portico_core::network::UpstreamNetworks;
use portico_core::record::Record;
use portico_core::session::{
    HostHeader, Idle, IdleError, Labels, Lifespan, LifespanError, Name, Prefix, Routing, Session,
    State, Timestamp,
};
use portico_core::template::Image;
use portico_core::upstream::Upstream;
use serde::Serialize;

use super::ApiSettings;
use super::fields::{Fields, Null};
use super::problem::{Kind, Problem};
pub use crate::clock::rfc3339;

pub use difference::difference;
pub use list::{page, query};

/// The body of `POST /v1/sessions`: a session but for its id and label, which may still have to be
/// drawn.
pub struct Draft {
    pub id: Option<SessionId>,
    pub label: Option<Label>,
    pub workspace: Name,
    owner: Name,
    tool: Name,
    image: Option<Box<str>>,
    labels: Labels,
    upstream: Upstream,
    state: State,
    reason: Option<String>,
    /// None: as the settings say, as far as the tool can.
    pub routing: Option<Routing>,
    host_header: HostHeader,
    prefix: Prefix,
    access: Access,
    lifespan_seconds: u64,
    idle_timeout_seconds: u64,
}

/// The body of `PATCH /v1/sessions/{id}` (RFC 7396, JSON merge patch).
pub struct Patch {
    state: Option<State>,
    /// `Some(None)`: taken away.
    reason: Option<Option<String>>,
    upstream: Option<Upstream>,
    routing: Option<Routing>,
    host_header: Option<HostHeader>,
    prefix: Option<Prefix>,
    image: Option<Option<Box<str>>>,
    labels: Option<Labels>,
    access: access::Given,
    /// From the change on; 0 is unlimited.
    lifespan_seconds: Option<u64>,
    /// Likewise.
    idle_timeout_seconds: Option<u64>,
}

#[derive(Serialize)]
pub struct SessionJson {
    id: String,
    version: u64,
    label: String,
    workspace: String,
    owner: String,
    tool: String,
    image: Option<String>,
    labels: BTreeMap<String, String>,
    upstream: String,
    state: &'static str,
    reason: Option<String>,
    routing: &'static [&'static str],
    host_header: &'static str,
    strip_prefix: bool,
    access: &'static str,
    allowed_users: Vec<String>,
    lifespan_seconds: u64,
    expires_at: Option<String>,
    idle_timeout_seconds: u64,
    idle_since: Option<String>,
    urls: Urls,
    created_at: String,
    changed_at: String,
}

#[derive(Serialize)]
struct Urls {
    #[serde(skip_serializing_if = "Option::is_none")]
    subdomain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

const UNKNOWN_FIELD: &str = "is not a field that this version knows";

impl Draft {
    pub fn parse(body: &[u8], settings: &ApiSettings) -> Result<Self, Problem> {
        let mut fields = Fields::from_json(body, Null::Absent)?;
        for field in ["workspace", "owner", "tool", "upstream"] {
            fields.require(field);
        }
        let id = fields.checked("id", SessionId::parse);
        let label = fields.checked("label", Label::parse);
        check_reserved(&mut fields, id.as_ref(), label.as_ref(), &settings.domains);
        let workspace = fields.parsed("workspace");
        let owner = fields.parsed("owner");
        let tool = fields.parsed("tool");
        let image = fields.checked("image", image);
        let labels = fields.texts("labels", |pairs| Labels::of_pairs(pairs)).unwrap_or_default();
        let lifespan_seconds = fields.number("lifespan_seconds", lifespan).unwrap_or(0);
        let idle_timeout_seconds = fields.number("idle_timeout_seconds", idle).unwrap_or(0);
        let upstream = upstream(&mut fields, &settings.upstream_networks);
        let state = fields.parsed("state").unwrap_or(State::Running);
        let reason = fields.checked("reason", reason).flatten();
        let routing = fields.words("routing", |words| Routing::from_words(words));
        let host_header = fields.parsed("host_header").unwrap_or(HostHeader::Preserve);
        let prefix = fields.boolean("strip_prefix").map_or(Prefix::Keep, prefix);
        let access = access::Given::read(&mut fields, settings).or(settings.default_policy);
        let complete = fields.complete(UNKNOWN_FIELD);
        let (true, Some(workspace), Some(owner), Some(tool), Some(upstream)) =
            (complete, workspace, owner, tool, upstream)
        else {
            return Err(fields.into_problem());
        };
        Ok(Self {
            id,
            label,
            workspace,
            owner,
            tool,
            image,
            labels,
            upstream,
            state,
            reason,
            routing,
            host_header,
            prefix,
            access,
            lifespan_seconds,
            idle_timeout_seconds,
        })
    }

    pub fn session(
        &self,
        id: SessionId,
        label: Label,
        routing: Routing,
        now: Timestamp,
    ) -> Session {
        let Self { workspace, owner, tool, upstream, .. } = self;
        let (workspace, owner, tool) = (workspace.clone(), owner.clone(), tool.clone());
        Session {
            label,
            state: self.state,
            reason: self.reason.clone(),
            routing: self.routing.unwrap_or(routing),
            host_header: self.host_header,
            prefix: self.prefix,
            access: self.access.clone(),
            image: self.image.clone(),
            labels: self.labels.clone(),
            lifespan: Lifespan::starting(now, self.lifespan_seconds).unwrap_or_default(),
            idle: Idle::starting(now, self.idle_timeout_seconds).unwrap_or_default(),
            ..Session::new(id, workspace, owner, tool, upstream.clone(), now)
        }
    }
}

impl Patch {
    pub fn parse(body: &[u8], settings: &ApiSettings) -> Result<Self, Problem> {
        let mut fields = Fields::from_json(body, Null::Refused)?;
        for field in ["id", "label", "workspace", "owner", "tool"] {
            fields.refuse(field, "is fixed when the session is created");
        }
        let reason = match fields.is_null("reason") {
            true => Some(None),
            false => fields.checked("reason", reason),
        };
        let patch = Self {
            state: fields.parsed("state"),
            reason,
            upstream: upstream(&mut fields, &settings.upstream_networks),
            routing: fields.words("routing", |words| Routing::from_words(words)),
            host_header: fields.parsed("host_header"),
            prefix: fields.boolean("strip_prefix").map(prefix),
            image: match fields.is_null("image") {
                true => Some(None),
                false => fields.checked("image", image).map(Some),
            },
            labels: match fields.is_null("labels") {
                true => Some(Labels::default()),
                false => fields.texts("labels", |pairs| Labels::of_pairs(pairs)),
            },
            access: access::Given::read(&mut fields, settings),
            lifespan_seconds: match fields.is_null("lifespan_seconds") {
                true => Some(0),
                false => fields.number("lifespan_seconds", lifespan),
            },
            idle_timeout_seconds: match fields.is_null("idle_timeout_seconds") {
                true => Some(0),
                false => fields.number("idle_timeout_seconds", idle),
            },
        };
        if fields.complete(UNKNOWN_FIELD) { Ok(patch) } else { Err(fields.into_problem()) }
    }

    /// The changed session, or None when it is so already. A reason belongs to its state, so a new
    /// state without one clears it; a session that starts again has its lifespan before it.
    pub fn apply(&self, before: &Session, now: Timestamp) -> Result<Option<Session>, Problem> {
        let mut after = before.clone();
        if let Some(state) = self.state.filter(|state| *state != before.state) {
            check_step(before.state, state)?;
            after.state = state;
            after.reason = None;
            after.restart_idle(now);
            if before.state.is_over() {
                after.restart_lifespan(now);
            }
        }
        if let Some(reason) = &self.reason {
            after.reason = reason.clone();
        }
        if let Some(upstream) = &self.upstream {
            after.upstream = upstream.clone();
        }
        if let Some(image) = &self.image {
            after.image = image.clone();
        }
        if let Some(labels) = &self.labels {
            after.labels = labels.clone();
        }
        if let Some(seconds) = self.lifespan_seconds {
            // Checked when it was read.
            after.lifespan = Lifespan::starting(now, seconds).unwrap_or_default();
        }
        if let Some(seconds) = self.idle_timeout_seconds {
            after.idle = Idle::starting(now, seconds).unwrap_or_default();
        }
        after.access = self.access.over(&after.access);
        after.routing = self.routing.unwrap_or(after.routing);
        after.host_header = self.host_header.unwrap_or(after.host_header);
        after.prefix = self.prefix.unwrap_or(after.prefix);
        if after == *before {
            return Ok(None);
        }
        // A clock that was set back does not make a change look older than the one before.
        after.changed_at = now.max(Timestamp(before.changed_at.0 + 1));
        Ok(Some(after))
    }
}

fn check_step(from: State, to: State) -> Result<(), Problem> {
    if from.may_become(to) {
        return Ok(());
    }
    let followers: Vec<_> = from.followers().iter().map(|state| state.as_str()).collect();
    let (from, to) = (from.as_str(), to.as_str());
    let detail = format!("{from} cannot become {to}, only one of {}", followers.join(", "));
    Err(Problem::new(Kind::IllegalStep, detail))
}

pub fn session(record: &Record, domains: &Domains) -> SessionJson {
    let session = &record.session;
    let (subdomain, path) = domains.urls(&session.label, session.routing);
    SessionJson {
        id: session.id.to_string(),
        version: record.version.0,
        label: session.label.to_string(),
        workspace: session.workspace.to_string(),
        owner: session.owner.to_string(),
        tool: session.tool.to_string(),
        image: session.image.as_deref().map(str::to_owned),
        labels: session.labels.pairs().map(|(name, value)| (name.into(), value.into())).collect(),
        upstream: session.upstream.to_string(),
        state: session.state.as_str(),
        reason: session.reason.clone(),
        routing: session.routing.words(),
        host_header: session.host_header.as_str(),
        strip_prefix: session.prefix == Prefix::Strip,
        access: session.access.policy.as_str(),
        allowed_users: session.access.users.iter().map(Name::to_string).collect(),
        lifespan_seconds: session.lifespan.map_or(0, |lifespan| lifespan.seconds),
        expires_at: session.lifespan.map(|lifespan| rfc3339(lifespan.ends_at)),
        idle_timeout_seconds: session.idle.map_or(0, |idle| idle.timeout_seconds),
        idle_since: session.idle.and_then(|idle| idle.since).map(rfc3339),
        urls: Urls { subdomain, path },
        created_at: rfc3339(session.created_at),
        changed_at: rfc3339(session.changed_at),
    }
}

fn upstream(fields: &mut Fields, networks: &UpstreamNetworks) -> Option<Upstream> {
    let upstream: Upstream = fields.parsed("upstream")?;
    // A name is looked up, and its address judged, at each connect.
    match upstream.address().map(|address| networks.check(address)) {
        Some(Err(refused)) => fields.invalid("upstream", refused.to_string()),
        Some(Ok(())) | None => Some(upstream),
    }
}

fn check_reserved(
    fields: &mut Fields,
    id: Option<&SessionId>,
    label: Option<&Label>,
    domains: &Domains,
) {
    match (label, id) {
        (Some(label), _) if domains.is_reserved(label) => {
            fields.invalid::<()>("label", "is the name of the connect host")
        }
        (None, Some(id)) if domains.is_reserved(&Label::of(id)) => {
            fields.invalid::<()>("id", "makes a label that is the name of the connect host")
        }
        _ => None,
    };
}

fn image(text: &str) -> Result<Box<str>, String> {
    if text.len() > limits::IMAGE_BYTES_MAX {
        return Err(format!("is longer than {} bytes", limits::IMAGE_BYTES_MAX));
    }
    Image::parse(text).map_err(|error| error.to_string())?;
    Ok(text.into())
}

fn lifespan(seconds: u64) -> Result<u64, LifespanError> {
    Lifespan::starting(Timestamp(0), seconds)?;
    Ok(seconds)
}

fn idle(timeout_seconds: u64) -> Result<u64, IdleError> {
    Idle::starting(Timestamp(0), timeout_seconds)?;
    Ok(timeout_seconds)
}

/// An empty reason is none.
fn reason(text: &str) -> Result<Option<String>, String> {
    if text.len() > limits::REASON_BYTES_MAX {
        return Err(format!("is longer than {} bytes", limits::REASON_BYTES_MAX));
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character".to_owned());
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

fn prefix(strip: bool) -> Prefix {
    if strip { Prefix::Strip } else { Prefix::Keep }
}
