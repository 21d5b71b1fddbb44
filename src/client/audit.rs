//! `portico audit`: who changed what. The log is a list, so to follow it is to ask for what is
//! behind the last line, again and again.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::Client;
use super::api::{Call, Item, Page};
use super::failure::{Failure, Outcome};
use super::follow::{Pauses, until_asked};
use super::output::{Output, write};
use super::table::{Columns, Table, cell};
use super::words::count;

pub const EXAMPLES: &str = "Examples:
  portico audit --last 20
  portico audit --follow                 until Ctrl-C
  portico audit --after 4711 --limit 100
  portico audit --json | jq -c 'select(.actor == \"ci\")'

With --json each record is a line.";

#[derive(Args)]
pub struct Flags {
    /// Go on with what is written from now on
    #[arg(long)]
    follow: bool,
    /// Begin behind the record at this position [default: with the oldest]
    #[arg(long, value_name = "POSITION", conflicts_with = "last")]
    after: Option<String>,
    /// Only the newest N [default: all; with --follow: 10]
    #[arg(long, value_name = "N", value_parser = count)]
    last: Option<usize>,
    /// At most so many
    #[arg(long, value_name = "N", value_parser = count, conflicts_with_all = ["follow", "last"])]
    limit: Option<usize>,
}

const COLUMNS: &Columns = &[
    ("POSITION", "/position"),
    ("AT", "/at"),
    ("ACTOR", "/actor"),
    ("ADDRESS", "/address"),
    ("ACTION", "/action"),
    ("SUBJECT", "/subject"),
    ("WORKSPACE", "/workspace"),
    ("DETAIL", "/detail"),
];
/// As `tail` has it.
const LAST: usize = 10;
const POLL_INTERVAL: Duration = Duration::from_secs(2);

pub async fn run(client: Client, flags: Flags) -> Outcome {
    let mut reader = Reader { client, after: flags.after.clone() };
    if !flags.follow {
        return reader.once(&flags).await;
    }
    until_asked(reader.follow(&flags)).await
}

struct Reader {
    client: Client,
    /// The position of the newest record that was read.
    after: Option<String>,
}

impl Reader {
    async fn once(&mut self, flags: &Flags) -> Outcome {
        let (out, mut table) = (self.client.out, Table::new(COLUMNS));
        let mut tell = |items: &[Item]| match out.json {
            true => print(out, items),
            false => items.iter().try_for_each(|item| {
                table.push_item(COLUMNS, &parsed(item)?);
                Ok(())
            }),
        };
        match flags.last {
            Some(last) => tell(&self.newest(last).await?)?,
            None => self.read(flags.limit, |page| tell(&page.items)).await?,
        }
        if out.json { Ok(()) } else { write(table.text().as_bytes()) }
    }

    async fn follow(&mut self, flags: &Flags) -> Outcome {
        let out = self.client.out;
        if self.after.is_none() {
            // A failure here is one of the command line more than of the moment.
            print(out, &self.newest(flags.last.unwrap_or(LAST)).await?)?;
        }
        let mut pauses = Pauses::new();
        loop {
            match self.read(None, |page| print(out, &page.items)).await {
                Ok(()) => {
                    pauses.reset();
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                Err(failure) => pauses.after(failure, None).await?,
            }
        }
    }

    /// The API has the oldest first, so all are read.
    async fn newest(&mut self, last: usize) -> Outcome<Vec<Item>> {
        let mut kept = VecDeque::new();
        self.read(None, |page| {
            kept.extend(page.items);
            kept.drain(..kept.len().saturating_sub(last));
            Ok(())
        })
        .await?;
        Ok(kept.into())
    }

    /// What is behind the newest that was read.
    async fn read(
        &mut self,
        items_max: Option<usize>,
        mut each: impl FnMut(Page) -> Outcome,
    ) -> Outcome {
        let (api, from) = (&mut self.client.api, self.after.clone());
        let after = &mut self.after;
        let list = || Call::get("/v1/audit", &[]);
        api.pages(list, from, items_max, |page| {
            if let Some(item) = page.items.last() {
                *after = parsed(item)?["position"].as_u64().map(|position| position.to_string());
            }
            each(page)
        })
        .await
    }
}

/// A line for each.
fn print(out: Output, items: &[Item]) -> Outcome {
    let mut text = String::new();
    for item in items {
        if out.json {
            text.push_str(item.get());
        } else {
            let record = parsed(item)?;
            let cells = COLUMNS.iter().filter_map(|(_, place)| record.pointer(place)).map(cell);
            text.push_str(&cells.collect::<Vec<_>>().join("  "));
        }
        text.push('\n');
    }
    write(text.as_bytes())
}

fn parsed(item: &Item) -> Outcome<Value> {
    serde_json::from_str(item.get()).map_err(Failure::ours)
}
