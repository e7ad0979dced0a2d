//! The count in a file, for a machine without Redis: one table with one number, in redb.
//!
//! redb commits by writing a checksummed copy and flushing it to the disk before it switches over.
//! So a returned number survives a crash and a loss of power, and a torn write
//! is found and rolled back when the file is next opened.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    error::{OpenError, StoreError},
    store::{Addition, Store},
};

const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("count");
const KEY: &str = "hits";

/// The largest count of Redis, so that a count can be moved there.
const MAX: u64 = i64::MAX.unsigned_abs();

/// One number needs almost no cache; redb's default is sized for databases.
const CACHE_BYTES: usize = 1 << 20;

pub(super) struct Embedded {
    path: PathBuf,
    /// `None` while a job has it, and after a failure: after an I/O error redb refuses to continue until it is
    /// reopened.
    database: Option<Database>,
    /// The disk operation under way. It continues if its caller gives up, and must end before the next begins.
    job: Option<JoinHandle<Done>>,
}

/// The result of a job, with the database if it is still usable.
type Done = (Option<Database>, Result<u64, StoreError>);

impl Embedded {
    /// Opens the file, and creates it and its folder if they are missing.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { path: path.to_owned(), database: Some(open(path)?), job: None })
    }

    /// Runs a job on a thread that may block.
    async fn run(&mut self, job: impl FnOnce() -> Done + Send + 'static) -> Result<u64, StoreError> {
        self.job = Some(spawn_blocking(job));
        self.finish().await
    }

    /// Waits for the job under way, if any.
    async fn finish(&mut self) -> Result<u64, StoreError> {
        let Some(job) = &mut self.job else {
            return Err(StoreError::Connect("the file is closed".into()));
        };
        // Awaited in place: when this future is dropped the handle stays for `connect`.
        let done = job.await;
        self.job = None;
        let (database, result) = done.unwrap_or_else(|failure| (None, Err(StoreError::Lost(failure.into()))));
        self.database = database;
        result
    }
}

impl Store for Embedded {
    async fn connect(&mut self) -> Result<(), StoreError> {
        // If the disk is slower than the timeout of the caller, no attempt would get past this point. The waiters of
        // the addition already got an error; its success shows that the store works.
        if self.job.is_some() && self.finish().await.is_ok() {
            return Ok(());
        }
        let database = self.database.take();
        let path = self.path.clone();
        let proved = self.run(move || match database.map_or_else(|| open(&path), Ok) {
            Ok(database) => done(database, |database| commit(database, 0)),
            Err(error) => (None, Err(StoreError::Connect(error.into()))),
        });
        proved.await.map(|_count| ())
    }

    async fn add(&mut self, Addition { hits, .. }: Addition) -> Result<u64, StoreError> {
        match self.database.take() {
            Some(database) => self.run(move || done(database, |database| add(database, hits))).await,
            None => self.finish().await,
        }
    }

    async fn disconnected(&mut self) -> StoreError {
        std::future::pending().await
    }

    async fn close(&mut self) {
        drop(self.finish().await);
        if let Some(database) = self.database.take() {
            // redb commits once more when it is dropped.
            drop(spawn_blocking(move || drop(database)).await);
        }
    }
}

/// Keeps the database after a success. After a failure closes it here, where that may block.
fn done(database: Database, work: impl FnOnce(&Database) -> Result<u64, StoreError>) -> Done {
    let result = work(&database);
    (result.is_ok().then_some(database), result)
}

fn open(path: &Path) -> Result<Database, OpenError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::File(path.to_owned(), error);
    let folder = path.parent().unwrap_or(Path::new(""));
    let touched = touched(folder);
    fs::create_dir_all(folder).map_err(|e| failed(e.into()))?;
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked(path.to_owned()),
        other => failed(other.into()),
    })?;
    // The names of the file and its folders must survive a loss of power, as its content does.
    for folder in touched {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed(e.into()))?;
    }
    Ok(database)
}

/// The folders that get a new entry when `folder` and a file in it are created: itself and its ancestors,
/// up to the first that already exists.
fn touched(folder: &Path) -> Vec<PathBuf> {
    let mut touched = Vec::new();
    for folder in folder.ancestors() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        touched.push(folder.to_owned());
        if folder.exists() {
            break;
        }
    }
    touched
}

/// Adds `hits`, or only reads if they are zero: a probe of an idle app is not worth a flush.
fn add(database: &Database, hits: u64) -> Result<u64, StoreError> {
    if hits == 0 { read(database) } else { commit(database, hits) }
}

fn read(database: &Database) -> Result<u64, StoreError> {
    let refused = |error: redb::Error| StoreError::Refused(error.into());
    let transaction = database.begin_read().map_err(|e| refused(e.into()))?;
    let table = transaction.open_table(TABLE).map_err(|e| refused(e.into()))?;
    Ok(table.get(KEY).map_err(|e| refused(e.into()))?.map_or(0, |count| count.value()))
}

/// Adds and commits. After an error before the commit, nothing was counted.
fn commit(database: &Database, hits: u64) -> Result<u64, StoreError> {
    let refused = |error: redb::Error| StoreError::Refused(error.into());
    let transaction = database.begin_write().map_err(|e| refused(e.into()))?;
    let count = {
        let mut table = transaction.open_table(TABLE).map_err(|e| refused(e.into()))?;
        let before = table.get(KEY).map_err(|e| refused(e.into()))?.map_or(0, |count| count.value());
        let count = before
            .checked_add(hits)
            .filter(|count| *count <= MAX)
            .ok_or_else(|| StoreError::NotACount(format!("{before} cannot grow by {hits}")))?;
        table.insert(KEY, count).map_err(|e| refused(e.into()))?;
        count
    };
    transaction.commit().map_err(|e| StoreError::Lost(redb::Error::from(e).into()))?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{task::JoinSet, time::timeout};

    use super::*;
    use crate::counter::{Counter, Limits, StoreConfig};

    const HANG_GUARD: Duration = Duration::from_secs(30);

    fn counter(path: &Path) -> Counter {
        Counter::open(&StoreConfig::File(path.to_owned()), Limits::default()).unwrap()
    }

    #[tokio::test]
    async fn counting_resumes_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("created/on/the/way/hits.redb");
        for expected in 1..=3 {
            let counter = counter(&path);
            assert_eq!(counter.hit().await.unwrap(), expected);
            timeout(HANG_GUARD, counter.close()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn clones_share_one_count_and_return_every_number_once() {
        let folder = tempfile::tempdir().unwrap();
        let counter = counter(&folder.path().join("hits.redb"));
        let mut hits = JoinSet::new();
        for _ in 0..200 {
            let replica = counter.clone();
            hits.spawn(async move { replica.hit().await.unwrap() });
        }
        let mut numbers = timeout(HANG_GUARD, hits.join_all()).await.unwrap();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_file_in_use_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.redb");
        let _first = counter(&path);
        let second = Counter::open(&StoreConfig::File(path), Limits::default());
        let error = second.unwrap_err();
        assert!(matches!(error, OpenError::Locked(_)), "{error}");
    }

    #[tokio::test]
    async fn a_file_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.redb");
        fs::write(&path, vec![b'x'; 10_000]).unwrap();
        let opened = Counter::open(&StoreConfig::File(path), Limits::default());
        assert!(matches!(opened, Err(OpenError::File(..))), "{opened:?}");
    }

    #[test]
    fn the_count_stops_at_the_maximum_of_redis() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder.path().join("hits.redb")).unwrap();
        assert_eq!(commit(&database, MAX).unwrap(), MAX);
        assert!(matches!(commit(&database, 1), Err(StoreError::NotACount(_))));
        assert_eq!(commit(&database, 0).unwrap(), MAX, "nothing was counted");
    }

    #[test]
    fn an_addition_of_nothing_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.redb");
        let database = open(&path).unwrap();
        assert_eq!(commit(&database, 3).unwrap(), 3);
        let before = fs::read(&path).unwrap();
        assert_eq!(add(&database, 0).unwrap(), 3);
        assert!(fs::read(&path).unwrap() == before, "the file changed");
        assert_eq!(add(&database, 1).unwrap(), 4);
        assert!(fs::read(&path).unwrap() != before, "the file did not change");
    }

    #[test]
    fn every_folder_with_a_new_entry_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path();
        assert_eq!(touched(there), [there]);
        assert_eq!(touched(&there.join("a/b")), [there.join("a/b"), there.join("a"), there.to_owned()]);
        assert_eq!(touched(Path::new("")), [Path::new(".")]);
        assert_eq!(touched(Path::new("not-there")), [Path::new("not-there"), Path::new(".")]);
    }

    /// The caller gives up each attempt of the slow disk long before it ends.
    #[tokio::test]
    async fn a_slow_disk_connects_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.redb");
        let mut store = Embedded::open(&path).unwrap();
        store.add(Addition::PROBE).await.unwrap_err();
        let (finish, slow) = std::sync::mpsc::channel::<()>();
        let opening = path.clone();
        let job = store.run(move || {
            slow.recv().unwrap();
            done(open(&opening).unwrap(), |database| commit(database, 5))
        });
        assert!(timeout(Duration::from_millis(20), job).await.is_err());
        assert!(timeout(Duration::from_millis(20), store.connect()).await.is_err());
        finish.send(()).unwrap();
        timeout(HANG_GUARD, store.connect()).await.unwrap().unwrap();
        assert_eq!(store.add(Addition { sequence: 1, hits: 1 }).await.unwrap(), 6);
        store.close().await;
        assert_eq!(read(&open(&path).unwrap()).unwrap(), 6, "it is closed");
    }
}
