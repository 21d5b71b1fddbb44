//! What is found in the words of the answer: JSON whose members are documented in deploy/README.md.
//! Nothing in it is what clients have sent, and no name of a user but the owner's and the asked
//! one's.

use std::time::{Duration, UNIX_EPOCH};

use portico_core::domain::Scheme;
use portico_core::http::client::Client;
use portico_core::http::decide::{By, Install};
use portico_core::http::forward::{Identity, write_request_head};
use portico_core::http::request::Request;
use portico_core::network::UpstreamNetworks;
use portico_core::quota::{Counted, Forecast, Standing, Usage};
use portico_core::route::Route;
use portico_core::session::{HostHeader, Prefix, Timestamp};
use serde_json::{Value, json};

use super::ask::{Known, OfAddress};
use super::asked::Asked;
use super::inquiry::{AccessWord, Found, Outcome};
use crate::last_errors::Happened;
use crate::metrics::labels::LabelValue;
use crate::pages::Page;
use crate::settings::ListenerSettings;

/// What the tool would see of the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) host: String,
    /// Without the query.
    pub(super) path: String,
}

/// Read off the head that a worker would write.
pub(super) fn sent(request: &Request<'_, '_>, route: &Route, by: By, client: &Client) -> Sent {
    let mut head = Vec::new();
    write_request_head(&mut head, request, route, by, client, Identity::default());
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.split("\r\n");
    let target = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let host = lines.find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default();
    Sent { host: host.to_owned(), path: target.split('?').next().unwrap_or_default().to_owned() }
}

pub(super) fn told(
    asked: &Asked,
    found: &Found,
    known: &Known,
    listeners: &[ListenerSettings],
    (install, networks): (Install<'_>, &UpstreamNetworks),
) -> Value {
    let route = found.route.as_deref();
    let sent = found.sent.as_ref().map(|sent| json!({ "host": sent.host, "path": sent.path }));
    json!({
        "url": asked.shown(),
        "method": asked.method.as_str(),
        "user": asked.user.as_ref().map(|user| user.as_str()),
        "listeners": listeners.iter().map(|one| listener(one, asked)).collect::<Vec<_>>(),
        "rule": found.rule.as_str(),
        "label": found.label,
        "session": route.map(session),
        "access": route.map(|route| access(route, found, install)),
        "workspace": route.map(|route| workspace(route, found)),
        "quotas": found.quotas.iter().map(quota).collect::<Vec<_>>(),
        "sent": sent,
        "upstream": route.map(|route| upstream(route, known, networks)),
        "errors": known.errors.iter().map(error).collect::<Vec<_>>(),
        "workers": route.map(|_| json!({ "asked": known.asked, "answered": known.answered })),
        "answer": answer(found, known),
    })
}

fn listener(listener: &ListenerSettings, asked: &Asked) -> Value {
    let scheme = if listener.tls { Scheme::Https } else { Scheme::Http };
    let takes = match (asked.scheme, scheme) {
        _ if scheme == asked.scheme && listener.address.port() == asked.port => "directly",
        // Nobody puts TLS around what has none.
        (Scheme::Http, Scheme::Https) => "no",
        // One that listens elsewhere, ends TLS, or both.
        (Scheme::Https, _) | (Scheme::Http, Scheme::Http) => "behind_balancer",
    };
    json!({
        "scheme": scheme.as_str(),
        "address": listener.address,
        "proxy_protocol": listener.proxy_protocol,
        "takes": takes,
    })
}

fn session(route: &Route) -> Value {
    json!({
        "id": route.session(),
        "workspace": route.workspace.name.as_str(),
        "owner": route.owner.as_str(),
        "tool": route.tool.as_str(),
        "state": route.state.as_str(),
        "reason": route.reason,
        "routing": route.routing.words(),
        "host_header": match route.host_header {
            HostHeader::Preserve => "preserve",
            HostHeader::Upstream => "upstream",
        },
        "prefix": match route.prefix {
            Prefix::Keep => "keep",
            Prefix::Strip => "strip",
        },
        "created_at": time(route.created_at),
    })
}

fn access(route: &Route, found: &Found, Install { gate, .. }: Install<'_>) -> Value {
    let who_may = found.by.filter(|_| gate.is_closed()).map(|by| gate.who_may(route, by));
    json!({
        "gate": if gate.is_closed() { "closed" } else { "open" },
        "policy": route.access.policy.as_str(),
        "path_sharing": gate.path_sharing,
        "public_sessions": gate.public_sessions,
        "decision": found.access.as_str(),
        "who_may": who_may,
    })
}

fn workspace(route: &Route, found: &Found) -> Value {
    let workspace = &route.workspace;
    let page = found.excess.map(|excess| Page::of_excess(excess, route));
    json!({
        "name": workspace.name.as_str(),
        "allowed": workspace.is_allowed(),
        "limited": workspace.is_limited(),
        "connections": workspace.is_limited().then(|| workspace.connections()),
        "excess": page.and_then(|page| page.reason).map(LabelValue::as_str),
    })
}

fn quota(forecast: &Forecast) -> Value {
    let bucket = forecast.bucket.as_str();
    match &forecast.counted {
        Counted::NotHere => json!({ "bucket": bucket, "counted_by": "nothing" }),
        Counted::ByRequest(source) => json!({ "bucket": bucket, "counted_by": source }),
        Counted::As { value, standing, usage } => {
            let (word, retry_after, pace) = match standing {
                Standing::Open => ("open", None, None),
                Standing::Warned { .. } => ("warned", None, None),
                Standing::Throttled { bytes_per_second, .. } => {
                    ("throttled", None, Some(bytes_per_second.get()))
                }
                Standing::Denied { retry_after, .. } => ("denied", Some(*retry_after), None),
            };
            json!({
                "bucket": bucket,
                "counted_by": "value",
                "value": value,
                "standing": word,
                "retry_after_seconds": retry_after.map(|wait| wait.as_millis().div_ceil(1_000)),
                "bytes_per_second": pace,
                "usage": usage.iter().map(of_quota).collect::<Vec<_>>(),
            })
        }
    }
}

fn of_quota(usage: &Usage) -> Value {
    let Usage { quota, used, clears_at, .. } = usage;
    json!({
        "bytes": quota.bytes.get(),
        "window_seconds": quota.span.length.as_secs(),
        "kind": quota.span.kind.as_str(),
        "on_exceed": quota.on_exceed.as_str(),
        "used_bytes": used,
        "clears_at": clears_at.map(time),
    })
}

fn upstream(route: &Route, known: &Known, networks: &UpstreamNetworks) -> Value {
    let address = |of: &OfAddress| {
        json!({
            "address": of.address,
            "refused": networks.check(of.address).err().map(|refused| refused.to_string()),
            "idle_connections": of.idle,
            "workers_backing_off": of.backing_off,
            "backoff_milliseconds": of.backoff.as_millis(),
        })
    };
    json!({
        "url": route.upstream.to_string(),
        "addresses": known.addresses.iter().map(address).collect::<Vec<_>>(),
    })
}

fn error(happened: &Happened) -> Value {
    let Happened { error, count, first_at, last_at } = happened;
    json!({
        "status": error.status,
        "reason": error.reason.as_str(),
        "connect": error.attempt.failed.map(LabelValue::as_str),
        "address": error.attempt.address,
        "count": count,
        "first_at": time(*first_at),
        "last_at": time(*last_at),
    })
}

fn answer(found: &Found, known: &Known) -> Value {
    let (status, reason, text) = match &found.outcome {
        Outcome::EdgeApp => {
            (None, None, "a page of Portico's own, for signing in and out".to_owned())
        }
        Outcome::Page(page) => {
            let reason = page.reason.map(LabelValue::as_str);
            (Some(page.status), reason, of_page(page, reason))
        }
        Outcome::ToSession => (None, None, to_session(found, known)),
    };
    let text = match (found.access, &found.outcome) {
        (AccessWord::IfMember, Outcome::ToSession | Outcome::Page(_)) => {
            format!("{text} (if the user is a member of the workspace)")
        }
        _ => text,
    };
    json!({ "status": status, "reason": reason, "text": text })
}

fn of_page(page: &Page, reason: Option<&str>) -> String {
    match (page.status, reason) {
        (303, _) => "303: to sign in, and back".to_owned(),
        (308, _) => "308: to the same with a slash at its end".to_owned(),
        (status, None) => format!("{status}: {}", page.detail().trim_end()),
        (status, Some(reason)) => {
            format!("{status} {reason}: {}. {}", page.title(), page.detail())
        }
    }
}

fn to_session(found: &Found, known: &Known) -> String {
    let upstream = found.route.as_ref().map(|route| route.upstream.to_string());
    let mut text = format!("sent to {}", upstream.unwrap_or_default());
    // One address that somebody tries is enough.
    let tried = known.addresses.iter().any(|of| of.backing_off < known.answered);
    let longest = known.addresses.iter().map(|of| of.backoff).max();
    if let Some(longest) = longest.filter(|_| !tried && known.answered > 0) {
        let milliseconds = longest.as_millis();
        text += &format!("; 502 for up to {milliseconds} ms yet, because it was not reachable");
    }
    text
}

/// RFC 3339.
fn time(Timestamp(milliseconds): Timestamp) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(milliseconds);
    humantime::format_rfc3339_millis(time).to_string()
}
