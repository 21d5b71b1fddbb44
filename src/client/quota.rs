//! `portico quota …`: traffic quotas, and who has used them up.

use clap::Subcommand;

use super::Client;
use super::failure::Outcome;
use super::table::Columns;

pub const EXAMPLES: &str = "Examples:
  portico quota list
  portico quota list --json | jq -r '.[] | select(.clears_at != null).value'";

#[derive(Subcommand)]
pub enum Action {
    /// List the accounts that have used a quota up, or most of it
    #[command(
        long_about = "List the accounts that have used a quota up, or 80 % of it, the fullest \
                      first: those that had traffic through the replica that answers"
    )]
    List,
}

const COLUMNS: &Columns = &[
    ("BUCKET", "/bucket"),
    ("VALUE", "/value"),
    ("USED", "/used_bytes"),
    ("QUOTA", "/quota_bytes"),
    ("SECONDS", "/window_seconds"),
    ("KIND", "/kind"),
    ("ACTION", "/action"),
    ("ENDS", "/window_ends_at"),
    ("CLEARS", "/clears_at"),
];

pub async fn run(mut client: Client, Action::List: Action) -> Outcome {
    client.out.whole_list(&mut client.api, "/v1/quotas", COLUMNS).await
}
