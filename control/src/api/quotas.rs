//! The handler of `/v1/quotas`: what is counted of traffic, and who is over or near.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use portico_core::limits;
use portico_core::quota::{
    Action, Bucket, Extractor, Kind, Ledger, Protocol, Quota, Source, TokenPlace, Unverified, Usage,
};
use portico_core::session::Timestamp;
use serde_json::{Value, json};

use super::Api;
use super::auth::By;
use super::problem::Problem;
use super::schema::{about, answered, count, flag, name, nullable, reference, time};
use super::wire::rfc3339;
use crate::clock;
use crate::replica::present::{self, Near};

/// From here on an account is near.
const NEAR_PERCENT: u64 = 80;

pub async fn list(State(api): State<Arc<Api>>, by: By) -> Result<Response, Problem> {
    by.require_unbounded()?;
    let ledger = &api.settings.quotas;
    let mut items = BTreeMap::new();
    let own = near(ledger, clock::now(), limits::QUOTAS_LISTED_MAX);
    // Who counts is a replica with workers, which this one may not be.
    let beats = api.store.beating().await?;
    let mut complete = own.complete;
    let told = beats.iter().map(|beat| present::quotas(&beat.note));
    let told = told.flat_map(|near| {
        complete &= near.complete;
        near.items
    });
    for item in own.items.into_iter().chain(told) {
        let kept = items.entry(identity(&item)).or_insert(Value::Null);
        if used(&item) >= used(kept) {
            *kept = item;
        }
    }
    let mut items: Vec<Value> = items.into_values().collect();
    items.sort_by(|a, b| fullness(b).total_cmp(&fullness(a)));
    complete &= items.len() <= limits::QUOTAS_LISTED_MAX;
    items.truncate(limits::QUOTAS_LISTED_MAX);
    let buckets: Vec<_> = ledger.policy().buckets.iter().map(bucket).collect();
    Ok(Json(json!({ "buckets": buckets, "items": items, "complete": complete })).into_response())
}

/// The fullest accounts of a process, as the API shows them.
pub fn near(ledger: &Ledger, now: Timestamp, max: usize) -> Near {
    let usage = ledger.usage(NEAR_PERCENT, now);
    Near { items: usage.iter().take(max).map(account).collect(), complete: usage.len() <= max }
}

/// Which quota of which account.
fn identity(item: &Value) -> String {
    let names = ["bucket", "value", "action", "kind", "window_seconds", "quota_bytes"];
    Value::from_iter(names.map(|name| (name, item[name].clone()))).to_string()
}

fn used(item: &Value) -> u64 {
    item["used_bytes"].as_u64().unwrap_or_default()
}

fn fullness(item: &Value) -> f64 {
    used(item) as f64 / item["quota_bytes"].as_u64().unwrap_or(1).max(1) as f64
}

fn account(usage: &Usage) -> Value {
    let Usage { bucket, value, quota, used, ends_at, clears_at, .. } = usage;
    json!({
        "bucket": bucket.as_str(),
        "value": value,
        "used_bytes": used,
        "quota_bytes": quota.bytes,
        "window_seconds": quota.span.length.as_secs(),
        "kind": quota.span.kind.as_str(),
        "action": quota.on_exceed.as_str(),
        "window_ends_at": ends_at.map(rfc3339),
        "clears_at": clears_at.map(rfc3339),
    })
}

fn bucket(bucket: &Bucket) -> Value {
    json!({
        "name": bucket.name.as_str(),
        "quotas": bucket.quotas.iter().map(quota).collect::<Vec<_>>(),
        "extractors": bucket.extractors.iter().map(extractor).collect::<Vec<_>>(),
    })
}

fn quota(quota: &Quota) -> Value {
    let bytes_per_second = match quota.on_exceed {
        Action::Throttle { bytes_per_second } => Some(bytes_per_second),
        Action::Warn | Action::Deny => None,
    };
    json!({
        "bytes": quota.bytes,
        "window_seconds": quota.span.length.as_secs(),
        "kind": quota.span.kind.as_str(),
        "on_exceed": quota.on_exceed.as_str(),
        "bytes_per_second": bytes_per_second,
    })
}

fn extractor(extractor: &Extractor) -> Value {
    let mut source = match &extractor.source {
        Source::Header { name } => json!({ "name": name }),
        Source::Permissions { field } => json!({ "field": field }),
        Source::Jwt { token, claim, unverified } => {
            let token = match token {
                TokenPlace::Field(name) => format!("header:{name}"),
                TokenPlace::Cookie(name) => format!("cookie:{name}"),
                TokenPlace::Either(name) => name.to_string(),
            };
            let accept = *unverified == Unverified::OfAnybody;
            json!({ "token": token, "claim": claim, "accept_unverified": accept })
        }
        Source::ClientIp | Source::Workspace | Source::Session | Source::User => json!({}),
    };
    source["type"] = json!(extractor.source.kind());
    json!({ "protocol": extractor.protocol.as_str(), "source": source })
}

pub fn schemas() -> Vec<(&'static str, Value)> {
    let words =
        |words: &str| json!({ "type": "string", "enum": words.split(", ").collect::<Vec<_>>() });
    let kind = || about(words(Kind::WORDS), "Whether the window slides.");
    let action = || about(words(Action::WORDS), "What happens beyond it.");
    let text = |description: &str| json!({ "type": "string", "description": description });
    let array = |of: &str| json!({ "type": "array", "items": reference(of) });
    let account = json!({
        "bucket": name("The bucket.", "user"),
        "value": text("Whose: `other` are those who found no room of their own."),
        "used_bytes": count("In the window, both directions, on all replicas."),
        "quota_bytes": count("How many it may use."),
        "window_seconds": count("Length of the window."),
        "kind": kind(),
        "action": action(),
        "window_ends_at": nullable(time("When a fixed window ends.")),
        "clears_at": nullable(time("Where it is used up: when it is free, if all is still.")),
    });
    let quota = json!({
        "bytes": count("How many."),
        "window_seconds": count("In which time."),
        "kind": kind(),
        "on_exceed": action(),
        "bytes_per_second": nullable(count("The pace of who is throttled.")),
    });
    let source = json!({
        "type": "object",
        "description": "As in the policy: its `type`, and what that type needs.",
    });
    let extractor = json!({ "protocol": words(Protocol::WORDS), "source": source });
    let bucket = json!({
        "name": name("Its name.", "user"),
        "quotas": array("Quota"),
        "extractors": array("QuotaExtractor"),
    });
    let all = json!({
        "buckets": array("QuotaBucket"),
        "items": array("QuotaAccount"),
        "complete": flag("Whether all of them are listed."),
    });
    vec![
        ("Quota", answered("So many bytes in a time.", quota, &[])),
        ("QuotaExtractor", answered("What tells traffic apart.", extractor, &[])),
        ("QuotaBucket", answered("What is counted together.", bucket, &[])),
        ("QuotaAccount", answered("A quota that somebody has used up, or nearly.", account, &[])),
        ("Quotas", answered("The policy in force, and who is over or near.", all, &[])),
    ]
}
