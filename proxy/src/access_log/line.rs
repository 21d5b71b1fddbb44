//! The two forms of a line. Whatever a client sent ends up inside of quotes with every quote, line
//! break and control character escaped, so that no request can forge a line or steer a terminal.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use portico_core::redact::redact_target;
use serde::Serialize;

use super::Entry;

#[derive(Serialize)]
struct Wire<'a> {
    time: String,
    client: String,
    session: Option<&'a str>,
    host: &'a str,
    method: &'a str,
    target: Cow<'a, str>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    duration_ms: f64,
    upgrade: bool,
    user_agent: Option<&'a str>,
}

pub(super) fn json(entry: &Entry, line: &mut Vec<u8>) {
    let wire = Wire {
        time: time(entry),
        client: entry.client.to_string(),
        session: entry.session.as_ref().map(|label| label.as_str()),
        host: entry.host.as_str(),
        method: entry.method.as_str(),
        target: redact_target(entry.target.as_str()),
        status: entry.status,
        bytes_in: entry.bytes_in,
        bytes_out: entry.bytes_out,
        duration_ms: milliseconds(entry.duration),
        upgrade: entry.upgrade,
        user_agent: entry.user_agent.as_ref().map(|field| field.as_str()),
    };
    serde_json::to_writer(line, &wire).expect("a vector takes every write, and the keys are text");
}

/// Debug quoting escapes what is not printable, the C1 controls and direction marks included.
pub(super) fn text(entry: &Entry, line: &mut Vec<u8>) {
    let session = entry.session.as_ref().map_or("-", |label| label.as_str());
    let agent = entry.user_agent.as_ref().map_or("", |field| field.as_str());
    write!(
        line,
        "time={} client={} session={session} host={:?} method={:?} target={:?} status={} \
         bytes_in={} bytes_out={} duration_ms={} upgrade={} user_agent={agent:?}",
        time(entry),
        entry.client,
        entry.host.as_str(),
        entry.method.as_str(),
        redact_target(entry.target.as_str()),
        entry.status,
        entry.bytes_in,
        entry.bytes_out,
        milliseconds(entry.duration),
        entry.upgrade,
    )
    .expect("a vector takes every write");
}

fn time(entry: &Entry) -> String {
    humantime::format_rfc3339_millis(entry.time).to_string()
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}
