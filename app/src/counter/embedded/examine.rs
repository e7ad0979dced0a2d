//! Examines the file of the count before it is opened for writing, so that a damaged one is reported and stays as it is.
//!
//! Opening repairs what a crash left behind, and writes. redb may also panic where it meets damage. So it first opens a
//! copy in memory, verifies all checksums, and counts there.

use std::{
    error::Error,
    fs::{File, TryLockError},
    io::{self, Read},
    path::Path,
};

use redb::{Database, StorageBackend, backends::InMemoryBackend};

use super::count::{CACHE_BYTES, commit};
use crate::counter::error::OpenError;

/// No file of a count is larger, in bytes: it holds one number, and redb begins with less than 2 MiB.
const MAX_LENGTH: u64 = 256 << 20;

/// Checks that counting can continue in the file.
///
/// # Errors
/// It cannot be read, another process has it open, or it is damaged.
pub(super) fn examine(path: &Path) -> Result<(), OpenError> {
    let failed = |error: io::Error| OpenError::File(path.to_owned(), error.into());
    let damaged = |error| OpenError::Damaged(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    // redb holds the same lock. Without a lock the file may change while it is read.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(OpenError::Locked(path.to_owned()));
    }
    let length = file.metadata().map_err(failed)?.len();
    if length == 0 {
        return Err(damaged("it is empty".into()));
    }
    if length > MAX_LENGTH {
        return Err(damaged(format!("it has {length} bytes, more than one number takes").into()));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    match process::catch_panic(move || count_in_copy(&bytes)) {
        Ok(counted) => counted.map_err(damaged),
        Err(panic) => Err(damaged(panic.into())),
    }
}

/// Counts in a copy of the file.
fn count_in_copy(bytes: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let copy = InMemoryBackend::new();
    let fits = "the file does not fit into memory";
    copy.set_len(bytes.len().try_into()?).map_err(|_| fits)?;
    StorageBackend::write(&copy, 0, bytes).map_err(|_| fits)?;
    let mut database = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(copy)?;
    database.check_integrity()?;
    commit(&database, 1, |_| Ok(()))?;
    Ok(())
}
