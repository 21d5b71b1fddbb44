//! The store of a single process: one transactional file (redb) in a directory of its own. Reads
//! run on tokio's blocking threads against a consistent view; writes go through one thread that
//! commits them in batches. It must not know what sessions mean beyond their id, label and
//! workspace.

mod quotas;
mod tables;
mod views;
mod writer;

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portico_core::activity::Activity;
use portico_core::label::SessionId;
use portico_core::limits;
use portico_core::quota::{Batch, Total};
use portico_core::record::{Document, DocumentKey, Kind, Record};
use portico_core::session::Name;
use portico_core::usage::Usage;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Added, Answer, AuditPage, AuditQuery, Author, Beat, Bounds, Conflict, Entry, Gap, Page,
    Position, Query, Snapshot, Store, StoreError, Stored, UsageBatch, UsageQuery, Write,
};
use writer::{Job, Reply};

const FILE_NAME: &str = "sessions.redb";

pub struct Embedded {
    database: Arc<Database>,
    /// Taken when the store is dropped, which ends the writer.
    queue: Option<mpsc::Sender<Job>>,
    newest: watch::Receiver<Position>,
    /// Until when each process said that it lives. Only this one can, so memory is enough.
    beats: Mutex<BTreeMap<Name, (Instant, Vec<u8>)>>,
    writer: Option<JoinHandle<()>>,
}

impl Embedded {
    /// The directory is made (0700) when it is not there.
    pub async fn open(directory: PathBuf, bounds: Bounds) -> Result<Self, StoreError> {
        blocking(move || Self::open_now(&directory, bounds)).await
    }

    fn open_now(directory: &Path, bounds: Bounds) -> Result<Self, StoreError> {
        let database = Arc::new(open_file(directory)?);
        let position = tables::prepare(&database)?;
        let (queue, jobs) = mpsc::channel(limits::STORE_QUEUE_MAX);
        let (announce, newest) = watch::channel(position);
        let writer = {
            let database = database.clone();
            std::thread::Builder::new()
                .name("store-writer".to_owned())
                .spawn(move || writer::run(&database, jobs, &announce, bounds))
                .map_err(|source| StoreError::Directory { directory: directory.into(), source })?
        };
        let beats = Mutex::default();
        Ok(Self { database, queue: Some(queue), newest, beats, writer: Some(writer) })
    }

    /// One insertion or removal at a time, so what a panic left is as good as any.
    fn beats(&self) -> MutexGuard<'_, BTreeMap<Name, (Instant, Vec<u8>)>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queued<T: Send + 'static>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Answer<'_, T> {
        let (reply, answer) = oneshot::channel();
        let job = job(reply);
        Box::pin(async move {
            let queue = self.queue.as_ref().ok_or(StoreError::Ended)?;
            queue.send(job).await.map_err(|_| StoreError::Ended)?;
            answer.await.map_err(|_| StoreError::Ended)?
        })
    }

    fn read<T, F>(&self, look: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Result<T, StoreError> + Send + 'static,
    {
        let database = self.database.clone();
        Box::pin(blocking(move || look(&database.begin_read()?)))
    }
}

impl Store for Embedded {
    fn write(&self, write: Write, by: Author) -> Answer<'_, Result<Stored, Conflict>> {
        self.queued(|reply| Job::Write { write, by, reply })
    }

    fn fetch(&self, id: SessionId) -> Answer<'_, Option<Record>> {
        self.read(move |view| views::fetch(view, &id))
    }

    fn list(&self, query: Query) -> Answer<'_, Page> {
        self.read(move |view| views::list(view, &query))
    }

    fn document(&self, key: DocumentKey) -> Answer<'_, Option<Document>> {
        self.read(move |view| views::document(view, &key))
    }

    fn documents(&self, kind: Kind) -> Answer<'_, Vec<Document>> {
        self.read(move |view| views::documents(view, Some(kind)))
    }

    fn snapshot(&self) -> Answer<'_, Snapshot> {
        self.read(views::snapshot)
    }

    fn changes(&self, after: Position) -> Answer<'_, Result<Vec<Entry>, Gap>> {
        let mut newest = self.newest.clone();
        Box::pin(async move {
            if after > *newest.borrow() {
                return Ok(Err(Gap));
            }
            // Fails only when the writer has ended: no change can come any more.
            newest.wait_for(|newest| *newest > after).await.map_err(|_| StoreError::Ended)?;
            self.read(move |view| views::changes(view, after)).await
        })
    }

    fn audit(&self, query: AuditQuery) -> Answer<'_, AuditPage> {
        self.read(move |view| views::audit(view, query))
    }

    fn add_usage(&self, batch: UsageBatch) -> Answer<'_, Added> {
        self.queued(|reply| Job::Usage { batch, reply })
    }

    fn usage(&self, query: UsageQuery) -> Answer<'_, Vec<Usage>> {
        self.read(move |view| views::usage(view, &query))
    }

    fn activity(&self, session: SessionId) -> Answer<'_, Vec<(Name, Activity)>> {
        self.read(move |view| views::activity(view, &session))
    }

    fn beat(&self, beat: Beat, ttl: Duration) -> Answer<'_, ()> {
        self.beats().insert(beat.name, (Instant::now() + ttl, beat.note));
        Box::pin(async { Ok(()) })
    }

    fn beating(&self) -> Answer<'_, Vec<Beat>> {
        let mut beats = self.beats();
        beats.retain(|_, (until, _)| *until > Instant::now());
        let all = beats.iter();
        let all = all.map(|(name, (_, note))| Beat { name: name.clone(), note: note.clone() });
        let all = all.collect();
        Box::pin(async { Ok(all) })
    }

    fn charge_quotas(&self, batch: Batch) -> Answer<'_, Vec<Total>> {
        let database = self.database.clone();
        Box::pin(blocking(move || quotas::charge(&database, &batch)))
    }

    fn identity(&self) -> Answer<'_, Arc<str>> {
        self.read(views::identity)
    }

    /// A file has one from its beginning.
    fn adopt(&self) -> Answer<'_, Arc<str>> {
        self.identity()
    }
}

impl Drop for Embedded {
    /// Waits for the writes under way (one commit), so that the directory is free afterwards.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer had panicked");
        }
    }
}

fn open_file(directory: &Path) -> Result<Database, StoreError> {
    let failed = |source| StoreError::Directory { directory: directory.into(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(FILE_NAME))
        .map_err(failed)?;
    // The file's name must survive a power cut like its contents do.
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    FileBackend::new(file)
        .and_then(|backend| {
            Database::builder()
                .set_cache_size(limits::STORE_CACHE_BYTES)
                .create_with_backend(backend)
        })
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { directory: directory.into() },
            source => StoreError::Open { directory: directory.into(), source },
        })
}

/// Whether another process has the store open. Makes nothing.
pub fn is_in_use(directory: &Path) -> Result<bool, StoreError> {
    let path = directory.join(FILE_NAME);
    let failed = |source| StoreError::Directory { directory: directory.into(), source };
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        // As if the directory were a file: whoever tries to write there finds that out.
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    // Fails when the runtime shuts down or the work panicked: either way no answer will come.
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Ended)?
}
