//! Reads the files that the settings name.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs::File,
    hash::{Hash, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The maximum size of a file, in bytes. A bundle of all public authorities has 200 KB.
const MAX_SIZE: u64 = 1024 * 1024;

/// What files contained, or why they could not be read. Never displayed.
#[derive(Default)]
pub(crate) struct Contents(BTreeMap<PathBuf, Result<Vec<u8>, io::ErrorKind>>);

impl Contents {
    /// Reads files of at most 1 MiB. Blocks.
    pub(crate) fn read<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Self {
        let mut contents = Self::default();
        for path in paths {
            contents.note(path, &read(path));
        }
        contents
    }

    /// Adds the content of a file.
    pub(crate) fn note(&mut self, path: &Path, content: &io::Result<Vec<u8>>) {
        let content = match content {
            Ok(bytes) => Ok(bytes.clone()),
            Err(error) => Err(error.kind()),
        };
        self.0.insert(path.to_owned(), content);
    }

    /// Returns the content of a file.
    pub(crate) fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.0.get(path) {
            Some(Ok(content)) => Ok(content.clone()),
            Some(Err(kind)) => Err((*kind).into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A number that changes with the contents.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_SIZE + 1).read_to_end(&mut content)?;
    if u64::try_from(content.len()).is_ok_and(|size| size <= MAX_SIZE) {
        Ok(content)
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_changes_with_every_content_and_a_large_file_is_an_error() {
        let path = std::env::temp_dir().join(format!("redis-config-{}", std::process::id()));
        let fingerprint = || Contents::read([&path].into_iter()).fingerprint();
        let missing = fingerprint();
        std::fs::write(&path, "one").unwrap();
        let one = fingerprint();
        std::fs::write(&path, "two").unwrap();
        let two = fingerprint();
        std::fs::write(&path, vec![0; 1024 * 1024 + 1]).unwrap();
        let large = Contents::read([&path].into_iter()).file(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(missing != one && one != two && missing == fingerprint());
        assert_eq!(large.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
