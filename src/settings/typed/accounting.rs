//! What is counted, how often it is written, and what follows from a session that nobody uses.

use std::time::Duration;

use super::parse;
use crate::settings::collect::Collected;
use crate::settings::mistake::Wrong;
use crate::settings::value::Value;
use crate::settings::{AccountingSettings, POLICY_TEXT, PolicyFile};
use portico_proxy::AccountingChoice;

/// A write to the store for each; and two of them must fit into the shortest `idle_timeout`.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(25));

/// None only when there are mistakes.
pub fn accounting(c: &mut Collected) -> Option<AccountingSettings> {
    let source = c.read("accounting.source", |value| {
        let choice = value.text().parse::<AccountingChoice>();
        choice.map_err(|_| parse::not_one_of(value, AccountingChoice::WORDS))
    });
    let interval =
        c.read("accounting.interval", |value| parse::lifetime(value, INTERVALS.0, INTERVALS.1));
    let session_metrics = c.read("accounting.session_metrics", |value| parse::switch(value.text()));
    let stop_idle = c.read("accounting.on_idle", |value| match value.text() {
        "event" => Ok(false),
        "stop" => Ok(true),
        _ => Err(parse::not_one_of(value, "event, stop")),
    });
    let policy = c.read("quotas.policy", policy);
    Some(AccountingSettings {
        source: source??,
        interval: interval??,
        session_metrics: session_metrics??,
        stop_idle: stop_idle??,
        policy: policy?,
    })
}

/// Read here once, so that its mistakes are told with all others.
fn policy(value: &Value) -> Result<PolicyFile, Wrong> {
    let fix = "correct it, or unset quotas.policy; deploy/QUOTAS.md says how it is written";
    let (path, read) = match value.text().strip_prefix(POLICY_TEXT) {
        Some(text) => (None, PolicyFile::decode(text)),
        None => {
            let path = parse::file(value)?;
            let read = PolicyFile::read(&path);
            (Some(path), read)
        }
    };
    let (policy, notes) = read.map_err(|wrong| Wrong::new(wrong, fix))?;
    Ok(PolicyFile { path, policy, notes })
}
