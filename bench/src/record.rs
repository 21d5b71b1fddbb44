//! Records what `compare` replays: headless Chromium opens JupyterLab and works in a notebook, and
//! the sizes and the order of what goes over its connections are kept, not a word of it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::compare::recording::{Message, Recording, Request};
use crate::world::TOOL_PATIENCE;
use crate::world::browser::{Browser, Page};
use crate::world::tool::{Tool, installed};

/// Cells of a plain notebook: an answer, a table, a picture's worth of text, a stream of lines.
const CELLS: [&str; 5] = [
    "6*7",
    "import math; [round(math.sin(x), 3) for x in range(200)]",
    "print('x' * 20000)",
    "for i in range(20): print(i, 'of twenty')",
    "{str(n): list(range(n)) for n in range(40)}",
];
const NOTEBOOK: &str = ".jp-LauncherCard[data-category=Notebook]";

pub fn run(output: &Path) -> anyhow::Result<()> {
    let tool = Tool::jupyter("/");
    let browser = Browser::start(&[("jupyter.example.com:80", tool.address)]);
    let page = browser.user("ada").patient(TOOL_PATIENCE);
    page.watch_traffic();
    page.open("http://jupyter.example.com/lab");
    page.wait_for(NOTEBOOK);
    // What a page load is ends here: before the user does anything.
    let load = requests(&page.traffic())?;
    work(&page);
    let recording = Recording {
        of: format!("JupyterLab {}", version()?),
        requests: load,
        messages: messages(&page.traffic())?,
    };
    ensure!(recording.messages.len() > 20, "too few messages: {}", recording.summary());
    std::fs::write(output, recording.text())
        .with_context(|| format!("cannot write {}", output.display()))?;
    println!("wrote {}: {}", output.display(), recording.summary());
    Ok(())
}

fn work(page: &Page) {
    page.click(NOTEBOOK);
    page.wait_for(".jp-Notebook-ExecutionIndicator[data-status=idle]");
    page.click(".jp-Notebook .cm-content");
    for (index, cell) in CELLS.iter().enumerate() {
        page.type_text(cell);
        page.press("Shift+Enter");
        let prompt = format!(".jp-InputPrompt:has-text('[{}]:')", index + 1);
        page.wait_for(&prompt);
    }
}

fn requests(traffic: &Value) -> anyhow::Result<Vec<Request>> {
    let list = traffic["requests"].as_array().context("no requests")?;
    let size = |one: &Value, name: &str| one[name].as_u64().unwrap_or(0);
    Ok(list
        .iter()
        .filter(|one| one["url"].as_str().is_some_and(|url| url.starts_with("http:")))
        .map(|one| Request {
            head_bytes: size(one, "head") as usize,
            body_bytes: size(one, "body"),
        })
        .collect())
}

/// Of the kernel's WebSocket alone: other ones are the events of the page.
fn messages(traffic: &Value) -> anyhow::Result<Vec<Message>> {
    let list = traffic["messages"].as_array().context("no messages")?;
    Ok(list
        .iter()
        .filter(|one| one["url"].as_str().is_some_and(|url| url.contains("/channels")))
        .map(|one| Message {
            from_browser: one["from"] == "browser",
            bytes: one["bytes"].as_u64().unwrap_or(0) as usize,
        })
        .collect())
}

fn version() -> anyhow::Result<String> {
    let output = Command::new(installed("jupyter/bin/jupyter-lab")).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
