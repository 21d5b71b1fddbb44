//! `portico event`: changes as they happen, for as long as somebody wants to see them. A stream
//! that breaks is begun again where it was.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use http_body_util::BodyExt;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::Client;
use super::api::Call;
use super::failure::{Failure, Outcome};
use super::follow::{Pauses, until_asked};
use super::output::{note, write};
use super::stream::{Event, Parser};
use super::table::{cell, clean};

pub const EXAMPLES: &str = "Examples:
  portico event                                  until Ctrl-C
  portico event --workspace genomics
  portico event --after 4711 --json | jq -c 'select(.event == \"session.deleted\")'

A stream that breaks is begun again where it was. With --json each line is
{\"id\": …, \"event\": …, \"data\": …}; an id is good for --after. An event `reset` says that
older changes are not kept any more, so that what depends on them has to be read anew.";

#[derive(Args)]
pub struct Flags {
    /// Only changes in this workspace, and those that concern all
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Begin behind this event [default: with what happens from now on]
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// The API says something every 15 s; after three times that it is gone without a word.
const SILENCE_MAX: Duration = Duration::from_secs(45);

pub async fn run(client: Client, flags: Flags) -> Outcome {
    let listener =
        Listener { client, flags, parser: Parser::default(), pauses: Pauses::new(), heard: false };
    until_asked(listener.follow()).await
}

struct Listener {
    client: Client,
    flags: Flags,
    parser: Parser,
    pauses: Pauses,
    /// A stream that never began is a mistake of the command line or the API's; one that broke
    /// is not.
    heard: bool,
}

impl Listener {
    async fn follow(mut self) -> Outcome {
        loop {
            let failure = match self.listen().await {
                Ok(()) => Failure::Unreachable(anyhow!("the API ended the stream")),
                Err(failure) => failure,
            };
            if !self.heard {
                return Err(failure);
            }
            self.pauses.after(failure, self.parser.retry).await?;
            self.parser.begin_anew();
            if self.parser.last_id.is_none() && self.flags.after.is_none() {
                note("no event came before the stream broke: what happened since may be missing");
            }
        }
    }

    async fn listen(&mut self) -> Outcome {
        let response = self.client.api.stream(self.call()).await?;
        let kind = response.headers().get("content-type").map(|kind| kind.as_bytes());
        if !kind.is_some_and(|kind| kind.starts_with(b"text/event-stream")) {
            return Err(Failure::Ours(anyhow!("this is no stream of events of Portico's API")));
        }
        let mut body = response.into_body();
        loop {
            let frame = match timeout(SILENCE_MAX, body.frame()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(Failure::Unreachable(error.into())),
                Err(_) => return Err(Failure::Unreachable(anyhow!("the API went silent"))),
            };
            self.heard = true;
            self.pauses.reset();
            let bytes = frame.into_data().unwrap_or_default();
            for (event, id) in self.parser.push(&bytes).map_err(Failure::ours)? {
                let id = id.unwrap_or_default();
                write(
                    if self.client.out.json { json(&event, &id) } else { text(&event, &id) }
                        .as_bytes(),
                )?;
            }
        }
    }

    fn call(&self) -> Call {
        let mut call = Call::get("/v1/events", &[]).header("accept", "text/event-stream");
        if let Some(workspace) = &self.flags.workspace {
            call = call.query("workspace", workspace);
        }
        match (&self.parser.last_id, &self.flags.after) {
            (Some(id), _) => call.header("last-event-id", id.as_str()),
            (None, Some(after)) => call.query("after", after),
            (None, None) => call,
        }
    }
}

fn json(event: &Event, id: &str) -> String {
    // On one line, and what is not JSON as a string of it.
    let data = match serde_json::from_str::<&RawValue>(&event.data) {
        Ok(data) if !data.get().contains('\n') => data.get().to_owned(),
        _ => Value::from(event.data.as_str()).to_string(),
    };
    let (id, name) = (Value::from(id), Value::from(event.name.as_str()));
    format!("{{\"id\":{id},\"event\":{name},\"data\":{data}}}\n")
}

fn text(event: &Event, id: &str) -> String {
    let data = serde_json::from_str::<Value>(&event.data).unwrap_or_default();
    let at = cell(&data["at"]);
    let line = format!("{id:>6}  {at:24}  {:18}  {}", event.name, about(&data));
    clean(&line).replace('\n', " ") + "\n"
}

fn about(data: &Value) -> String {
    if let Some(session) = data.get("session") {
        let parts = ["id", "state", "workspace", "owner", "tool"];
        return parts.map(|part| cell(&session[part])).join("  ");
    }
    let members = data.as_object().into_iter().flatten().filter(|(name, _)| *name != "at");
    members.map(|(name, value)| format!("{name}={}", cell(value))).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn an_event_is_one_line_in_either_form() {
        let session = r#"{"at":"2026-01-02T03:04:05.678Z","session":{"id":"one","owner":"ada",
            "state":"running","tool":"jupyter","workspace":"genomics"},"version":7}"#;
        let created = event("session.created", session);
        assert_eq!(
            text(&created, "42"),
            "    42  2026-01-02T03:04:05.678Z  session.created     \
             one  running  genomics  ada  jupyter\n"
        );
        assert_eq!(json(&created, "42").lines().count(), 1);
        let reset = event("reset", r#"{"reason":"too old"}"#);
        assert!(text(&reset, "1").ends_with("reason=too old\n"));
        assert_eq!(
            json(&reset, "1"),
            "{\"id\":\"1\",\"event\":\"reset\",\"data\":{\"reason\":\"too old\"}}\n"
        );
        assert_eq!(
            json(&event("x", "a\nb"), ""),
            "{\"id\":\"\",\"event\":\"x\",\"data\":\"a\\nb\"}\n"
        );
    }
}
