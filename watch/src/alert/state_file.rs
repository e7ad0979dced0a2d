//! What this instance knows to be announced, in a file.
//!
//! Without Redis, or while Redis is unavailable, a restarted instance would announce again everything that is still
//! firing, and no end of what it announced before. The file has the format of the notification log, with the times of
//! this machine. It is written after each change, beside it first, so that it is complete or absent.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tokio::{sync::watch, task::JoinHandle};
use tracing::{info, warn};

use super::notification_log::{LogEntry, NotificationLog};
use crate::cluster_state::Millis;

/// The most bytes that are read.
const MAX_SIZE: u64 = 64 << 20;

/// Entries by channel and fingerprint.
pub(super) type Entries = Vec<(String, String, LogEntry)>;

/// A file that is written by a task of its own: alerts must not wait for a slow disk.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    texts: watch::Sender<String>,
    task: JoinHandle<()>,
}

impl StateFile {
    /// Opens a file, and returns what it contains. A file that cannot be used counts as empty.
    pub(super) fn open(path: PathBuf, now: Millis) -> (Self, Entries) {
        let text = read(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(file = %path.display(), %error, "cannot read the state file: messages may be sent again");
            }
            String::new()
        });
        let mut log = NotificationLog::default();
        if !text.is_empty() {
            log = serde_json::from_str(&text).unwrap_or_else(|error| {
                warn!(file = %path.display(), %error, "the state file is damaged: messages may be sent again");
                log
            });
        }
        // The machine's clock may have been ahead when the file was written.
        log.clamp_times(now);
        log.prune(now);
        let owned = |(channel, fingerprint, entry): (&str, &str, &LogEntry)| {
            (channel.to_owned(), fingerprint.to_owned(), entry.clone())
        };
        let entries = log.entries().map(owned).collect();
        let (texts, changed) = watch::channel(text);
        let task = tokio::spawn(write_changes(path.clone(), changed));
        (Self { path, texts, task }, entries)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `log` in the background if it has changed.
    pub(super) fn save(&self, log: &NotificationLog) {
        // A map of strings and numbers always has a representation.
        let Ok(new) = serde_json::to_string(log) else { return };
        self.texts.send_if_modified(|text| {
            let is_new = *text != new;
            *text = new;
            is_new
        });
    }

    /// Waits until the last change is written.
    pub(super) async fn close(self) {
        drop(self.texts);
        // A failure was logged.
        drop(self.task.await);
    }
}

async fn write_changes(path: PathBuf, mut texts: watch::Receiver<String>) {
    let mut is_failing = false;
    while texts.changed().await.is_ok() {
        let (path, text) = (path.clone(), texts.borrow_and_update().clone());
        let shown = path.display().to_string();
        let written = tokio::task::spawn_blocking(move || write(&path, &text)).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                if std::mem::take(&mut is_failing) {
                    info!(file = shown, "the state file is written again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(file = shown, %error, "cannot write the state file: after a restart, messages are sent again");
                }
            }
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SIZE).read_to_string(&mut text)?;
    Ok(text)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::{condition::Subject, notification_log::Status},
        cluster_state::Severity,
    };

    fn entry(at: Millis) -> LogEntry {
        LogEntry {
            status: Status::Firing,
            at,
            thread: "i.1.0".into(),
            rule: "node_down".into(),
            severity: Severity::Critical,
            since: at,
            summary: "a is down".into(),
            subject: Subject::default(),
        }
    }

    #[tokio::test]
    async fn what_was_saved_is_there_after_a_restart_and_a_damaged_file_counts_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.json");
        let (file, entries) = StateFile::open(path.clone(), 1000);
        assert_eq!(entries, []);
        let mut log = NotificationLog::default();
        log.restore("mail", "node_down/a", entry(900));
        file.save(&log);
        file.close().await;
        let (file, entries) = StateFile::open(path.clone(), 1000);
        assert_eq!(entries, [("mail".to_owned(), "node_down/a".to_owned(), entry(900))]);
        file.close().await;
        // A clock that was ahead must not keep entries forever.
        let (file, entries) = StateFile::open(path.clone(), 500);
        assert_eq!(entries[0].2.at, 500);
        file.close().await;
        fs::write(&path, "{\"channels\": 7").unwrap();
        let (file, entries) = StateFile::open(path.clone(), 1000);
        assert_eq!(entries, []);
        file.save(&log);
        file.close().await;
        assert_eq!(StateFile::open(path, 1000).1.len(), 1);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_does_not_stop_anything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("alerts.json");
        let (file, entries) = StateFile::open(path, 1000);
        assert_eq!(entries, []);
        let mut log = NotificationLog::default();
        log.restore("mail", "node_down/a", entry(900));
        file.save(&log);
        file.close().await;
    }
}
