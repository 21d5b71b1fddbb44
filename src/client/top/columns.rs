//! The columns of each pane.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::super::table::cell;
use super::layout::Column;
use super::layout::Kind::{Name, Number};
use super::view::Pane;

const fn name(title: &'static str, spare: u8) -> Column {
    Column { title, kind: Name, spare }
}

const fn number(title: &'static str, spare: u8) -> Column {
    Column { title, kind: Number, spare }
}

const REQUESTS: Column = number("REQ/S", 4);
const IN: Column = number("IN/S", 0);
const OUT: Column = number("OUT/S", 0);
const RTT_50: Column = number("RTT-50", 1);
const RTT_90: Column = number("RTT-90", 3);
const RETRANSMITS: Column = number("RETR/S", 2);
const LOST: Column = number("LOST", 5);
const IN_TOTAL: Column = number("IN", 6);
const OUT_TOTAL: Column = number("OUT", 7);

const SESSION: &[Column] = &[
    name("SESSION", 0),
    name("WORKSPACE", 8),
    name("USER", 9),
    number("OPEN", 1),
    REQUESTS,
    IN,
    OUT,
    RTT_50,
    RTT_90,
    RETRANSMITS,
    LOST,
    IN_TOTAL,
    OUT_TOTAL,
];

const WORKSPACE: &[Column] = &sums("WORKSPACE");
const USER: &[Column] = &sums("USER");

const fn sums(title: &'static str) -> [Column; 11] {
    let sessions = number("SESSIONS", 1);
    let name = name(title, 0);
    [name, sessions, REQUESTS, IN, OUT, RTT_50, RTT_90, RETRANSMITS, LOST, IN_TOTAL, OUT_TOTAL]
}

const REPLICA: &[Column] = &[
    name("REPLICA", 0),
    name("ROLE", 2),
    name("ALIVE", 0),
    name("HOST", 1),
    name("VERSION", 3),
    number("UP", 1),
];

pub fn of(pane: Pane) -> &'static [Column] {
    match pane {
        Pane::Session => SESSION,
        Pane::Workspace => WORKSPACE,
        Pane::User => USER,
        Pane::Replica => REPLICA,
    }
}

/// The cells of a replica as the API describes it.
pub fn replica(replica: &Value, now: SystemTime) -> Vec<String> {
    let started = replica["started_at"].as_str().map(humantime::parse_rfc3339);
    let up = started.and_then(Result::ok).and_then(|started| now.duration_since(started).ok());
    let is_alive = replica["alive"] == true;
    let up = up.filter(|_| is_alive).map_or_else(|| "-".to_owned(), span);
    let mut cells = ["id", "role", "alive", "host", "version"].map(|f| cell(&replica[f])).to_vec();
    cells.push(up);
    cells
}

/// In its two largest units: `3days 4h`.
fn span(time: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
