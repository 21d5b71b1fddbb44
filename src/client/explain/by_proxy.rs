//! What a proxy says of a URL, asked through its management listener, and that in lines.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use hyper::Uri;
use serde_json::Value;

use super::Flags;
use crate::client::api::encoded;
use crate::healthz;
use crate::settings::{self, Sources};

/// Longer than a proxy waits for its workers.
const TIMEOUT: Duration = Duration::from_secs(4);

/// `Err` says why there is nothing. `elsewhere`: the API is of another host, whose proxies are not
/// those of this one.
pub async fn told(flags: &Flags, elsewhere: bool) -> Result<Value, String> {
    let management = match flags.management.as_deref() {
        Some("off") => return Err("--management is off".to_owned()),
        Some(given) => given.to_owned(),
        None if elsewhere => {
            return Err("the API is on another host, so name one with --management".to_owned());
        }
        None => of_settings()?,
    };
    let asked = tokio::time::timeout(TIMEOUT, ask(&management, flags));
    match asked.await {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(error)) => match format!("{error:#}") {
            missing if missing.starts_with("404") => {
                Err(format!("{management} is no management listener of a proxy"))
            }
            error => Err(format!("{management}: {error}")),
        },
        Err(_) => Err(format!("{management}: no answer within {} s", TIMEOUT.as_secs())),
    }
}

fn of_settings() -> Result<String, String> {
    let mut collected = settings::collect(Sources::of_environment());
    match settings::management(&mut collected) {
        Ok(Some(listen)) => Ok(healthz::reachable(listen).to_string()),
        Ok(None) => Err("management.listen is off".to_owned()),
        Err(mistakes) => Err(format!("management.listen cannot be read: {mistakes}")),
    }
}

async fn ask(management: &str, flags: &Flags) -> anyhow::Result<Value> {
    let address = resolved(management).await?;
    let mut url = format!(
        "http://{address}/explain?url={}&method={}",
        encoded(&flags.url),
        encoded(&flags.method)
    );
    if let Some(user) = &flags.user {
        url += &format!("&user={}", encoded(user));
    }
    let uri: Uri = url.parse()?;
    let body = healthz::ask(&uri).await?;
    let told: Value = serde_json::from_str(&body).context("it is no proxy of Portico")?;
    anyhow::ensure!(told["answer"]["text"].is_string(), "it is no proxy of Portico");
    Ok(told)
}

/// An address, because a proxy answers this to nobody who comes by a name.
async fn resolved(management: &str) -> anyhow::Result<SocketAddr> {
    let place = management.strip_prefix("http://").unwrap_or(management).trim_end_matches('/');
    let mut found = tokio::net::lookup_host(place).await.context("write HOST:PORT")?;
    found.next().ok_or_else(|| anyhow!("the name has no address"))
}

/// What the API says too, for where it was not asked.
pub fn facts(told: &Value) -> Vec<(String, String)> {
    let (session, upstream) = (&told["session"], &told["upstream"]);
    let facts = [
        ("rule", &told["rule"]),
        ("label", &told["label"]),
        ("session", &session["id"]),
        ("workspace", &session["workspace"]),
        ("state", &session["state"]),
        ("reason", &session["reason"]),
        ("upstream", &upstream["url"]),
    ];
    let known = facts.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
    known.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Name and text of each line of what only a proxy knows.
pub fn lines(told: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: String| lines.push((name.to_owned(), text));
    for listener in list(&told["listeners"]) {
        let how = match word(&listener["takes"]) {
            "directly" => "takes it",
            "behind_balancer" => "takes it from a balancer in front",
            _ => continue,
        };
        line(
            "listener",
            format!("{} {} {how}", word(&listener["scheme"]), word(&listener["address"])),
        );
    }
    let access = &told["access"];
    if access.is_object() {
        let who = access["who_may"].as_str().map(|who| format!(". {who}")).unwrap_or_default();
        let (gate, decision) = (word(&access["gate"]), word(&access["decision"]));
        let user = told["user"].as_str().unwrap_or("nobody known");
        line("gate", format!("{gate}; for {user}: {}{who}", decision.replace('_', " ")));
    }
    if let Some(excess) = told["workspace"]["excess"].as_str() {
        line("limit", format!("{} reached: {excess}", word(&told["workspace"]["name"])));
    }
    list(&told["quotas"]).for_each(|of| line("quota", quota(of)));
    if told["sent"].is_object() {
        let (host, path) = (word(&told["sent"]["host"]), word(&told["sent"]["path"]));
        line("tool sees", format!("{path} of {host}"));
    }
    let answered = &told["workers"]["answered"];
    list(&told["upstream"]["addresses"]).for_each(|of| line("address", address(of, answered)));
    list(&told["errors"]).for_each(|of| line("last error", error(of)));
    let workers = &told["workers"];
    if workers["asked"] != workers["answered"] {
        let (asked, answered) = (&workers["asked"], &workers["answered"]);
        line("workers", format!("only {answered} of {asked} have answered, the rest are busy"));
    }
    lines
}

fn quota(of: &Value) -> String {
    let bucket = word(&of["bucket"]);
    match word(&of["counted_by"]) {
        "value" => {}
        "nothing" => return format!("{bucket}: does not count it"),
        source => return format!("{bucket}: depends on the request's {source}"),
    }
    let mut text = format!("{bucket} {}: {}", word(&of["value"]), word(&of["standing"]));
    if let Some(seconds) = of["retry_after_seconds"].as_u64() {
        text += &format!(" for {seconds} s");
    }
    for usage in list(&of["usage"]) {
        let (used, bytes) = (&usage["used_bytes"], &usage["bytes"]);
        let (seconds, action) = (&usage["window_seconds"], word(&usage["on_exceed"]));
        text += &format!(", {used} of {bytes} bytes in {seconds} s ({action})");
    }
    text
}

fn address(of: &Value, answered: &Value) -> String {
    let mut text = format!("{}: {} idle", word(&of["address"]), of["idle_connections"]);
    if let Some(refused) = of["refused"].as_str() {
        text += &format!("; not allowed: it {refused}");
    }
    if of["workers_backing_off"].as_u64().is_some_and(|workers| workers > 0) {
        let (workers, wait) = (&of["workers_backing_off"], &of["backoff_milliseconds"]);
        let at = format!("at {workers} of {answered} workers");
        text += &format!("; in back-off {at} for {wait} ms yet");
    }
    text
}

fn error(of: &Value) -> String {
    let mut text = format!("{} {}", of["status"], word(&of["reason"]));
    if let Some(connect) = of["connect"].as_str() {
        text += &format!(" ({connect})");
    }
    if let Some(address) = of["address"].as_str() {
        text += &format!(" of {address}");
    }
    let times = if of["count"] == 1 { "once".to_owned() } else { format!("{} times", of["count"]) };
    text + &format!(", {times}, last at {}", word(&of["last_at"]))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_proxy_says_is_read_in_lines() {
        let told = json!({
            "user": null,
            "listeners": [
                { "scheme": "http", "address": "0.0.0.0:8080", "takes": "behind_balancer" },
                { "scheme": "https", "address": "0.0.0.0:8443", "takes": "no" },
            ],
            "access": { "gate": "closed", "decision": "sign_in", "who_may": "It is private." },
            "workspace": { "name": "w", "excess": "workspace_connections" },
            "quotas": [
                { "bucket": "ws", "counted_by": "value", "value": "w", "standing": "denied",
                  "retry_after_seconds": 59, "usage": [{ "bytes": 100, "used_bytes": 150,
                  "window_seconds": 60, "on_exceed": "deny" }] },
                { "bucket": "ip", "counted_by": "client_ip" },
            ],
            "sent": { "host": "h", "path": "/lab" },
            "upstream": { "addresses": [{ "address": "10.0.0.1:80", "idle_connections": 2,
                "refused": null, "workers_backing_off": 1, "backoff_milliseconds": 250 }] },
            "errors": [{ "status": 502, "reason": "upstream_unreachable", "connect": "refused",
                "address": "10.0.0.1:80", "count": 3, "last_at": "T" }],
            "workers": { "asked": 2, "answered": 1 },
        });
        let lines = lines(&told);
        let lines: Vec<_> = lines.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        assert_eq!(
            lines,
            [
                "listener: http 0.0.0.0:8080 takes it from a balancer in front",
                "gate: closed; for nobody known: sign in. It is private.",
                "limit: w reached: workspace_connections",
                "quota: ws w: denied for 59 s, 150 of 100 bytes in 60 s (deny)",
                "quota: ip: depends on the request's client_ip",
                "tool sees: /lab of h",
                "address: 10.0.0.1:80: 2 idle; in back-off at 1 of 1 workers for 250 ms yet",
                "last error: 502 upstream_unreachable (refused) of 10.0.0.1:80, 3 times, last at T",
                "workers: only 1 of 2 have answered, the rest are busy",
            ]
        );
        assert!(super::lines(&Value::Null).is_empty());
    }
}
