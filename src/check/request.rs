//! A real request through a Portico that runs: a session is made through the API, opened by each of
//! its routings as a client does, with a WebSocket, and deleted again. Its tool is this process.

mod tool;

mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hyper::{Method, Uri};
use portico_core::domain::PATH_PREFIX;
use portico_core::workspace::AllowList;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::line::Line;
use super::{Plan, ports};
use crate::client::api::{Api, Call};
use crate::client::place::Place;
use crate::settings::{Settings, TokenSource};
use portico_control::store::StoreSettings;
use tool::Tool;
use wire::{Way, Wire};

const RUNNING: &str = "running";
const OWNER: &str = "portico-check";
/// A check that is killed leaves its session for so long.
const LIFESPAN_SECONDS: u64 = 120;
/// A change is routable within milliseconds, unless the store is slow.
const ROUTABLE_TIMEOUT: Duration = Duration::from_secs(5);
const STEP_TIMEOUT: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(50);

/// Where clients' requests are sent.
#[derive(Debug, Clone)]
pub enum Target {
    /// The listeners of the settings.
    Here,
    At {
        tls: bool,
        host: String,
        port: u16,
    },
}

/// A session, and what proves that it may be opened where a gate is closed.
struct Opened<'a> {
    api: &'a mut Api,
    plan: &'a Plan,
    session: &'a Value,
    wire: Wire,
    word: &'a str,
}

impl Target {
    pub fn of(running: bool, against: Option<&str>) -> anyhow::Result<Option<Self>> {
        let Some(url) = against else { return Ok(running.then_some(Self::Here)) };
        let uri: Uri = url.parse().with_context(|| format!("--against {url}"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(anyhow!("--against {url} is no http or https URL")),
        };
        let host = uri.host().context("--against has no host")?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Some(Self::At { tls, host, port }))
    }

    async fn way(&self, plan: &Plan) -> anyhow::Result<Way> {
        let settings = &plan.settings;
        let (address, tls) = match self {
            Target::At { tls, host, port } => {
                let found = tokio::net::lookup_host((host.as_str(), *port)).await;
                let found = found.with_context(|| format!("{host} does not resolve"))?.next();
                (found.with_context(|| format!("{host} has no address"))?, *tls)
            }
            Target::Here => {
                let all = &settings.proxy.listeners;
                // One that wants no PROXY header, and TLS as browsers have it.
                let best = all.iter().filter(|one| !one.proxy_protocol).max_by_key(|one| one.tls);
                let best = best.context("every listener wants a PROXY header: use --against")?;
                (ports::reachable(best.address), best.tls)
            }
        };
        Ok(Way { address, tls: tls.then(|| wire::trusting(settings)).transpose()? })
    }
}

pub async fn check(plan: Arc<Plan>) -> Vec<Line> {
    let Some(target) = &plan.request else { return Vec::new() };
    let what = match target {
        Target::Here => "the Portico that runs here".to_owned(),
        Target::At { host, port, .. } => format!("{host}:{port}"),
    };
    match through(&plan, target).await {
        Ok(lines) => lines,
        Err(error) => {
            let fix = "start it with these settings; name its API by --api and its token by \
                       PORTICO_TOKEN_FILE";
            vec![Line::machine(RUNNING, what, format!("{error:#}"), fix)]
        }
    }
}

async fn through(plan: &Plan, target: &Target) -> anyhow::Result<Vec<Line>> {
    let way = timeout(STEP_TIMEOUT, target.way(plan)).await.context("DNS does not answer")??;
    let place = place(plan)?;
    let tool = Tool::start(facing(&place, way.address)?).await.context("no port is free")?;
    let mut api = Api::new(place);
    let session = create(&mut api, &plan.settings, &tool).await?;
    let id = session["id"].as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for word in session["routing"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let wire = Wire { way: way.clone() };
        let opened = Opened { api: &mut api, plan, session: &session, wire, word };
        lines.extend(opened.all(&tool).await);
    }
    let deleted =
        timeout(STEP_TIMEOUT, api.send(Call::new(Method::DELETE, SESSIONS, &[&id]))).await;
    if !matches!(deleted, Ok(Ok(_))) {
        let fix = format!("portico session delete {id}; or wait: its lifespan ends it");
        lines.push(Line::warning(
            RUNNING,
            id,
            "the session of this check could not be deleted",
            fix,
        ));
    }
    Ok(lines)
}

const SESSIONS: &str = "/v1/sessions";

/// What the command line and the environment say, else what the settings do.
fn place(plan: &Plan) -> anyhow::Result<Place> {
    let control = &plan.settings.control;
    let scheme = if control.tls.is_some() { "https" } else { "http" };
    let api = format!("{scheme}://{}", ports::reachable(control.listen));
    let token = match (&control.token, &plan.settings.store.settings) {
        (TokenSource::Given(token), _) => Some(token.secret().to_owned()),
        (TokenSource::Kept, StoreSettings::Embedded(directory)) => {
            std::fs::read_to_string(directory.join("token")).ok()
        }
        (TokenSource::Kept, StoreSettings::Redis(_)) => None,
    };
    let place = Place::of_known(&plan.place, &api, token.as_deref());
    place.map_err(|failure| anyhow!(failure.text().unwrap_or_default()))
}

/// Our address as Portico sees it.
fn facing(api: &Place, traffic: SocketAddr) -> anyhow::Result<IpAddr> {
    if traffic.ip().is_loopback() {
        return Ok(traffic.ip());
    }
    // Sends nothing: it asks the kernel which address it would use.
    let socket = std::net::UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect((api.host.as_str(), api.port)).context("the API's host does not resolve")?;
    Ok(socket.local_addr()?.ip())
}

async fn create(api: &mut Api, settings: &Settings, tool: &Tool) -> anyhow::Result<Value> {
    let workspace = match &settings.allowed_workspaces {
        AllowList::Only(names) => names.iter().next().map(|name| name.to_string()),
        AllowList::All => None,
    };
    let body = json!({
        "workspace": workspace.as_deref().unwrap_or(OWNER),
        "owner": OWNER,
        "tool": OWNER,
        "access": "private",
        "upstream": tool.url(),
        "lifespan_seconds": LIFESPAN_SECONDS,
    });
    let call = Call::new(Method::POST, SESSIONS, &[]).json(&body);
    let sent = timeout(STEP_TIMEOUT, api.send(call)).await.context("the API gives no answer")?;
    let answer = sent.and_then(|answer| answer.json());
    answer.map_err(|failure| {
        let text = failure.text().unwrap_or_default();
        anyhow!("the API did not make a session: {text}")
    })
}

impl Opened<'_> {
    fn is_path(&self) -> bool {
        self.word == "path"
    }

    fn label(&self) -> &str {
        self.session["label"].as_str().unwrap_or_default()
    }

    /// `Host`, and the path before the tool's own.
    fn host_and_prefix(&self) -> (String, String) {
        let domains = &self.plan.settings.domains;
        let (label, connect) = (self.label(), &domains.connect);
        let port = connect.port.map(|port| format!(":{port}")).unwrap_or_default();
        match self.is_path() {
            true => (format!("{}{port}", connect.host), format!("{PATH_PREFIX}{label}/")),
            false => (format!("{label}.{}{port}", domains.session_domain), "/".to_owned()),
        }
    }

    async fn all(mut self, tool: &Tool) -> Vec<Line> {
        let (request, socket) = match self.is_path() {
            true => ("request.path", "websocket.path"),
            false => ("request.subdomain", "websocket.subdomain"),
        };
        let (host, prefix) = self.host_and_prefix();
        let what = format!("{host}{prefix}");
        let grant = match timeout(STEP_TIMEOUT, self.grant(&host)).await {
            Ok(Ok(grant)) => grant,
            Ok(Err(error)) => return vec![refused(request, what, &error)],
            Err(_) => return vec![refused(request, what, &anyhow!("no answer to a ticket"))],
        };
        let begun = Instant::now();
        let line = match self.page(&host, &prefix, grant.as_deref(), tool).await {
            Ok(()) => {
                let ms = begun.elapsed().as_millis();
                Line::ok(request, what.clone(), format!("the tool answered ({ms} ms)"))
            }
            Err(error) => return vec![refused(request, what, &error)],
        };
        let target = format!("{prefix}ws");
        let echoed = self.wire.websocket(&host, &target, grant.as_deref(), tool.word());
        let echoed = timeout(STEP_TIMEOUT, echoed).await.unwrap_or_else(|late| Err(late.into()));
        let socket = match echoed {
            Ok(()) => Line::ok(socket, what, "a message went to the tool and came back"),
            Err(error) => {
                let fix = "let every balancer on the way pass `Upgrade: websocket`";
                Line::machine(socket, what, format!("{error:#}"), fix)
            }
        };
        vec![line, socket]
    }

    /// What a program sends instead of a cookie; none where the gate is open.
    async fn grant(&mut self, host: &str) -> anyhow::Result<Option<String>> {
        if !self.plan.settings.access.gate.is_closed() {
            return Ok(None);
        }
        let id = self.session["id"].as_str().unwrap_or_default();
        let call = Call::new(Method::POST, SESSIONS, &[id, "tickets"]);
        let made = self.api.send(call.json(&json!({ "user": OWNER }))).await;
        let made = made.and_then(|answer| answer.json()).map_err(|failure| {
            anyhow!("the API made no ticket: {}", failure.text().unwrap_or_default())
        })?;
        let ticket = made["ticket"].as_str().context("the API's answer has no ticket")?;
        let session = match self.is_path() {
            true => format!("&session={}", self.label()),
            false => String::new(),
        };
        let form = format!("ticket={ticket}{session}");
        let routable = Instant::now() + ROUTABLE_TIMEOUT;
        loop {
            let answer = self.wire.post(host, "/_portico/grant", &form).await?;
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            match said["grant"].as_str() {
                Some(grant) => return Ok(Some(grant.to_owned())),
                // The session, or the key, is not known to this replica yet.
                None if Instant::now() < routable => sleep(POLL).await,
                None => {
                    let (status, why) =
                        (answer.status, said["detail"].as_str().unwrap_or("no more"));
                    return Err(anyhow!("the ticket opens nothing: {status}, {why}"));
                }
            }
        }
    }

    async fn page(
        &self,
        host: &str,
        prefix: &str,
        grant: Option<&str>,
        tool: &Tool,
    ) -> anyhow::Result<()> {
        let routable = Instant::now() + ROUTABLE_TIMEOUT;
        loop {
            let asked = timeout(STEP_TIMEOUT, self.wire.fetch(host, prefix, grant)).await;
            let answer = asked.context("no answer in time")??;
            if answer.status == 200 && answer.body.as_ref() == tool.word().as_bytes() {
                return Ok(());
            }
            if Instant::now() > routable {
                let status = answer.status;
                return Err(match status.is_success() {
                    true => anyhow!("something else than the tool answered with {status}"),
                    false => anyhow!("it is answered with {status}"),
                });
            }
            sleep(POLL).await;
        }
    }
}

fn refused(id: &'static str, what: String, error: &anyhow::Error) -> Line {
    let detail = format!("{error:#}");
    let fix = match detail.contains("certificate") {
        true => "see the line of the certificates; access.ca_file names an authority of your own",
        false => {
            "let clients reach Portico there: names, balancer, firewall; `portico explain` \
                  tells what becomes of a URL"
        }
    };
    Line::machine(id, what, detail, fix)
}
