//! A connection to the server that has the keys, and a place where one is kept for all who read.
//! Who is asked is `server`'s business, what is asked that of the callers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portico_core::limits;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, Value};
use tokio::sync::Mutex;

use super::Failure;
use super::failure::is_elsewhere;
use super::server::{Purpose, Server};

/// Can be cloned: the clones share the connection.
#[derive(Clone)]
pub struct Line {
    connection: MultiplexedConnection,
    pub address: String,
    pub greeting: Arc<Greeting>,
    id: u64,
    used: Instant,
}

/// What was asked when the connection was made.
#[derive(Debug)]
pub struct Greeting {
    pub is_primary: bool,
    /// Another one for each process that was started and each replica that took over: from one to
    /// the next, changes may have been lost and their positions given to others.
    pub reign: String,
    pub identity: String,
    pub form: String,
    /// The digests of the loaded scripts.
    pub scripts: Vec<String>,
}

impl Greeting {
    /// Of the answers to `ROLE`, `INFO replication`, `MGET identity form`, and one `SCRIPT LOAD`
    /// for each script.
    pub fn of(answers: Vec<Value>) -> Option<Self> {
        let mut answers = answers.into_iter();
        let role: Vec<Value> = redis::from_redis_value(answers.next()?).ok()?;
        let word: String = redis::from_redis_value(role.into_iter().next()?).ok()?;
        let info: String = redis::from_redis_value(answers.next()?).ok()?;
        let reign = info.lines().find_map(|line| line.strip_prefix("master_replid:"))?;
        let (identity, form): (Option<String>, Option<String>) =
            redis::from_redis_value(answers.next()?).ok()?;
        let scripts: Result<_, _> = answers.map(redis::from_redis_value).collect();
        Some(Self {
            is_primary: word == "master",
            reign: reign.trim().to_owned(),
            identity: identity.unwrap_or_default(),
            form: form.unwrap_or_default(),
            scripts: scripts.ok()?,
        })
    }
}

impl Line {
    pub fn new(
        connection: MultiplexedConnection,
        address: String,
        greeting: Greeting,
        id: u64,
    ) -> Self {
        Self { connection, address, greeting: Arc::new(greeting), id, used: Instant::now() }
    }

    pub async fn ask<T: FromRedisValue>(&mut self, pipe: &Pipeline) -> Result<T, Failure> {
        self.used = Instant::now();
        read(&mut self.connection, pipe).await
    }

    /// Each command's answer, which may be an error of its own.
    pub async fn ask_each(&mut self, pipe: &Pipeline) -> Result<Vec<Value>, Failure> {
        self.used = Instant::now();
        self.connection.send_packed_commands(pipe, 0, pipe.len()).await.map_err(Failure::of)
    }

    /// The store has got its name since the greeting.
    pub fn named(&mut self, identity: String, form: String) {
        let Greeting { is_primary, ref reign, ref scripts, .. } = *self.greeting;
        let (reign, scripts) = (reign.clone(), scripts.clone());
        self.greeting = Arc::new(Greeting { is_primary, reign, identity, form, scripts });
    }

    pub fn idle_for(&self) -> Duration {
        self.used.elapsed()
    }
}

pub async fn read<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    pipe: &Pipeline,
) -> Result<T, Failure> {
    let answers = connection.send_packed_commands(pipe, 0, pipe.len()).await;
    // The first error by itself, rather than a list of all.
    let answers = answers.and_then(|answers| Value::Array(answers).extract_error());
    let answers = answers.map_err(Failure::of)?;
    redis::from_redis_value(answers).map_err(|_| Failure::Strange("a Redis"))
}

/// The store that was opened, or whatever is there now.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    Opened,
    Any,
}

/// The connection that all reads share, made anew when it breaks.
pub struct Reader {
    server: Arc<Server>,
    purpose: Purpose,
    line: Mutex<Option<Line>>,
}

impl Reader {
    pub fn new(server: Arc<Server>) -> Self {
        Self::for_purpose(server, Purpose::READ)
    }

    pub fn for_purpose(server: Arc<Server>, purpose: Purpose) -> Self {
        Self { server, purpose, line: Mutex::new(None) }
    }

    /// Of the store that was opened. Asks once more, on a new connection, where the first one turns
    /// out to be broken: reading twice does no harm.
    pub async fn ask<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, Failure> {
        self.ask_twice(pipe, Which::Opened).await
    }

    /// Of whatever store is there now.
    pub async fn ask_any<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, Failure> {
        self.ask_twice(pipe, Which::Any).await
    }

    async fn ask_twice<T: FromRedisValue>(
        &self,
        pipe: &Pipeline,
        which: Which,
    ) -> Result<T, Failure> {
        let twice = async {
            match self.ask_once(pipe, which).await {
                Err(failure) if is_broken(&failure) => self.ask_once(pipe, which).await,
                answer => answer,
            }
        };
        in_time(twice).await
    }

    async fn ask_once<T: FromRedisValue>(
        &self,
        pipe: &Pipeline,
        which: Which,
    ) -> Result<T, Failure> {
        let mut line = match which {
            Which::Opened => self.line().await?,
            Which::Any => self.any_line().await?,
        };
        let answer = line.ask(pipe).await;
        if answer.as_ref().is_err_and(is_broken) {
            self.forget(&line).await;
        }
        answer
    }

    /// A connection to the store that was opened.
    pub async fn line(&self) -> Result<Line, Failure> {
        let line = self.any_line().await?;
        let checked = self.server.check(&line.greeting.identity, &line.greeting.form);
        if checked.is_err() {
            // An operator may have confirmed, or restored, what is there by the next time.
            self.forget(&line).await;
        }
        checked.map(|()| line)
    }

    /// A connection to whatever store is there now.
    pub async fn any_line(&self) -> Result<Line, Failure> {
        let mut place = self.line.lock().await;
        if let Some(line) = &*place {
            return Ok(line.clone());
        }
        let line = self.server.connect(self.purpose).await?;
        Ok(place.insert(line).clone())
    }

    pub async fn forget(&self, line: &Line) {
        let mut place = self.line.lock().await;
        if place.as_ref().is_some_and(|kept| kept.id == line.id) {
            *place = None;
        }
    }
}

pub fn is_broken(failure: &Failure) -> bool {
    match failure {
        Failure::Unanswered(_) | Failure::Silent => true,
        Failure::Refused(error) => is_elsewhere(error),
        _ => false,
    }
}

/// No call takes longer, whatever happens to Redis and the network.
pub async fn in_time<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(limits::REDIS_CALL_TIMEOUT, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::Silent),
    }
}
