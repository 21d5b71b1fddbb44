//! The shape of usage in the OpenAPI document.

use portico_core::usage::Rtt;
use serde_json::{Map, Value, json};

use super::super::schema::{about, answered, count, name, nullable, reference, session_id, time};
use super::sums::{Dimension, Step};

/// In the order of `Counted::numbers`.
pub const NUMBERS: [(&str, &str); 10] = [
    (
        "connections",
        "Client connections that began to serve it. One that goes from session to session counts \
         for each.",
    ),
    ("resets", "Those that were reset by either side, or timed out."),
    ("requests", "Requests that were forwarded."),
    ("bytes_in", "Bytes from clients: TCP payload, TLS with its overhead."),
    ("bytes_out", "Bytes to clients."),
    ("upstream_bytes_in", "Bytes from the session."),
    ("upstream_bytes_out", "Bytes to the session."),
    ("segments_in", "TCP segments from clients."),
    ("segments_out", "TCP segments to clients."),
    ("retransmits", "Segments to clients that had to be sent again."),
];

pub fn by() -> Value {
    words(Dimension::WORDS, Dimension::Workspace.as_str())
}

pub fn step() -> Value {
    words(Step::WORDS, Step::Total.as_str())
}

pub fn format() -> Value {
    json!({ "type": "string", "enum": ["json", "csv"] })
}

fn words(words: &str, default: &str) -> Value {
    let words: Vec<_> = words.split(", ").collect();
    json!({ "type": "string", "enum": words, "default": default })
}

pub fn moment() -> Value {
    json!({
        "type": "string",
        "format": "date-time",
        "examples": ["2026-02-01T09:30:00Z"],
    })
}

pub fn cursor() -> Value {
    json!({ "type": "string", "examples": ["490000,genomics,ada@example.com,3e8370e7"] })
}

pub fn all() -> Vec<(&'static str, Value)> {
    let mut row: Map<String, Value> =
        NUMBERS.iter().map(|(name, about)| ((*name).to_owned(), count(about))).collect();
    let whose = [
        ("at", time("The beginning of the hour or the day (UTC), or `from`.")),
        ("workspace", nullable(name("Null where users are summed up over all.", "genomics"))),
        ("user", nullable(name("The sessions' owner; null unless asked for.", "ada@example.com"))),
        ("session", nullable(about(session_id(), "Null unless asked for."))),
        ("rtt", reference("RoundTripTimes")),
    ];
    row.extend(whose.map(|(name, schema)| (name.to_owned(), schema)));
    let us = |about: &str| nullable(count(about));
    let rtt = json!({
        "minimum_us": us("The least, in microseconds; null without samples."),
        "p50_us": us("Half of the samples are below this power of two."),
        "p90_us": us("Nine in ten."),
        "p99_us": us("99 in a hundred."),
        "samples": count("How many."),
        "buckets": {
            "type": "array",
            "description": "How many took at least 2ⁿ and less than 2ⁿ⁺¹ microseconds, for n from \
                            0 to the last that has one. Differences of two answers tell of the \
                            time between.",
            "items": count("Samples."),
            "maxItems": Rtt::BUCKETS,
        },
    });
    let page = json!({
        "from": time("The beginning of the first hour."),
        "to": time("The end of the last one."),
        "by": by(),
        "step": step(),
        "items": { "type": "array", "items": reference("Usage") },
        "next_cursor": {
            "type": ["string", "null"],
            "description": "The `cursor` of the next page; null on the last one.",
        },
    });
    vec![
        ("UsagePage", answered("What was used.", page, &[])),
        ("Usage", answered("Sums. Where nothing was used there is no row.", row.into(), &[])),
        ("RoundTripTimes", answered("Of client connections, as the kernel sees them.", rtt, &[])),
    ]
}
