//! `portico usage`: what sessions, workspaces and users have used. Sums are the API's; here they
//! get sizes that people read.

use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::Value;

use super::Client;
use super::api::{Call, Page};
use super::failure::{Failure, Outcome};
use super::output::write;
use super::table::{Table, cell};
use super::words::count;

pub const EXAMPLES: &str = "Examples:
  portico usage                                  the last 24 hours, by workspace
  portico usage --from 7d --step day --workspace genomics
  portico usage --by session --user ada --from 1h
  portico usage --by user --from 2026-02-01 --to 2026-03-01 --csv > february.csv
  portico usage --by session --json | jq -r '.[] | select(.retransmits > 1000).session'

Usage is kept by the hour for 35 days, also of sessions that are gone. IN and OUT are bytes from
and to clients, LOST the part of TCP segments that had to be sent again, and RTT the round-trip
time below which half and 99 in a hundred of the samples are. --json and --csv have the exact
numbers, also those towards the sessions.";

#[derive(Args)]
pub struct Flags {
    /// Whose usage is summed up: session, workspace or user [default: workspace]
    #[arg(long, value_name = "WORD")]
    by: Option<String>,
    /// From when: 24h or 7d back, 2026-02-01, or 2026-02-01T09:00:00Z [default: a day before --to]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<String>,
    /// Until when, likewise; both are widened to whole hours [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<String>,
    /// A row for each hour, each day (UTC), or for all of it: hour, day or total [default: total]
    #[arg(long, value_name = "WORD")]
    step: Option<String>,
    /// Only of this workspace
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Only of this owner
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// At most so many rows [default: all]
    #[arg(long, value_name = "N", value_parser = count, conflicts_with = "csv")]
    limit: Option<usize>,
    /// Print comma-separated values with a line of names
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub async fn run(mut client: Client, flags: Flags) -> Outcome {
    if flags.csv {
        let answer = client.api.send(flags.call().query("format", "csv")).await?;
        return write(&answer.body);
    }
    let Client { api, out } = &mut client;
    if out.json {
        return out.list(api, || flags.call(), flags.limit, &[]).await;
    }
    let mut rows = Vec::new();
    api.pages(|| flags.call(), None, flags.limit, |page| read(&page, &mut rows)).await?;
    write(table(&rows, flags.step.is_some()).text().as_bytes())
}

fn read(Page { items, .. }: &Page, rows: &mut Vec<Value>) -> Outcome {
    for item in items {
        rows.push(serde_json::from_str(item.get()).map_err(Failure::ours)?);
    }
    Ok(())
}

impl Flags {
    fn call(&self) -> Call {
        let named = [
            ("by", &self.by),
            ("from", &self.from),
            ("to", &self.to),
            ("step", &self.step),
            ("workspace", &self.workspace),
            ("user", &self.user),
            ("session", &self.session),
        ];
        let given = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.fold(Call::get("/v1/usage", &[]), |call, (name, value)| call.query(name, value))
    }
}

const NAMES: [(&str, &str); 3] =
    [("WORKSPACE", "workspace"), ("USER", "user"), ("SESSION", "session")];
const NUMBERS: [&str; 7] = ["CONNECTIONS", "REQUESTS", "IN", "OUT", "LOST", "RTT-50", "RTT-99"];

/// Only the names that some row has; all have the same.
fn table(rows: &[Value], with_time: bool) -> Table {
    let names: Vec<_> = NAMES
        .into_iter()
        .filter(|(_, name)| rows.iter().any(|row| !row[*name].is_null()))
        .collect();
    let titles = with_time.then_some("AT").into_iter();
    let titles = titles.chain(names.iter().map(|(title, _)| *title)).chain(NUMBERS);
    let mut table = Table::bare();
    table.push(titles.map(str::to_owned).collect());
    for row in rows {
        let mut cells = Vec::new();
        if with_time {
            cells.push(cell(&row["at"]).replace(":00.000Z", "Z"));
        }
        cells.extend(names.iter().map(|(_, name)| cell(&row[*name])));
        let number = |name: &str| row[name].as_u64().unwrap_or_default();
        cells.extend(["connections", "requests"].map(|name| number(name).to_string()));
        cells.extend(["bytes_in", "bytes_out"].map(|name| size(number(name))));
        cells.push(part(number("retransmits"), number("segments_out")));
        cells.extend(["p50_us", "p99_us"].map(|name| milliseconds(&row["rtt"][name])));
        table.push(cells);
    }
    table
}

/// In the largest unit that leaves three digits: `1.25MB`, in powers of a thousand.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes}B");
    }
    let (mut amount, mut unit) = (bytes as f64 / 1e3, 0);
    // What would be shown as 1000 is 1 of the next.
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1e3;
        unit += 1;
    }
    let decimals = match amount {
        amount if amount < 9.995 => 2,
        amount if amount < 99.95 => 1,
        _ => 0,
    };
    format!("{amount:.decimals$}{}", UNITS[unit])
}

pub fn part(of: u64, all: u64) -> String {
    match all {
        0 => "-".to_owned(),
        all => format!("{:.2}%", of as f64 * 100.0 / all as f64),
    }
}

pub fn milliseconds(us: &Value) -> String {
    us.as_u64().map_or_else(|| "-".to_owned(), |us| format!("<{:.1}ms", us as f64 / 1e3))
}

/// `24h` or `7d` back from now, or a day; what is neither is the API's to read.
fn moment(text: &str) -> Result<String, &'static str> {
    moment_at(text, SystemTime::now())
}

fn moment_at(text: &str, now: SystemTime) -> Result<String, &'static str> {
    if humantime::parse_rfc3339(&format!("{text}T00:00:00Z")).is_ok() {
        return Ok(format!("{text}T00:00:00Z"));
    }
    let Ok(back) = humantime::parse_duration(text) else { return Ok(text.to_owned()) };
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = since.checked_sub(back).ok_or("is too far back")?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs());
    Ok(humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1_000, "1.00kB"),
            (9_996, "10.0kB"),
            (99_960, "100kB"),
            (999_499, "999kB"),
            (999_500, "1.00MB"),
            (1_250_000_000, "1.25GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_told_as_people_do() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_593_599_999);
        let at = |text: &str| moment_at(text, now).unwrap();
        assert_eq!(at("2026-02-01"), "2026-02-01T00:00:00Z");
        assert_eq!(at("2026-02-01T09:30:00Z"), "2026-02-01T09:30:00Z");
        assert_eq!(at("0s"), "2026-11-25T07:59:59Z");
        assert_eq!(at("24h"), "2026-11-24T07:59:59Z");
        assert_eq!(at("7d"), "2026-11-18T07:59:59Z");
        assert_eq!(at("yesterday"), "yesterday");
        assert!(moment_at("100y", now).is_err());
    }

    #[test]
    fn a_table_has_the_names_that_were_asked_for() {
        let row = json!({
            "at": "2026-02-01T09:00:00.000Z", "workspace": "genomics", "user": null,
            "session": null, "connections": 3, "requests": 40, "bytes_in": 1_250,
            "bytes_out": 12, "retransmits": 1, "segments_out": 400,
            "rtt": { "p50_us": 1_024, "p99_us": null },
        });
        let wanted = "\
AT                 WORKSPACE  CONNECTIONS  REQUESTS  IN      OUT  LOST   RTT-50  RTT-99
2026-02-01T09:00Z  genomics   3            40        1.25kB  12B  0.25%  <1.0ms  -
";
        assert_eq!(table(&[row], true).text(), wanted);
        let empty = table(&[], false).text();
        assert_eq!(empty, "CONNECTIONS  REQUESTS  IN  OUT  LOST  RTT-50  RTT-99\n");
    }
}
