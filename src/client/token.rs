//! `portico token …`: who may use the API, and for what. A secret is printed once, by the command
//! that makes it.

use clap::{Args, Subcommand};
use hyper::Method;

use super::Client;
use super::api::{Answer, Call};
use super::failure::Outcome;
use super::table::{Columns, cell};
use super::words::{Body, seconds};

pub const EXAMPLES: &str = "Examples:
  portico token create ci --scope sessions:write --workspace genomics --expires-in 90d
  portico token create ci --scope sessions:read --json | jq -r .token > ci.token
  portico token list
  portico token rotate ci      # the old secret is out of force at once
  portico token revoke ci";

#[derive(Subcommand)]
pub enum Action {
    /// List the tokens, without their secrets
    List,
    Create(Create),
    /// Show what a token may do
    Show(One),
    /// Make a new secret for a token: the old one is out of force at once
    Rotate(One),
    /// Take a token out of force, for ever
    Revoke(One),
}

/// Make a token and print its secret, once
#[derive(Args)]
#[command(after_help = "Examples:
  portico token create platform --scope sessions:write --scope workspaces:write
  portico token create ci --scope sessions:write --workspace genomics --expires-in 90d")]
pub struct Create {
    /// The token's name, which the audit log has
    name: String,
    /// sessions:read, sessions:write, tickets:write, workspaces:write, usage:read or admin; may be
    /// repeated
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// Only in this workspace; may be repeated [default: in all]
    #[arg(long = "workspace", value_name = "NAME")]
    workspaces: Vec<String>,
    /// After how long it is out of force: 90d, 8h, 3600 [default: never]
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expires_in: Option<u64>,
}

#[derive(Args)]
pub struct One {
    /// The token's name
    name: String,
}

const PATH: &str = "/v1/tokens";
const COLUMNS: &Columns = &[
    ("NAME", "/name"),
    ("SCOPES", "/scopes"),
    ("WORKSPACES", "/workspaces"),
    ("CREATED", "/created_at"),
    ("ROTATED", "/rotated_at"),
    ("EXPIRES", "/expires_at"),
];
const ORDER: &[&str] = &["name", "scopes", "workspaces", "created_at", "rotated_at", "expires_at"];

pub async fn run(mut client: Client, action: Action) -> Outcome {
    match action {
        Action::List => client.out.whole_list(&mut client.api, PATH, COLUMNS).await,
        Action::Create(create) => {
            let body = Body::default()
                .with("name", Some(create.name))
                .with_some("scopes", create.scopes)
                .with_some("workspaces", create.workspaces)
                .with("expires_in_seconds", create.expires_in);
            let call = Call::new(Method::POST, PATH, &[]).json(&body.json());
            let token = client.api.send(call).await?;
            client.secret(&token)
        }
        Action::Show(One { name }) => {
            let token = client.api.send(Call::get(PATH, &[&name])).await?;
            client.out.fields(&token, ORDER)
        }
        Action::Rotate(One { name }) => {
            // The element after the name.
            let call = Call::new(Method::POST, PATH, &[&name, "rotate"]);
            let token = client.api.send(call).await?;
            client.secret(&token)
        }
        Action::Revoke(One { name }) => {
            client.api.send(Call::new(Method::DELETE, PATH, &[&name])).await?;
            client.out.done(&format!("The token {name} is out of force."))
        }
    }
}

impl Client {
    fn secret(&self, answer: &Answer) -> Outcome {
        self.out.answer(answer, |token| {
            let (name, secret) = (cell(&token["name"]), cell(&token["token"]));
            let scopes = cell(&token["scopes"]);
            format!(
                "The token {name} ({scopes}):\n\n  {secret}\n\n\
                 Keep it now: it will not be shown again.\n"
            )
        })
    }
}
