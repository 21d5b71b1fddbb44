//! A refresh as one line of JSON: the exact numbers of what the table rounds.

use std::collections::BTreeMap;
use std::time::SystemTime;

use portico_core::usage::{Counted, Rtt};
use serde_json::{Value, json};

use super::view::{Pane, Row, Seen, View};

/// `failed` is why the numbers are those of the refresh before.
pub fn of(view: &View, seen: &Seen, now: SystemTime, failed: Option<&str>) -> String {
    let items: Vec<_> = match view.pane {
        Pane::Replica => seen.replicas[view.range(seen.replicas.len())].to_vec(),
        Pane::Session | Pane::Workspace | Pane::User => {
            let sorted = seen.sorted(view);
            let shown = sorted[view.range(sorted.len())].iter();
            shown.map(|row| item(seen, view.pane, row)).collect()
        }
    };
    let over = seen.over().map(|over| over.as_millis() as f64 / 1e3);
    let from = Some(&seen.from).filter(|from| !from.is_empty());
    let document = json!({
        "at": humantime::format_rfc3339_millis(now).to_string(),
        "by": view.pane.word(),
        "from": from,
        "rates_over_seconds": over,
        "failed": failed,
        "items": items,
    });
    format!("{document}\n")
}

fn item(seen: &Seen, pane: Pane, Row { whose, sessions, total, came }: &Row) -> Value {
    let name = |name: &String| Some(name).filter(|name| !name.is_empty()).cloned();
    let rtt = &came.as_ref().unwrap_or(total).rtt;
    let mut item = json!({
        "workspace": name(&whose.workspace),
        "user": name(&whose.user),
        "rtt": round_trips(rtt),
        "total": BTreeMap::from(numbers(total)),
        "per_second": rates(came.as_ref(), seen),
    });
    match pane {
        Pane::Session => {
            item["session"] = json!(whose.session);
            let open = seen.open.get(&whose.session);
            item["open"] = json!(open.map(|[requests, websockets, upgrades]| json!({
                "requests": requests, "websockets": websockets, "upgrades": upgrades,
            })));
        }
        Pane::Workspace | Pane::User | Pane::Replica => item["sessions"] = json!(sessions),
    }
    item
}

fn rates(came: Option<&Counted>, seen: &Seen) -> Value {
    let (Some(came), Some(over)) = (came, seen.over()) else { return Value::Null };
    let per_second = |number: u64| json!(number as f64 / over.as_secs_f64().max(f64::MIN_POSITIVE));
    numbers(came).into_iter().map(|(name, number)| (name.to_owned(), per_second(number))).collect()
}

fn numbers(counted: &Counted) -> [(&'static str, u64); 7] {
    [
        ("connections", counted.connections),
        ("requests", counted.requests),
        ("bytes_in", counted.bytes_in),
        ("bytes_out", counted.bytes_out),
        ("retransmits", counted.retransmits),
        ("segments_out", counted.segments_out),
        ("resets", counted.resets),
    ]
}

fn round_trips(rtt: &Rtt) -> Value {
    json!({
        "p50_us": rtt.quantile_us(0.5),
        "p90_us": rtt.quantile_us(0.9),
        "samples": rtt.samples(),
    })
}
