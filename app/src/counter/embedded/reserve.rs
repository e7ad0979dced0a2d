//! A number that no returned number exceeds, as text in a file beside the count. If the file of the count is lost,
//! counting continues after it, so that no number is returned twice; some are skipped.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::count::MAX;

/// How far ahead of the count numbers are reserved. The file is written once for so many visits.
const STEP: u64 = 1000;

/// The reserved numbers of one count.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// The last reserved number.
    limit: u64,
}

impl Reserve {
    /// Returns the name of the file beside the file of the count.
    pub(super) fn beside(count: &Path) -> PathBuf {
        count.with_extension("reserved")
    }

    /// Reads the reserve beside the file of the count. None is zero.
    ///
    /// # Errors
    /// It cannot be read, or is not a number.
    pub(super) fn read(count: &Path) -> io::Result<Self> {
        let path = Self::beside(count);
        let limit = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { path, limit: MAX.min(limit) })
    }

    /// Returns a reserve of no numbers, which replaces the one beside the file of the count.
    pub(super) fn none(count: &Path) -> Self {
        Self { path: Self::beside(count), limit: 0 }
    }

    /// The last reserved number.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Reserves `count` and further numbers, unless it is reserved already.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn raise(&mut self, count: u64) -> io::Result<()> {
        if count <= self.limit {
            return Ok(());
        }
        let limit = count.saturating_add(STEP).min(MAX);
        let new = self.path.with_extension("reserved.new");
        let mut file = File::create(&new)?;
        writeln!(file, "{limit}")?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The name must survive a loss of power as well.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        self.limit = limit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reserved_ahead_of_the_count() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("hits.redb");
        let mut reserve = Reserve::read(&count).unwrap();
        assert_eq!(reserve.limit(), 0);
        for (number, limit) in [(0, 0), (1, 1001), (1001, 1001), (1002, 2002), (MAX, MAX)] {
            reserve.raise(number).unwrap();
            assert_eq!(reserve.limit(), limit, "{number}");
            assert_eq!(Reserve::read(&count).unwrap().limit(), limit, "{number}");
        }
        fs::write(Reserve::beside(&count), "much").unwrap();
        assert!(Reserve::read(&count).is_err());
    }
}
