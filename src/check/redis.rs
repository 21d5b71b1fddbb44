//! The Redis as Portico would find it, which is not changed by that. What is refused at the start
//! and what is warned of is judged by the store itself.

use std::sync::Arc;
use std::time::Duration;

use portico_control::store::redis::{ACL_RULES, Foreign};
use portico_control::store::{
    Probe, RedisFailure, RedisOptions, StoreError, StoreSettings, Subject, probe,
};
use portico_proxy::Fault;

use super::line::{Line, Status};
use super::{Plan, clock};
use crate::failure;

const REDIS: &str = "redis";

/// In one data centre an answer takes half a millisecond. Each write of the API waits for two.
const LATENCY_MAX: Duration = Duration::from_millis(20);

pub async fn check(plan: Arc<Plan>) -> Vec<Line> {
    let StoreSettings::Redis(options) = &plan.settings.store.settings else { return Vec::new() };
    let probe = match probe(options).await {
        Ok(probe) => probe,
        Err(failure) => return vec![unusable(options, failure)],
    };
    let address = probe.address.clone();
    let mut lines = vec![Line::ok(REDIS, address.clone(), "it is reached, and takes the login")];
    lines.extend(judged(&probe));
    lines.push(rights(options, &probe));
    lines.push(separate(&address, &probe.foreign));
    lines.push(latency(&address, probe.latency));
    lines.push(clock::compared("clock.redis", address, probe.clock_ahead_ms));
    lines
}

/// As a start would tell it.
fn told(failure: RedisFailure) -> (String, String, Fault) {
    let error = StoreError::Redis(failure);
    let fault = if error.is_settings() { Fault::Settings } else { Fault::Machine };
    let (key, fix) = failure::key_and_fix(&error);
    (format!("{:#}", anyhow::Error::from(error)), format!("{key}: {fix}"), fault)
}

fn unusable(options: &RedisOptions, failure: RedisFailure) -> Line {
    let what = portico_control::store::redis::without_password(&options.url);
    let is_away = failure.is_passing() || matches!(failure, RedisFailure::Silent);
    let (detail, fix, fault) = told(failure);
    let fix = match is_away {
        true => "start it, or correct store.url; then look at names, routes and firewalls".into(),
        false => fix,
    };
    Line { status: Status::Failed(fault), ..Line::warning(REDIS, what, detail, fix) }
}

fn judged(probe: &Probe) -> impl Iterator<Item = Line> {
    probe.judged.iter().filter_map(|(subject, verdict)| {
        let (id, fine) = match subject {
            Subject::Mode => ("redis.mode", String::new()),
            Subject::Version => ("redis.version", probe.version.clone()),
            Subject::Eviction => ("redis.eviction", "nothing that Portico needs".to_owned()),
            Subject::Persistence => ("redis.persistence", "it keeps what it acknowledged".into()),
            Subject::Replicas => ("redis.replicas", String::new()),
        };
        let address = probe.address.clone();
        match verdict {
            // Nothing worth a line.
            Ok(None) if fine.is_empty() => None,
            Ok(None) => Some(Line::ok(id, address, fine)),
            Ok(Some(warning)) => {
                let (detail, fix) = parted(warning, "set ");
                Some(Line::warning(id, address, detail, fix))
            }
            Err(failure) => {
                let (detail, fix, fault) = told(failure.clone());
                let (detail, fix) = match subject {
                    Subject::Version => (detail, "take a Redis of version 7".to_owned()),
                    Subject::Eviction => parted(&detail, "set "),
                    _ => (detail, fix),
                };
                Some(Line {
                    status: Status::Failed(fault),
                    ..Line::warning(id, address, detail, fix)
                })
            }
        }
    })
}

/// The store's texts end with what to do.
fn parted(text: &str, begin: &str) -> (String, String) {
    match text.rfind(begin) {
        Some(at) => {
            let detail = text[..at].trim_end().trim_end_matches([':', ';']);
            (detail.to_owned(), text[at..].to_owned())
        }
        None => (text.to_owned(), "see deploy/README.md, \"What the Redis must be\"".to_owned()),
    }
}

fn rights(options: &RedisOptions, probe: &Probe) -> Line {
    let id = "redis.rights";
    if probe.forbidden.is_empty() {
        return Line::ok(id, probe.address.clone(), "all commands that Portico uses are allowed");
    }
    let names: Vec<_> = probe.forbidden.iter().map(|name| name.to_lowercase()).collect();
    let detail = format!("this user may not use {}", names.join(", "));
    let fix = format!("ACL SETUSER … ~{{{}}}:* {ACL_RULES}", options.prefix);
    Line::settings(id, probe.address.clone(), detail, fix)
}

fn separate(address: &str, foreign: &Foreign) -> Line {
    let id = "redis.separate";
    let Foreign { keys, databases, is_unknown } = foreign;
    let mut found = Vec::new();
    if !keys.is_empty() {
        found.push(format!(
            "keys of other programs are in Portico's database ({})",
            keys.join(", ")
        ));
    }
    if !databases.is_empty() {
        found.push(format!("{} of it hold something", databases.join(", ")));
    }
    if found.is_empty() {
        let detail = match is_unknown {
            true => "no other database holds anything; in its own this user may not look",
            false => "nobody else keeps anything there",
        };
        return Line::ok(id, address, detail);
    }
    let fix = "give Portico a Redis of its own, apart from the Platform's: memory, eviction and a \
               FLUSHALL are of the whole server";
    Line::warning(id, address, found.join("; "), fix)
}

fn latency(address: &str, latency: Duration) -> Line {
    let id = "redis.latency";
    let detail = format!("an answer takes {:.1} ms", latency.as_secs_f64() * 1_000.0);
    match latency > LATENCY_MAX {
        true => Line::warning(id, address, detail, "have it in the same network as Portico"),
        false => Line::ok(id, address, detail),
    }
}
