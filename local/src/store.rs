//! The counter that all replicas share, and its runtime.

use std::time::Duration;

use app::{Counter, StoreConfig};
use tokio::runtime::{Builder, Runtime};

use crate::error::Error;

/// The time limit for closing the store.
const CLOSE: Duration = Duration::from_secs(2);

/// An open store. Dropping it closes it in the background.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) counter: Counter,
    /// Taken when the store closes.
    runtime: Option<Runtime>,
}

impl Store {
    pub(crate) fn open(config: &StoreConfig) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("store").enable_all().build();
        let runtime = runtime.map_err(Error::Thread)?;
        let opened = {
            let _inside = runtime.enter();
            Counter::open(config, app::Limits::default())
        };
        match opened {
            Ok(counter) => Ok(Self { counter, runtime: Some(runtime) }),
            Err(error) => {
                runtime.shutdown_background();
                Err(Error::Store(error))
            }
        }
    }

    /// Blocks until the store is closed, within a time limit.
    pub(crate) fn close(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        runtime.block_on(async {
            if tokio::time::timeout(CLOSE, self.counter.close()).await.is_err() {
                tracing::warn!("the store did not close in time");
            }
        });
        runtime.shutdown_timeout(CLOSE);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Dropping a runtime waits for it, which panics on a thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
