//! `portico replica …`: the Portico processes that share a store.

use clap::Subcommand;

use super::Client;
use super::failure::Outcome;
use super::table::Columns;

pub const EXAMPLES: &str = "Examples:
  portico replica list
  portico replica list --json | jq -r '.[] | select(.alive | not).id'";

#[derive(Subcommand)]
pub enum Action {
    /// List the replicas, and whether each is alive
    List,
}

const COLUMNS: &Columns = &[
    ("ID", "/id"),
    ("ROLE", "/role"),
    ("ALIVE", "/alive"),
    ("HOST", "/host"),
    ("VERSION", "/version"),
    ("STARTED", "/started_at"),
];

pub async fn run(mut client: Client, Action::List: Action) -> Outcome {
    client.out.whole_list(&mut client.api, "/v1/replicas", COLUMNS).await
}
