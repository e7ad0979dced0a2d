//! The count in a file, for a machine without Redis: one table with one number, in redb.
//!
//! redb commits by writing a checksummed copy and flushing it to the disk before it switches over,
//! so a count that was answered survives the loss of the process or of the power, and a torn write
//! is found and undone when the file is opened next.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{Database, DatabaseError, ReadableTable, TableDefinition};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{OpenError, Store, StoreError};

const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("count");
const KEY: &str = "hits";

/// The largest count of Redis, so that a count can be moved there.
const MAX: u64 = i64::MAX.unsigned_abs();

/// One number needs no cache to speak of; redb's default is sized for databases.
const CACHE_BYTES: usize = 1 << 20;

pub(super) struct Embedded {
    path: PathBuf,
    /// `None` after a failure: redb refuses to go on after an I/O error until it is opened anew.
    database: Option<Arc<Database>>,
    /// A commit under way. It goes on when its caller gives up, and must end before the next.
    commit: Option<JoinHandle<Result<u64, StoreError>>>,
}

impl Embedded {
    /// Opens the file, and makes it and its folder where they are missing.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { path: path.to_owned(), database: Some(Arc::new(open(path)?)), commit: None })
    }

    /// Waits for the commit under way, if any, and forgets the database if it failed.
    async fn finish(&mut self) -> Result<u64, StoreError> {
        let Some(commit) = &mut self.commit else {
            return Err(StoreError::Connect("the file is closed".into()));
        };
        // Awaited in place: when this future is dropped the handle stays for `connect`.
        let done = commit.await;
        self.commit = None;
        let result = done.unwrap_or_else(|failure| Err(StoreError::Lost(failure.into())));
        if result.is_err() {
            self.database = None;
        }
        result
    }
}

impl Store for Embedded {
    async fn connect(&mut self) -> Result<(), StoreError> {
        if self.commit.is_some() {
            // What became of it was told as unknown to those it was for.
            drop(self.finish().await);
        }
        if self.database.is_none() {
            let path = self.path.clone();
            let database = spawn_blocking(move || open(&path))
                .await
                .map_err(|failure| StoreError::Connect(failure.into()))?
                .map_err(|error| StoreError::Connect(error.into()))?;
            self.database = Some(Arc::new(database));
        }
        self.add(0).await.map(|_count| ())
    }

    async fn add(&mut self, hits: u64) -> Result<u64, StoreError> {
        if let Some(database) = &self.database {
            let database = Arc::clone(database);
            // The flush blocks for as long as the disk takes.
            self.commit = Some(spawn_blocking(move || add(&database, hits)));
        }
        self.finish().await
    }

    async fn lost(&mut self) -> StoreError {
        std::future::pending().await
    }
}

fn open(path: &Path) -> Result<Database, OpenError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::File(path.to_owned(), error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(|e| failed(e.into()))?;
    let database = Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked(path.to_owned()),
        other => failed(other.into()),
    })?;
    // The file's name must survive a loss of power as its content does.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed(e.into()))?;
    Ok(database)
}

/// Adds and commits. An error before the commit counted nothing.
fn add(database: &Database, hits: u64) -> Result<u64, StoreError> {
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

    const PATIENCE: Duration = Duration::from_secs(30);

    fn counter(path: &Path) -> Counter {
        Counter::open(&StoreConfig::File(path.to_owned()), Limits::default()).unwrap()
    }

    #[tokio::test]
    async fn counting_goes_on_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/on/the/way/hits.redb");
        for expected in 1..=3 {
            let counter = counter(&path);
            assert_eq!(counter.hit().await.unwrap(), expected);
            timeout(PATIENCE, counter.close()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn clones_share_one_count_and_give_every_number_once() {
        let folder = tempfile::tempdir().unwrap();
        let counter = counter(&folder.path().join("hits.redb"));
        let mut hits = JoinSet::new();
        for _ in 0..200 {
            let replica = counter.clone();
            hits.spawn(async move { replica.hit().await.unwrap() });
        }
        let mut numbers = timeout(PATIENCE, hits.join_all()).await.unwrap();
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
    fn the_count_stops_at_the_largest_number_of_redis() {
        let folder = tempfile::tempdir().unwrap();
        let database = open(&folder.path().join("hits.redb")).unwrap();
        assert_eq!(add(&database, MAX).unwrap(), MAX);
        assert!(matches!(add(&database, 1), Err(StoreError::NotACount(_))));
        assert_eq!(add(&database, 0).unwrap(), MAX, "nothing was counted");
    }
}
