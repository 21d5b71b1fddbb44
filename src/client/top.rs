//! `portico top`: who uses the edge just now, in the manner of top(1). Below are the parts: what
//! was counted (`rows`), rates of it (`history`), what is asked for (`ask`), what is looked at
//! (`view`, `columns`, `keys`), how it is drawn (`layout`, `document`), and the terminal (`live`,
//! `screen`).

mod rows;

mod history;

mod ask;
mod view;

mod columns;
mod keys;
mod layout;

mod document;
mod live;
mod screen;

use std::io::IsTerminal;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;

use super::Client;
use super::failure::Outcome;
use super::follow::until_asked;
use super::output::write;
use super::words::count;
use ask::{Asker, Only};
use view::{Pane, Sort, View};

pub const EXAMPLES: &str = "Examples:
  portico top                                     a live view of sessions, busiest first
  portico top --by workspace --sort requests --interval 5s
  portico top --workspace genomics                only of this one
  portico top --once | head -4                    one plain table, after 10 to 25 seconds
  portico top --once --over 0s                    the same at once, with sums and without rates
  portico top --json | jq -c '.items[0] | [.session, .per_second.bytes_out]'

Keys: s w u r, or Tab: sessions, workspaces, users, replicas. < > or arrows to the left and right:
the order; - turns it round. Arrows up and down, PgUp, PgDn, Home: other rows. Space asks at once,
Ctrl-Z stops it until fg, q or Ctrl-C ends it.

Replicas write down what they have counted every 10 seconds (the setting accounting.interval), so
numbers move that often, however short --interval is. A rate (/S) is what came between two such
changes, by the time between them, of at least about --over: until two have been seen there is none
and rows are in the order of their sums. Where replicas write less often, --over must be as long.

IN and OUT are bytes from and to clients, the sums since the hour before the running one began. RTT
is the round-trip time below which half and 90 in a hundred of the samples are, in steps of two;
RETR the TCP segments that had to be sent again, and LOST their part of all; these, too, are of the
time of the rates. OPEN is open connections, of the first 100 rows. --json has one document a line
for each refresh, with the exact numbers. Scopes: usage:read, and sessions:read for OPEN.";

#[derive(Args)]
pub struct Flags {
    /// Whose numbers are summed up, or the list of replicas
    #[arg(long, value_enum, value_name = "WORD", default_value_t = Pane::Session)]
    by: Pane,
    /// What the first row has most of
    #[arg(long, value_enum, value_name = "WORD", default_value_t = Sort::Bytes)]
    sort: Sort,
    /// How long to wait before the API is asked again
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Over how long rates are at least; 0s: none
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = over)]
    over: Duration,
    /// Only of this workspace
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Only of this owner
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// At most so many rows [default: as many as the window has; 50 where there is none]
    #[arg(long, value_name = "N", value_parser = count)]
    limit: Option<usize>,
    /// Print one table, or with --json one document, and end; so where output is no terminal
    #[arg(long)]
    once: bool,
}

/// Where there is no window.
const ROWS: usize = 50;

pub async fn run(client: Client, flags: Flags) -> Outcome {
    let Client { api, out } = client;
    let only = Only { workspace: flags.workspace.clone(), user: flags.user.clone() };
    let asker = Asker::new(api, only, flags.over);
    let view = View {
        pane: flags.by,
        sort: flags.sort,
        reversed: false,
        skipped: 0,
        rows_max: flags.limit.unwrap_or(ROWS),
    };
    if out.json && !flags.once {
        return until_asked(documents(asker, &view, flags.interval)).await;
    }
    if out.json || flags.once || !std::io::stdout().is_terminal() {
        return once(asker, &view, &flags, out.json).await;
    }
    until_asked(live::run(asker, view, flags.limit, flags.interval)).await
}

/// When rates are known, or when something should have come long ago: an edge where nothing happens
/// has no changes to tell rates from.
async fn once(mut asker: Asker, view: &View, flags: &Flags, json: bool) -> Outcome {
    let deadline = Instant::now() + flags.over * 5 / 2;
    while view.pane.dimension().is_some() {
        asker.usage().await?;
        let knows = flags.over.is_zero() || asker.seen().rates.is_some();
        if knows || Instant::now() >= deadline {
            break;
        }
        tokio::time::sleep(flags.interval.min(flags.over / 4)).await;
    }
    asker.details(view).await?;
    let (seen, now) = (asker.seen(), SystemTime::now());
    if json {
        return write(document::of(view, &seen, now, None).as_bytes());
    }
    let (columns, rows) = seen.table(view, &seen.sorted(view), now);
    let lines = layout::lines(columns, &rows, usize::MAX);
    write((lines.join("\n") + "\n").as_bytes())
}

/// Until somebody ends it. A refresh that fails has a document that says so, but the first, which
/// ends it.
async fn documents(mut asker: Asker, view: &View, interval: Duration) -> Outcome {
    let mut is_first = true;
    loop {
        let begun = Instant::now();
        let failed = refresh(&mut asker, view).await.err();
        let reason = match failed {
            Some(failure) if is_first => return Err(failure),
            failed => failed.map(|failure| failure.text().unwrap_or_default()),
        };
        is_first = false;
        let document = document::of(view, &asker.seen(), SystemTime::now(), reason.as_deref());
        write(document.as_bytes())?;
        let next = rested(begun).max(begun + interval);
        tokio::time::sleep_until(next.into()).await;
    }
}

async fn refresh(asker: &mut Asker, view: &View) -> Outcome {
    if view.pane.dimension().is_some() {
        asker.usage().await?;
    }
    asker.details(view).await
}

/// The API is not kept busy for more than half of the time.
fn rested(begun: Instant) -> Instant {
    Instant::now() + begun.elapsed()
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_millis(200) => Err("is less than 200ms".to_owned()),
        interval => Ok(interval),
    }
}

fn over(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        long if long > Duration::from_secs(600) => Err("is more than 10m".to_owned()),
        over => Ok(over),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u32>().map(|seconds| Duration::from_secs(seconds.into()));
    let parsed = seconds.or_else(|_| humantime::parse_duration(text));
    parsed.map_err(|error| format!("{error}; write 2s, 500ms or seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_bounds() {
        assert_eq!(interval("2"), Ok(Duration::from_secs(2)));
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert!(interval("0").is_err() && interval("soon").is_err());
        assert_eq!(over("0s"), Ok(Duration::ZERO));
        assert!(over("1h").is_err());
    }
}
