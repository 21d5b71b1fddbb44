//! `portico access …`: the keys of grants, and taking grants back.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::json;

use super::Client;
use super::api::Call;
use super::failure::Outcome;
use super::table::{Columns, cell};

pub const EXAMPLES: &str = "Examples:
  portico access revoke bob@example.com      # out of every session at once
  portico access keys
  portico access keys --rotate";

#[derive(Subcommand)]
pub enum Action {
    Revoke(Revoke),
    Keys(Keys),
}

/// Take back all that comes of a user's sign-ins until now: grants, tickets, open connections
#[derive(Args)]
#[command(after_help = "Examples:
  portico access revoke bob@example.com

The user can sign in again. To keep somebody out of a session, change its access, too:
  portico session change 3e8370e7 --access private")]
pub struct Revoke {
    /// Who
    user: String,
}

/// List the keys that grants are signed with, or make a new one
#[derive(Args)]
#[command(after_help = "Examples:
  portico access keys
  portico access keys --rotate      # what the old ones signed stays valid")]
pub struct Keys {
    /// Make a new key, which signs as soon as every replica knows it
    #[arg(long)]
    rotate: bool,
}

const KEYS: &str = "/v1/access/keys";
const COLUMNS: &Columns = &[("ID", "/id"), ("SIGNS-FROM", "/signs_from")];

pub async fn run(mut client: Client, action: Action) -> Outcome {
    match action {
        Action::Revoke(Revoke { user }) => {
            let call = Call::new(Method::POST, "/v1/access/revocations", &[]);
            let answer = client.api.send(call.json(&json!({ "user": user }))).await?;
            client.out.answer(&answer, |revocation| {
                let (user, before) = (cell(&revocation["user"]), cell(&revocation["before"]));
                format!("All that came of sign-ins of {user} until {before} is taken back.\n")
            })
        }
        Action::Keys(Keys { rotate: false }) => {
            client.out.whole_list(&mut client.api, KEYS, COLUMNS).await
        }
        Action::Keys(Keys { rotate: true }) => {
            let answer = client.api.send(Call::new(Method::POST, KEYS, &[])).await?;
            client.out.answer(&answer, |key| {
                let (id, from) = (cell(&key["id"]), cell(&key["signs_from"]));
                format!("The key {id} signs from {from}.\n")
            })
        }
    }
}
