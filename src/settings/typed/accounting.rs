//! What is counted, how often it is written, and what follows from a session that nobody uses.

use std::time::Duration;

use portico_core::limits;

use super::parse;
use crate::settings::collect::Collected;
use crate::settings::mistake::Wrong;
use crate::settings::value::Value;
use crate::settings::{AccountingSettings, POLICY_TEXT, PolicyFile};
use portico_proxy::AccountingChoice;

/// A write to the store for each. The longest so that a session is not found idle before its use
/// was written down, also when a write failed.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), limits::METER_INTERVAL_MAX);

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
    let (path, seen, read) = match value.text().strip_prefix(POLICY_TEXT) {
        Some(text) => (None, None, PolicyFile::decode(text)),
        None => {
            let path = parse::file(value)?;
            let (seen, read) = (PolicyFile::look(&path), PolicyFile::read(&path));
            (Some(path), seen, read)
        }
    };
    let (policy, notes) = read.map_err(|wrong| Wrong::new(wrong, fix))?;
    Ok(PolicyFile { path, seen, policy, notes })
}
