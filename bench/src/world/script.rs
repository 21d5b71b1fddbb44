//! A Node script of `bench/tools` that a test talks to: one line of JSON is a command, one its
//! answer, several may be under way. It ends with its stdin, so also when the test is killed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::TOOL_PATIENCE;
use super::process::Process;
use super::tool::installed;

/// Until a script has cleaned up after itself.
const END_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Script {
    /// What it said when it was ready.
    pub ready: Value,
    pub process: Process,
    speaking: Mutex<Speaking>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug)]
struct Speaking {
    /// Gone when the script is to end.
    stdin: Option<ChildStdin>,
    last: u64,
}

/// Who waits for the answer to which command; nobody may, once the script has ended.
type Waiting = Option<HashMap<u64, Sender<Value>>>;

impl Script {
    /// Starts `bench/tools/NAME.mjs` in a directory, and waits until it is ready.
    pub fn start(name: &str, settings: &[(String, String)], directory: &Path) -> Self {
        let node = installed("node/prefix/bin/node");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tools/{name}.mjs"));
        let arguments = [file.display().to_string()];
        let (process, stdin, stdout) =
            Process::start_talking(name, &node, &arguments, settings, directory);
        let (sender, answer) = channel();
        let waiting = Arc::new(Mutex::new(Some(HashMap::from([(0, sender)]))));
        let heard = waiting.clone();
        std::thread::spawn(move || hear(stdout, &heard));
        let speaking = Mutex::new(Speaking { stdin: Some(stdin), last: 0 });
        let mut script = Self { ready: Value::Null, process, speaking, waiting };
        let ready = script.answer("start", &answer, TOOL_PATIENCE);
        script.ready = ready.unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        script
    }

    /// Gives a command with its arguments (an object) and waits for what it returns or how it
    /// failed.
    pub fn call(&self, command: &str, given: Value, patience: Duration) -> Result<Value, String> {
        let (sender, answer) = channel();
        let mut speaking = locked(&self.speaking);
        speaking.last += 1;
        let mut line = json!({ "id": speaking.last, "do": command });
        if let (Value::Object(all), Value::Object(given)) = (&mut line, given) {
            all.extend(given);
        }
        if let Some(waiting) = locked(&self.waiting).as_mut() {
            waiting.insert(speaking.last, sender);
        }
        if let Some(stdin) = &mut speaking.stdin {
            // A script that has ended is told by the missing answer.
            let _ = writeln!(stdin, "{line}");
        }
        drop(speaking);
        self.answer(command, &answer, patience)
    }

    fn answer(
        &self,
        command: &str,
        answer: &Receiver<Value>,
        patience: Duration,
    ) -> Result<Value, String> {
        let Ok(mut line) = answer.recv_timeout(patience) else {
            let stderr = self.process.stderr();
            return Err(format!("{command}: no answer within {patience:?}, or it ended: {stderr}"));
        };
        match line["error"].take() {
            Value::Null => Ok(line["value"].take()),
            error => Err(error.as_str().unwrap_or_default().to_owned()),
        }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        locked(&self.speaking).stdin = None;
        let deadline = Instant::now() + END_PATIENCE;
        while self.process.exited().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Hands out answers until the script closes its stdout.
fn hear(stdout: ChildStdout, waiting: &Mutex<Waiting>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        let asker = line["id"].as_u64().and_then(|id| locked(waiting).as_mut()?.remove(&id));
        if let Some(asker) = asker {
            // Whoever asked may have lost patience.
            let _ = asker.send(line);
        }
    }
    *locked(waiting) = None;
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
