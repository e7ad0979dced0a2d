//! Reads the file of a source.
//!
//! The file is read as a whole each time: a time stamp may stay the same over a change, and notifications of the kernel
//! do not arrive from every kind of mount. New contents are used when a second look finds the same, because a program
//! that writes the file in place empties it first. A program that renames a complete file to this name needs no luck.
//!
//! A thread of its own reads it. On a network file system that hangs, the thread hangs, and neither the health checks
//! nor another lookup wait for it.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use super::parse;
use crate::upstream::discovery::listing::Listing;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// How long a read may take before the lookup fails.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long new contents must stay the same.
const SETTLE: Duration = Duration::from_millis(50);

/// How often new contents are looked at before the lookup fails.
const MAX_LOOKS: usize = 20;

/// Reads one file.
pub(in crate::upstream) struct Client {
    path: PathBuf,
    /// The thread that reads, if a lookup gave up waiting for it.
    reading: Option<oneshot::Receiver<io::Result<Vec<u8>>>>,
    known: Option<Known>,
}

/// The last contents, and what they mean.
struct Known {
    contents: Vec<u8>,
    meaning: Result<Listing, String>,
}

impl Client {
    /// Creates a client that has not read the file yet.
    pub(in crate::upstream) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), reading: None, known: None }
    }

    /// Returns what the file lists.
    ///
    /// # Errors
    /// Why it cannot be read, or what is wrong with its contents.
    pub(in crate::upstream) async fn query(&mut self) -> Result<Listing, String> {
        let known = self.known.take();
        let (path, reading) = (&self.path, &mut self.reading);
        let contents =
            settled(async || read(path, reading).await, known.as_ref().map(|known| &known.contents[..])).await;
        let contents = match contents {
            Ok(contents) => contents,
            Err(error) => {
                self.known = known;
                return Err(error);
            }
        };
        let known = known.filter(|known| known.contents == contents);
        let known = self.known.insert(known.unwrap_or_else(|| Known { meaning: parse(&contents), contents }));
        known.meaning.clone()
    }
}

/// Reads until the contents are the `known` ones, or the same twice in a row.
async fn settled(
    mut read: impl AsyncFnMut() -> Result<Vec<u8>, String>,
    known: Option<&[u8]>,
) -> Result<Vec<u8>, String> {
    let mut before = read().await?;
    for _ in 0..MAX_LOOKS {
        if known == Some(&before) {
            return Ok(before);
        }
        sleep(SETTLE).await;
        let now = read().await?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err("the file changes all the time".to_owned())
}

/// Reads the file in a thread of its own, or waits on for the one that still does.
async fn read(path: &Path, reading: &mut Option<oneshot::Receiver<io::Result<Vec<u8>>>>) -> Result<Vec<u8>, String> {
    let mut receiver = match reading.take() {
        Some(receiver) => receiver,
        None => start_reading(path.to_owned()).map_err(|error| format!("cannot be read: {error}"))?,
    };
    match timeout(READ_TIMEOUT, &mut receiver).await {
        Ok(Ok(contents)) => contents.map_err(|error| format!("cannot be read: {error}")),
        Ok(Err(_)) => Err("cannot be read".to_owned()),
        Err(_) => {
            *reading = Some(receiver);
            Err(format!("not read within {READ_TIMEOUT:?}"))
        }
    }
}

fn start_reading(path: PathBuf) -> io::Result<oneshot::Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = oneshot::channel();
    let read = move || {
        // Nobody may wait for it any more.
        drop(sender.send(contents(&path)));
    };
    thread::Builder::new().name("edge-file".to_owned()).spawn(read)?;
    Ok(receiver)
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a named pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut contents = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Returns what is read if the file has these contents, one after the other.
    async fn settle(contents: &[&str], known: Option<&str>) -> (Result<String, String>, usize) {
        let mut reads = 0;
        let read = async || {
            reads += 1;
            Ok(contents[(reads - 1).min(contents.len() - 1)].as_bytes().to_vec())
        };
        let result = settled(read, known.map(str::as_bytes)).await;
        (result.map(|bytes| String::from_utf8(bytes).unwrap()), reads)
    }

    #[tokio::test(start_paused = true)]
    async fn new_contents_are_read_until_they_stay_the_same() {
        assert_eq!(settle(&["a"], Some("a")).await, (Ok("a".to_owned()), 1));
        assert_eq!(settle(&["a"], None).await, (Ok("a".to_owned()), 2));
        assert_eq!(settle(&["", "a", "ab"], Some("x")).await, (Ok("ab".to_owned()), 4));
        // Written in place, and again as before.
        assert_eq!(settle(&["", "ab"], Some("ab")).await, (Ok("ab".to_owned()), 2));
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(settle(&many, None).await, (Err("the file changes all the time".to_owned()), MAX_LOOKS + 1));
    }

    async fn found(client: &mut Client) -> Result<Vec<String>, String> {
        let listing = client.query().await?;
        Ok(listing.endpoints.keys().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn file_may_appear_be_replaced_and_vanish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.endpoints");
        let mut client = Client::new(&path);
        assert!(found(&mut client).await.unwrap_err().contains("No such file"));
        fs::write(&path, "10.0.0.1:80\n").unwrap();
        assert_eq!(found(&mut client).await.unwrap(), ["10.0.0.1:80"]);
        fs::write(folder.path().join("new"), "10.0.0.2:80\n").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(found(&mut client).await.unwrap(), ["10.0.0.2:80"]);
        fs::write(&path, "10.0.0.2:80\nweb:80\n").unwrap();
        for _ in 0..2 {
            assert!(found(&mut client).await.unwrap_err().starts_with("line 2: "));
        }
        fs::remove_file(&path).unwrap();
        assert!(found(&mut client).await.unwrap_err().contains("No such file"));
        // As Kubernetes and Docker mount configurations.
        fs::write(folder.path().join("version-2"), "10.0.0.3:80").unwrap();
        symlink("version-2", &path).unwrap();
        assert_eq!(found(&mut client).await.unwrap(), ["10.0.0.3:80"]);
    }

    #[tokio::test]
    async fn what_is_not_a_file_or_too_large_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let of = async |path: &Path| found(&mut Client::new(path)).await.unwrap_err();
        assert!(of(folder.path()).await.ends_with("it is not a file"));
        assert!(of(Path::new("/dev/zero")).await.ends_with("it is not a file"));
        let large = folder.path().join("large");
        fs::write(&large, vec![b'#'; 1 + (1 << 20)]).unwrap();
        assert!(of(&large).await.ends_with("it is larger than 1048576 bytes"));
    }
}
