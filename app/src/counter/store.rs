//! What the counter needs of a store.

use super::error::StoreError;

/// A batch as the store sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addition {
    /// Numbers the batches of one counter from 1. A batch that is sent again keeps its sequence number.
    pub(super) sequence: u64,
    /// The amount to add.
    pub(super) hits: u64,
}

impl Addition {
    /// Adds nothing and belongs to no batch.
    pub(super) const PROBE: Self = Self { sequence: 0, hits: 0 };
}

/// A place that keeps a count. The task in `commit` is its only caller and makes one call at a time, so an
/// implementation needs no locks.
///
/// The caller may drop a future that takes too long. Its next call is then always `connect`, which must not
/// mistake a late answer to the dropped call for its own.
pub(super) trait Store: Send + 'static {
    /// Brings the store from any state into one that can count, and verifies that by adding zero.
    fn connect(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds the hits in one indivisible and, as far as the store can, durable step. Returns the count after
    /// it. The same batch comes again only if [`Store::can_repeat`] allows it.
    fn add(&mut self, addition: Addition) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Whether a batch that failed this way may be sent again: it must not be counted twice, and it must
    /// have a chance to succeed.
    fn can_repeat(&self, _failure: &StoreError) -> bool {
        false
    }

    /// Completes when there is a reason to try again at once.
    fn retry_hint(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// What a call was waiting for that was dropped because it took too long.
    fn timeout_error(&self) -> StoreError {
        StoreError::Silent
    }

    /// Completes when the connection breaks while no call is under way.
    fn disconnected(&mut self) -> impl Future<Output = StoreError> + Send;

    /// Releases what would block when dropped. It is the last call.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}
