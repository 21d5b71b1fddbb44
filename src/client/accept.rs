//! `portico store accept`: takes a store that came in the place of another one, or lost everything,
//! as it is now.

use clap::{Args, Command, FromArgMatches};
use hyper::Method;

use super::api::Call;
use super::failure::{Failure, Outcome};
use super::{client, place, with_codes};

const EXAMPLES: &str = "\
Portico keeps its routes when its Redis comes back as another one, or with nothing in it: that is
more often an accident than meant. This says that it is meant. Routes of sessions that the store
does not have are gone then; to keep them, restore a backup first:
  portico store import --store-url redis://redis:6379 backup.portico
  portico store accept";

#[derive(Args)]
struct Flags {
    #[command(flatten)]
    place: place::Flags,
}

pub fn command() -> Command {
    let command = Command::new("accept").about("Take the store as it is now, whatever it was");
    with_codes(Flags::augment_args(command.after_help(EXAMPLES)))
}

pub async fn run(matches: &clap::ArgMatches) -> Outcome {
    let Flags { place } = Flags::from_arg_matches(matches).map_err(Failure::usage)?;
    let mut client = client(place)?;
    let answer = client.api.send(Call::new(Method::POST, "/v1/store/accept", &[])).await?;
    client.out.answer(&answer, |body| {
        format!("The store {} is obeyed.\n", super::table::cell(&body["identity"]))
    })
}
