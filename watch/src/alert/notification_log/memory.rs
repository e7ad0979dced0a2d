//! A store for tests, which can fail and be slow.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::store::{Answer, LogError, Snapshot, Store};
use crate::alert::time::millis;

/// Keeps the log in memory. Its clock is an hour ahead.
#[derive(Debug)]
pub(in crate::alert) struct Memory {
    kept: Mutex<Kept>,
    began: Instant,
}

#[derive(Debug, Default)]
struct Kept {
    version: u64,
    text: String,
    is_down: bool,
    delay: Duration,
}

impl Memory {
    pub(in crate::alert) fn new() -> Self {
        Self { kept: Mutex::default(), began: Instant::now() }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::alert) fn down(&self, is_down: bool) {
        self.kept().is_down = is_down;
    }

    pub(in crate::alert) fn delay(&self, delay: Duration) {
        self.kept().delay = delay;
    }

    async fn wait(&self) -> Result<(), LogError> {
        let (is_down, delay) = {
            let kept = self.kept();
            (kept.is_down, kept.delay)
        };
        tokio::time::sleep(delay).await;
        if is_down { Err(LogError::Store("down".to_owned())) } else { Ok(()) }
    }
}

impl Store for Memory {
    fn load(&self) -> Answer<'_, Snapshot> {
        Box::pin(async {
            self.wait().await?;
            let kept = self.kept();
            let version = if kept.version == 0 { String::new() } else { kept.version.to_string() };
            Ok(Snapshot { version, text: kept.text.clone(), now: millis(self.began.elapsed()) + 3_600_000 })
        })
    }

    fn swap(&self, version: &str, text: String) -> Answer<'_, bool> {
        let version = version.parse().unwrap_or(0);
        Box::pin(async move {
            self.wait().await?;
            let mut kept = self.kept();
            if kept.version != version {
                return Ok(false);
            }
            kept.version += 1;
            kept.text = text;
            Ok(true)
        })
    }
}
