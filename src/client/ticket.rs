//! `portico ticket …`: the way into a session for one user, once, without a sign-in. It is printed
//! by the command that makes it and nowhere else.

use clap::{Args, Subcommand};
use hyper::Method;

use super::Client;
use super::api::Call;
use super::failure::Outcome;
use super::table::cell;
use super::words::{Body, seconds};

pub const EXAMPLES: &str = "Examples:
  portico ticket create 3e8370e7 --user ada@example.com
  portico ticket create 3e8370e7 --user bob@example.com --to /lab --json | jq -r .urls.subdomain";

#[derive(Subcommand)]
pub enum Action {
    Create(Create),
}

/// Make a ticket and print the URLs to open with it
#[derive(Args)]
#[command(after_help = "Examples:
  portico ticket create 3e8370e7 --user ada@example.com
  portico ticket create 3e8370e7 --user bob@example.com --member --to '/lab/tree/a.ipynb'

It opens the session once, within a minute, if the session's access lets this user in then.")]
pub struct Create {
    /// The session's id
    session: String,
    /// Who is let in
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Where to go on the session [default: /]
    #[arg(long, value_name = "PATH")]
    to: Option<String>,
    /// Say that the user is of the session's workspace
    #[arg(long)]
    member: bool,
    /// How long it can be used: 1 to 60 seconds [default: 60]
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    expires_in: Option<u64>,
}

pub async fn run(mut client: Client, Action::Create(create): Action) -> Outcome {
    let Create { session, user, to, member, expires_in } = create;
    let body = Body::default()
        .with("user", user)
        .with("to", to)
        .with("member", member.then_some(true))
        .with("expires_in_seconds", expires_in);
    // The element after the id.
    let call = Call::new(Method::POST, "/v1/sessions", &[&session, "tickets"]);
    let ticket = client.api.send(call.json(&body.json())).await?;
    client.out.answer(&ticket, |ticket| {
        let urls = ticket["urls"].as_object().into_iter().flatten();
        let urls: String = urls.map(|(_, url)| format!("  {}\n", cell(url))).collect();
        format!("Open one of these, once, until {}:\n{urls}", cell(&ticket["expires_at"]))
    })
}
