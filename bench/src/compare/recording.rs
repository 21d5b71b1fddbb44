//! What a browser and JupyterLab said to each other, by size and order and without a word of it:
//! recorded once by `portico-bench record`, kept in `recordings/jupyterlab.json`, and replayed as
//! GETs and echoes of these sizes.

use anyhow::Context;
use serde_json::{Value, json};

use crate::load::Target;
use crate::load::answer::Expected;
use crate::load::fetch::Step;
use crate::load::head;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What was recorded, with versions.
    pub of: String,
    /// In the order in which they were asked for.
    pub requests: Vec<Request>,
    /// Of the kernel's WebSocket, in both directions.
    pub messages: Vec<Message>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of the request.
    pub head_bytes: usize,
    /// Of the answer.
    pub body_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub from_browser: bool,
    pub bytes: usize,
}

impl Recording {
    /// The one that is replayed.
    pub fn jupyterlab() -> Recording {
        let text = include_str!("recordings/jupyterlab.json");
        let value = serde_json::from_str(text).expect("the committed recording is JSON");
        Self::parse(&value).expect("the committed recording has its fields")
    }

    pub fn parse(value: &Value) -> anyhow::Result<Recording> {
        let list = |name: &str| value[name].as_array().with_context(|| format!("no {name}"));
        let number = |value: &Value| value.as_u64().with_context(|| format!("no size: {value}"));
        let request = |pair: &Value| -> anyhow::Result<Request> {
            Ok(Request { head_bytes: number(&pair[0])? as usize, body_bytes: number(&pair[1])? })
        };
        let message = |pair: &Value| -> anyhow::Result<Message> {
            let from_browser = pair[0] == "browser";
            Ok(Message { from_browser, bytes: number(&pair[1])? as usize })
        };
        Ok(Recording {
            of: value["of"].as_str().unwrap_or_default().to_owned(),
            requests: list("requests")?.iter().map(request).collect::<anyhow::Result<_>>()?,
            messages: list("messages")?.iter().map(message).collect::<anyhow::Result<_>>()?,
        })
    }

    /// A line for each, so that a change is a readable one.
    pub fn text(&self) -> String {
        let lines = |pairs: Vec<Value>| {
            pairs.iter().map(|pair| format!("    {pair}")).collect::<Vec<_>>().join(",\n")
        };
        let request = |request: &Request| json!([request.head_bytes, request.body_bytes]);
        let message = |message: &Message| {
            json!([if message.from_browser { "browser" } else { "kernel" }, message.bytes])
        };
        format!(
            "{{\n  \"of\": {},\n  \"requests\": [\n{}\n  ],\n  \"messages\": [\n{}\n  ]\n}}\n",
            json!(self.of),
            lines(self.requests.iter().map(request).collect()),
            lines(self.messages.iter().map(message).collect())
        )
    }

    /// The page load, one request after the other.
    pub fn page(&self, target: &Target) -> Vec<Step> {
        let step = |request: &Request| {
            let path = format!("/bytes/{}", request.body_bytes);
            Step {
                request: head::request_of_bytes(target, &path, request.head_bytes),
                expected: Expected::Filler(request.body_bytes),
            }
        };
        self.requests.iter().map(step).collect()
    }

    /// Of all answers of a page load.
    pub fn page_bytes(&self) -> u64 {
        self.requests.iter().map(|request| request.body_bytes).sum()
    }

    /// The notebook's messages; an echo is as long as what it answers, so each goes both ways.
    pub fn messages(&self) -> Vec<usize> {
        self.messages.iter().map(|message| message.bytes.max(1)).collect()
    }

    /// For the method: how much this is.
    pub fn summary(&self) -> String {
        let mut sizes = self.messages();
        sizes.sort_unstable();
        let middle = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
        format!(
            "{}: {} requests with {:.1} MiB of answers, {} messages of {} B (median) to {} B",
            self.of,
            self.requests.len(),
            self.page_bytes() as f64 / f64::from(1 << 20),
            sizes.len(),
            middle,
            sizes.last().copied().unwrap_or(0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let recording = Recording {
            of: "a tool".into(),
            requests: vec![Request { head_bytes: 700, body_bytes: 0 }],
            messages: vec![
                Message { from_browser: true, bytes: 9 },
                Message { from_browser: false, bytes: 4000 },
            ],
        };
        let value = serde_json::from_str(&recording.text()).unwrap();
        assert_eq!(Recording::parse(&value).unwrap(), recording);
        assert!(Recording::parse(&json!({})).is_err());
    }

    #[test]
    fn the_committed_one_is_a_page_and_a_notebook() {
        let recording = Recording::jupyterlab();
        assert!(recording.requests.len() > 20 && recording.messages.len() > 20);
        assert!(recording.summary().contains("JupyterLab"), "{}", recording.summary());
    }
}
