//! The store of several processes: Redis 7 or newer, alone, with Sentinel, or as a Cluster. It must
//! not know what sessions mean beyond their id, label and workspace.
//!
//! **One step.** Each write is one Lua script that checks and changes everything: record, label,
//! indexes, tombstones, change log, audit log, idempotency key. All keys carry one hash tag
//! (`{prefix}:…`), so in a Cluster they are in one slot and on one node; a Cluster gives this store
//! a successor for a failed node, not more room. `keys` lists what is where.
//!
//! **Durability.** Redis answers before its replicas have a write: a failover can lose what only
//! the primary had. Where a replica is connected, a write is therefore acknowledged only after
//! one has confirmed it (`WAIT 1`); if none does in time, the caller is told that the write may not
//! stay (`Unconfirmed`). Without one, `appendonly yes` with `appendfsync always` is what keeps
//! writes over a crash of Redis; with its usual `everysec` it has acknowledged up to two seconds of
//! writes that are not in the file yet. `min-replicas-to-write 1` keeps a primary that was cut off
//! from taking more of them. Opening warns when these are missing.
//!
//! **Identity.** A store is named at random when it is really new, and never again. Every write,
//! and all that followers live on, checks the name: after a restart without its data, or a switch
//! to another Redis, all of that fails with `StoreError::Replaced` until `adopt` is called.
//! Documents can be read one by one meanwhile, as an operator's consent is one.
//!
//! **Rights.** `ACL_RULES` is what a user needs besides `~{prefix}:*`.

mod options;

mod address;

mod server;

mod line;

mod opening;

mod health;

mod probe;

mod keys;

mod scripts;

mod writer;

mod reads;

mod follow;

mod usage;
mod quotas;

mod failure;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Pipeline, Value};
use portico_core::activity::Activity;
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::quota::{Batch, Total};
use portico_core::record::{Document, DocumentKey, Kind, Record};
use portico_core::session::Name;
use portico_core::usage::Usage;
use tokio::sync::{mpsc, oneshot};

use super::{
    Added, Answer, AuditPage, AuditQuery, Author, Beat, Bounds, Conflict, Entry, Gap, Page,
    Position, Query, Snapshot, Store, StoreError, Stored, UsageBatch, UsageQuery, Write,
};
pub use address::shown as without_password;
pub use failure::Failure as RedisFailure;
use failure::Failure;
use follow::Follow;
pub use health::{Report, Subject, Verdict};
use keys::Keys;
use line::{Reader, Which, in_time};
pub use options::RedisOptions;
pub use probe::{Foreign, Probe, probe};
use quotas::Quotas;
use scripts::{Call, Outcome};
use server::{Purpose, Server};
use writer::Job;

/// What an ACL user must be allowed, besides its keys (`~{prefix}:*`). `config|get` may be left
/// out: then a warning is less precise. The last two are for a Cluster.
pub const ACL_RULES: &str = "+@connection +info +role +wait +time +mget +mset +get +set +exists \
    +script|load +eval +evalsha +hget +hmget +hgetall +hset +hdel +hexists +zadd +zrem +zrange \
    +zrangebyscore +zremrangebyscore +zcard +zlexcount +zpopmin +xadd +xrange +xread +hlen \
    +getrange +bitfield +expireat +hincrby +pexpire +config|get +cluster|slots +cluster|keyslot";

/// Of the keys and what is in them. A store of another form is refused.
const FORM_NOW: &str = "1";

pub struct Redis {
    server: Arc<Server>,
    reader: Reader,
    follow: Follow,
    queue: mpsc::Sender<Job>,
    quotas: Quotas,
    bounds: Bounds,
}

impl Redis {
    /// To be called on the runtime that is to do the work. A Redis that cannot serve is refused;
    /// one that is away is waited for where the options say so.
    pub async fn open(
        options: &RedisOptions,
        bounds: Bounds,
    ) -> Result<(Self, Report), StoreError> {
        let server = Arc::new(Server::new(options)?);
        let report = match in_time(server.connect(Purpose::READ)).await {
            Ok(_) => server.report(),
            Err(failure) if options.patient && failure.is_passing() => {
                let failure = crate::with_causes(&failure);
                Report { warnings: vec![format!("{failure}: Redis is used when it is there")] }
            }
            Err(failure) => return Err(failure.into()),
        };
        let (queue, jobs) = mpsc::channel(limits::STORE_QUEUE_MAX);
        tokio::spawn(writer::run(server.clone(), jobs));
        let (reader, follow) = (Reader::new(server.clone()), Follow::default());
        let quotas = Quotas::new(server.clone());
        Ok((Self { server, reader, follow, queue, quotas, bounds }, report))
    }

    async fn write_now(
        &self,
        write: Write,
        by: Author,
    ) -> Result<Result<Stored, Conflict>, StoreError> {
        self.can_be_deleted(&write).await?;
        let call = Call::new(&write, by, &self.bounds);
        self.call(call).await?.read(write, &self.server.identity())
    }

    async fn call(&self, call: Call) -> Result<Outcome, StoreError> {
        let (reply, answer) = oneshot::channel();
        let done = async {
            self.queue.send(Job { call, reply }).await.map_err(|_| StoreError::Ended)?;
            Ok::<_, StoreError>(answer.await.map_err(|_| StoreError::Ended)??)
        };
        let done = tokio::time::timeout(limits::REDIS_CALL_TIMEOUT, done).await;
        done.unwrap_or(Err(Failure::Silent.into()))
    }

    /// A script does not know what can be read. A session that cannot is deleted only where no
    /// version is expected of it, a document never.
    async fn can_be_deleted(&self, write: &Write) -> Result<(), StoreError> {
        let keys = &self.server.keys;
        match write {
            Write::Delete { id, expected: Some(_) } => {
                reads::fetch(&self.reader, keys, id).await.map(drop)
            }
            Write::DeleteDocument { key, .. } => {
                reads::document(&self.reader, keys, key).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn beat_now(&self, beat: &Beat, ttl: Duration) -> Result<(), StoreError> {
        let now = self.now().await?;
        let (key, until) = (self.server.keys.beats(), now + ttl.as_millis() as u64);
        let notes = self.server.keys.notes();
        let mut pipe = Pipeline::new();
        pipe.cmd("ZRANGEBYSCORE").arg(&key).arg("-inf").arg(now);
        let (silent,): (Vec<String>,) = self.reader.ask(&pipe).await?;
        let mut pipe = Pipeline::new();
        pipe.cmd("HSET").arg(&notes).arg(beat.name.as_str()).arg(&beat.note);
        pipe.cmd("ZADD").arg(&key).arg(until).arg(beat.name.as_str());
        pipe.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(now);
        let silent: Vec<_> = silent.iter().filter(|name| *name != beat.name.as_str()).collect();
        if !silent.is_empty() {
            pipe.cmd("HDEL").arg(&notes).arg(silent);
        }
        self.reader.ask::<Vec<Value>>(&pipe).await?;
        Ok(())
    }

    async fn beating_now(&self) -> Result<Vec<Beat>, StoreError> {
        let now = self.now().await?;
        let mut pipe = Pipeline::new();
        let after = format!("({now}");
        pipe.cmd("ZRANGEBYSCORE").arg(self.server.keys.beats()).arg(after).arg("+inf");
        pipe.cmd("HGETALL").arg(self.server.keys.notes());
        let (names, mut notes): (Vec<String>, HashMap<String, Vec<u8>>) =
            self.reader.ask(&pipe).await?;
        // What was written as a name is one.
        let beat = |text: String| {
            let note = notes.remove(&text).unwrap_or_default();
            text.parse().ok().map(|name| Beat { name, note })
        };
        let mut beats: Vec<Beat> = names.into_iter().filter_map(beat).collect();
        beats.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(beats)
    }

    /// In milliseconds of Redis's clock, the one that all processes share.
    async fn now(&self) -> Result<u64, Failure> {
        let mut pipe = Pipeline::new();
        pipe.cmd("TIME");
        let ((seconds, microseconds),): ((u64, u64),) = self.reader.ask(&pipe).await?;
        Ok(seconds * 1000 + microseconds / 1000)
    }

    /// Of whatever store is there now; empty when there is none.
    async fn identity_now(&self) -> Result<Arc<str>, StoreError> {
        let mut pipe = Pipeline::new();
        pipe.cmd("GET").arg(self.server.keys.identity());
        let (identity,): (Option<String>,) = self.reader.ask_any(&pipe).await?;
        Ok(identity.unwrap_or_default().into())
    }
}

impl Store for Redis {
    fn write(&self, write: Write, by: Author) -> Answer<'_, Result<Stored, Conflict>> {
        Box::pin(self.write_now(write, by))
    }

    fn fetch(&self, id: SessionId) -> Answer<'_, Option<Record>> {
        Box::pin(async move { reads::fetch(&self.reader, &self.server.keys, &id).await })
    }

    fn list(&self, query: Query) -> Answer<'_, Page> {
        Box::pin(async move { reads::list(&self.reader, &self.server.keys, &query).await })
    }

    fn document(&self, key: DocumentKey) -> Answer<'_, Option<Document>> {
        Box::pin(async move { reads::document(&self.reader, &self.server.keys, &key).await })
    }

    fn documents(&self, kind: Kind) -> Answer<'_, Vec<Document>> {
        Box::pin(async move { reads::documents(&self.reader, &self.server.keys, kind).await })
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        Box::pin(reads::snapshot(&self.server, &self.reader, &self.follow))
    }

    fn changes(&self, after: Position) -> Answer<'_, Result<Vec<Entry>, Gap>> {
        Box::pin(self.follow.changes(&self.server, after))
    }

    fn audit(&self, query: AuditQuery) -> Answer<'_, AuditPage> {
        Box::pin(reads::audit(&self.reader, &self.server.keys, query))
    }

    fn add_usage(&self, batch: UsageBatch) -> Answer<'_, Added> {
        let call = Call::adding(&batch);
        Box::pin(async move { self.call(call).await?.added(&self.server.identity()) })
    }

    fn usage(&self, query: UsageQuery) -> Answer<'_, Vec<Usage>> {
        Box::pin(async move { usage::usage(&self.reader, &self.server.keys, &query).await })
    }

    fn activity(&self, session: SessionId) -> Answer<'_, Vec<(Name, Activity)>> {
        Box::pin(async move { usage::activity(&self.reader, &self.server.keys, &session).await })
    }

    fn beat(&self, beat: Beat, ttl: Duration) -> Answer<'_, ()> {
        Box::pin(async move { self.beat_now(&beat, ttl).await })
    }

    fn beating(&self) -> Answer<'_, Vec<Beat>> {
        Box::pin(self.beating_now())
    }

    fn charge_quotas(&self, batch: Batch) -> Answer<'_, Vec<Total>> {
        Box::pin(async move { self.quotas.charge(&batch).await })
    }

    fn identity(&self) -> Answer<'_, Arc<str>> {
        Box::pin(self.identity_now())
    }

    fn adopt(&self) -> Answer<'_, Arc<str>> {
        Box::pin(async {
            let mut line = in_time(self.reader.any_line()).await?;
            self.reader.forget(&line).await;
            self.follow.forget();
            in_time(opening::name(&mut line, &self.server, Which::Any)).await?;
            Ok(self.server.identity())
        })
    }
}
