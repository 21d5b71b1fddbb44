//! The one task that writes. It sends all that waits (bounded) at once on a connection of its own,
//! and asks for a replica's confirmation once for all of them. A caller that goes away leaves a
//! write that is done or not sent, never half of one: each is one script.
//!
//! Redis copies to its replicas behind its answers, so what it acknowledged can be lost when a
//! replica takes over. Where a replica is connected, a write is therefore acknowledged only when
//! one has it (`WAIT 1`); Sentinel promotes the replica that has most. Without a connected replica
//! there is none that could take over, and the primary's word is enough; `min-replicas-to-write 1`
//! is what keeps a primary that was cut off from acknowledging what will be lost.

use std::sync::Arc;

use portico_core::limits;
use redis::{Pipeline, Value};
use tokio::sync::{mpsc, oneshot};

use super::Failure;
use super::failure::is_elsewhere;
use super::line::{Line, in_time};
use super::scripts::{Call, Outcome, SCRIPTS};
use super::server::{Purpose, Server};

pub struct Job {
    pub call: Call,
    pub reply: oneshot::Sender<Result<Outcome, Failure>>,
}

const WRITE: Purpose =
    Purpose { response_timeout: limits::REDIS_RESPONSE_TIMEOUT, scripts: SCRIPTS };

struct Writer {
    server: Arc<Server>,
    line: Option<Line>,
    /// Whether a replica was connected the last time.
    is_replicated: bool,
}

/// The answers of one round, one for each of its jobs, and whether a replica has what they wrote.
struct Round {
    answers: Vec<Value>,
    is_confirmed: bool,
}

/// Ends when the queue's last sender is gone.
pub async fn run(server: Arc<Server>, mut jobs: mpsc::Receiver<Job>) {
    let mut writer = Writer { server, line: None, is_replicated: false };
    let mut batch = Vec::with_capacity(limits::STORE_BATCH_MAX);
    while jobs.recv_many(&mut batch, limits::STORE_BATCH_MAX).await > 0 {
        // Who has given up must not find it done later on.
        batch.retain(|job| !job.reply.is_closed());
        let elsewhere = writer.commit(std::mem::take(&mut batch), false).await;
        if !elsewhere.is_empty() {
            writer.commit(elsewhere, true).await;
        }
    }
}

impl Writer {
    /// Answers the jobs, but for those that the server at hand refuses because another one is to be
    /// asked: they are given back, once.
    async fn commit(&mut self, jobs: Vec<Job>, is_last: bool) -> Vec<Job> {
        let round = match in_time(self.round(&jobs)).await {
            Ok(round) => round,
            Err(failure) => {
                self.line = None;
                for job in jobs {
                    // A caller that went away has no use for the answer.
                    let _ = job.reply.send(Err(failure.clone()));
                }
                return Vec::new();
            }
        };
        let mut again = Vec::new();
        for (job, answer) in jobs.into_iter().zip(round.answers) {
            let outcome = match answer.extract_error() {
                Ok(answer) => Outcome::of(answer),
                Err(error) if is_elsewhere(&error) => {
                    self.line = None;
                    if !is_last {
                        again.push(job);
                        continue;
                    }
                    Err(Failure::of(error))
                }
                Err(error) => Err(Failure::of(error)),
            };
            let outcome = match outcome {
                Ok(outcome) if outcome.is_done() && !round.is_confirmed => {
                    Err(Failure::Unconfirmed)
                }
                outcome => outcome,
            };
            let _ = job.reply.send(outcome);
        }
        again
    }

    async fn round(&mut self, jobs: &[Job]) -> Result<Round, Failure> {
        let asked_before = self.is_replicated;
        let line = live(&self.server, &mut self.line).await?;
        let identity = self.server.identity();
        let mut pipe = Pipeline::with_capacity(jobs.len() + 2);
        for job in jobs {
            let command = job.call.command(&self.server.keys, &line.greeting.scripts, &identity);
            pipe.add_command(command.ok_or(Failure::Strange("SCRIPT LOAD"))?);
        }
        if asked_before {
            wait(&mut pipe);
        }
        pipe.cmd("ROLE");
        let mut answers = line.ask_each(&pipe).await?;
        let role = answers.pop();
        self.is_replicated = role.is_some_and(has_replicas);
        let is_confirmed = if asked_before {
            confirmed(answers.pop())
        } else if self.is_replicated {
            let mut pipe = Pipeline::new();
            wait(&mut pipe);
            // Its failure must not hide that the writes were done.
            confirmed(line.ask_each(&pipe).await.ok().and_then(|mut answers| answers.pop()))
        } else {
            true
        };
        Ok(Round { answers, is_confirmed })
    }
}

/// A connection that works, as far as one can know before a write is sent on it.
async fn live<'l>(server: &Server, place: &'l mut Option<Line>) -> Result<&'l mut Line, Failure> {
    if let Some(line) = place
        && line.idle_for() > limits::REDIS_IDLE_CHECK
    {
        let mut pipe = Pipeline::new();
        pipe.cmd("PING");
        if line.ask_each(&pipe).await.is_err() {
            *place = None;
        }
    }
    match place {
        Some(line) => Ok(line),
        None => Ok(place.insert(server.connect(WRITE).await?)),
    }
}

fn wait(pipe: &mut Pipeline) {
    pipe.cmd("WAIT").arg(1).arg(limits::REDIS_REPLICA_TIMEOUT.as_millis() as u64);
}

fn confirmed(answer: Option<Value>) -> bool {
    matches!(answer, Some(Value::Int(1..)))
}

/// Whether the answer to `ROLE` names a replica that is connected.
fn has_replicas(role: Value) -> bool {
    match role {
        Value::Array(role) => matches!(&role[..], [_, _, Value::Array(r), ..] if !r.is_empty()),
        _ => false,
    }
}
