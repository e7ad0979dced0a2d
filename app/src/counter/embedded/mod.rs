//! The count in a file, for a machine without Redis: one table with one number, in redb.
//!
//! redb commits by writing a checksummed copy and flushing it to the disk before it switches over.
//! So a returned number survives a crash and a loss of power, and a torn write
//! is found and rolled back when the file is next opened. A damaged file is never opened, so it stays as it is.

mod count;
mod examine;
mod reserve;

use std::{
    error::Error,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use redb::{Database, DatabaseError};
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

use self::{count::CACHE_BYTES, reserve::Reserve};
use super::{
    error::{OpenError, StoreError},
    store::{Addition, Store},
};

pub(super) struct Embedded {
    path: PathBuf,
    /// `None` while a job has it, and after a failure: after an I/O error redb refuses to continue until it is
    /// reopened.
    file: Option<CountFile>,
    /// The disk operation under way. It continues if its caller gives up, and must end before the next begins.
    job: Option<JoinHandle<Done>>,
}

/// The open file, and the numbers that are reserved for it.
#[derive(Debug)]
struct CountFile {
    database: Database,
    reserve: Reserve,
}

/// The result of a job, with the file if it is still usable.
type Done = (Option<CountFile>, Result<u64, StoreError>);

impl Embedded {
    /// Opens the file, and creates it and its folder if they are missing.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { path: path.to_owned(), file: Some(open(path)?), job: None })
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
        let (file, result) = done.unwrap_or_else(|failure| (None, Err(StoreError::Lost(failure.into()))));
        self.file = file;
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
        let file = self.file.take();
        let path = self.path.clone();
        let proved = self.run(move || match file.map_or_else(|| open(&path), Ok) {
            Ok(file) => done(file, |file| commit(file, 0)),
            Err(error) => (None, Err(StoreError::Connect(error.into()))),
        });
        proved.await.map(|_count| ())
    }

    async fn add(&mut self, Addition { hits, .. }: Addition) -> Result<u64, StoreError> {
        match self.file.take() {
            Some(file) => self.run(move || done(file, |file| add(file, hits))).await,
            None => self.finish().await,
        }
    }

    async fn disconnected(&mut self) -> StoreError {
        std::future::pending().await
    }

    async fn close(&mut self) {
        drop(self.finish().await);
        if let Some(file) = self.file.take() {
            // redb commits once more when it is dropped.
            drop(spawn_blocking(move || drop(file)).await);
        }
    }
}

/// Keeps the file after a success. After a failure closes it here, where that may block.
fn done(mut file: CountFile, work: impl FnOnce(&mut CountFile) -> Result<u64, StoreError>) -> Done {
    let result = work(&mut file);
    (result.is_ok().then_some(file), result)
}

fn open(path: &Path) -> Result<CountFile, OpenError> {
    let failed = |error: io::Error| OpenError::File(path.to_owned(), error.into());
    let folder = path.parent().unwrap_or(Path::new(""));
    let touched = touched(folder);
    fs::create_dir_all(folder).map_err(failed)?;
    let reserve = if path.try_exists().map_err(failed)? {
        examine::examine(path)?;
        // The count itself is known, so a reserve that is lost or damaged is replaced.
        Reserve::read(path).unwrap_or_else(|_| Reserve::none(path))
    } else {
        let reserve = Reserve::read(path).map_err(|error| {
            let is_damaged = error.kind() == io::ErrorKind::InvalidData;
            let reason = if is_damaged { OpenError::ReserveDamaged } else { OpenError::File };
            reason(Reserve::beside(path), error.into())
        })?;
        if reserve.limit() > 0 {
            let (file, reserved) = (path.display(), reserve.limit());
            warn!(%file, reserved, "the file of the count is missing; counting continues after the reserved numbers");
        }
        create(path, reserve.limit())?;
        reserve
    };
    let database = database(path)?;
    // The names of the file and its folders must survive a loss of power, as its content does.
    for folder in touched {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(CountFile { database, reserve })
}

fn database(path: &Path) -> Result<Database, OpenError> {
    Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked(path.to_owned()),
        other => OpenError::File(path.to_owned(), other.into()),
    })
}

/// Creates the file with this count. It gets its name when it is complete, so that a crash leaves no damaged one.
fn create(path: &Path, count: u64) -> Result<(), OpenError> {
    let failed = |error: Box<dyn Error + Send + Sync>| OpenError::File(path.to_owned(), error);
    let new = path.with_extension(format!("redb.{:016x}.new", fastrand::u64(..)));
    let created = database(&new)
        .and_then(|database| count::commit(&database, count, |_| Ok(())).map_err(|error| failed(error.into())));
    let named = created.and_then(|_| match renameat_with(CWD, &new, CWD, path, RenameFlags::NOREPLACE) {
        // Some file systems cannot rename this way.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&new, path).map_err(|error| failed(error.into())),
        // Another process was faster; opening the file says so.
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(failed(io::Error::from(error).into())),
    });
    // It is left behind after an error, and if another process was faster.
    drop(fs::remove_file(&new));
    named
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
fn add(file: &mut CountFile, hits: u64) -> Result<u64, StoreError> {
    if hits == 0 { count::read(&file.database) } else { commit(file, hits) }
}

/// Adds and commits.
fn commit(file: &mut CountFile, hits: u64) -> Result<u64, StoreError> {
    let CountFile { database, reserve } = file;
    count::commit(database, hits, |count| reserve.raise(count).map_err(|error| StoreError::Refused(error.into())))
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
        assert!(matches!(opened, Err(OpenError::Damaged(..))), "{opened:?}");
    }

    /// Whatever was overwritten, the file is either refused and stays as it is, or counts on.
    #[tokio::test]
    async fn a_damaged_file_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.redb");
        let counter = counter(&path);
        assert_eq!(counter.hit().await.unwrap(), 1);
        timeout(HANG_GUARD, counter.close()).await.unwrap();
        let whole = fs::read(&path).unwrap();
        let mut refused = 0;
        let damage = |start: usize, length: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes.iter_mut().skip(start).take(length).for_each(|place| *place = byte);
            bytes
        };
        let blocks = (0..whole.len()).step_by(4096).take(64).flat_map(|start| [(start, 0xff), (start, 0)]);
        let mut damaged: Vec<_> = blocks.map(|(start, byte)| damage(start, 64, byte)).collect();
        damaged.extend((0..320).step_by(32).map(|start| damage(start, 64, 0xff)));
        damaged.extend([0, 1, 64, 4096, whole.len() / 2].map(|length| whole[..length].to_vec()));
        damaged.extend([damage(0, whole.len(), 0), damage(0, whole.len(), 0xff), damage(512, whole.len(), 0)]);
        damaged.extend([vec![0xff; 64], vec![0; 64]]);
        for bytes in damaged {
            fs::write(&path, &bytes).unwrap();
            match open(&path) {
                Ok(mut file) => assert_eq!(commit(&mut file, 1).unwrap(), 2),
                Err(error) => {
                    assert!(matches!(error, OpenError::Damaged(..)), "{error}");
                    assert!(fs::read(&path).unwrap() == bytes, "the file was changed");
                    refused += 1;
                }
            }
        }
        assert!(refused > 15, "{refused}");
    }

    #[test]
    fn a_lost_file_repeats_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.redb");
        let mut file = open(&path).unwrap();
        assert_eq!(add(&mut file, 5).unwrap(), 5);
        drop(file);
        fs::remove_file(&path).unwrap();
        assert_eq!(add(&mut open(&path).unwrap(), 1).unwrap(), 1006);
        fs::remove_file(&path).unwrap();
        // What cannot be read need not be damaged.
        fs::remove_file(Reserve::beside(&path)).unwrap();
        fs::create_dir(Reserve::beside(&path)).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::File(..)), "{error}");
        fs::remove_dir(Reserve::beside(&path)).unwrap();
        fs::write(Reserve::beside(&path), "\0\0").unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::ReserveDamaged(..)), "{error}");
        assert!(error.to_string().contains("write a number into it that exceeds every returned one"), "{error}");
        assert!(!path.exists(), "nothing was changed");
        fs::write(Reserve::beside(&path), "5000\n").unwrap();
        assert_eq!(add(&mut open(&path).unwrap(), 1).unwrap(), 5001);
        fs::remove_file(&path).unwrap();
        fs::remove_file(Reserve::beside(&path)).unwrap();
        assert_eq!(add(&mut open(&path).unwrap(), 1).unwrap(), 1, "with both removed, the count begins again");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn the_count_stops_at_the_maximum_of_redis() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(&folder.path().join("hits.redb")).unwrap();
        assert_eq!(commit(&mut file, count::MAX).unwrap(), count::MAX);
        assert!(matches!(commit(&mut file, 1), Err(StoreError::NotACount(_))));
        assert_eq!(commit(&mut file, 0).unwrap(), count::MAX, "nothing was counted");
    }

    #[test]
    fn an_addition_of_nothing_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hits.redb");
        let mut file = open(&path).unwrap();
        assert_eq!(commit(&mut file, 3).unwrap(), 3);
        let before = fs::read(&path).unwrap();
        assert_eq!(add(&mut file, 0).unwrap(), 3);
        assert!(fs::read(&path).unwrap() == before, "the file changed");
        assert_eq!(add(&mut file, 1).unwrap(), 4);
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
        assert_eq!(store.add(Addition::PROBE).await.unwrap(), 0);
        drop(store.file.take());
        let (finish, slow) = std::sync::mpsc::channel::<()>();
        let opening = path.clone();
        let job = store.run(move || {
            slow.recv().unwrap();
            done(open(&opening).unwrap(), |file| commit(file, 5))
        });
        assert!(timeout(Duration::from_millis(20), job).await.is_err());
        assert!(timeout(Duration::from_millis(20), store.connect()).await.is_err());
        finish.send(()).unwrap();
        timeout(HANG_GUARD, store.connect()).await.unwrap().unwrap();
        assert_eq!(store.add(Addition { sequence: 1, hits: 1 }).await.unwrap(), 6);
        store.close().await;
        assert_eq!(count::read(&open(&path).unwrap().database).unwrap(), 6, "it is closed");
    }
}
