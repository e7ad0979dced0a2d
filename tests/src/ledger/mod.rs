//! A ledger of requests: each has a number, and its fate is recorded where it is sent and where it arrives.
//!
//! A load on a proxy sends numbered requests ([`load`]); its endpoints ([`endpoint`]) record which they received
//! completely, while a scenario ([`scenario`]) makes them fail. [`totals`] then tells what was lost, and which POST was
//! executed twice. The proxies ([`proxy`]) are the edge, HAProxy and nginx.

mod endpoint;
mod entry;
mod load;
pub mod proxy;
pub mod replacement;
pub mod scenario;
pub mod totals;

use std::sync::{Mutex, PoisonError};

pub use self::endpoint::Endpoint;
pub use self::entry::{Ended, Entry};
pub use self::load::Load;
use self::totals::Totals;

/// The header field that carries the number of a request.
pub const NUMBER: &str = "x-request-number";

/// All requests of one run.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Vec<Entry>>);

impl Ledger {
    /// Enters a request that is about to be sent. Returns its number.
    pub fn begin(&self, is_post: bool) -> usize {
        self.with(|entries| {
            entries.push(Entry { is_post, ..Entry::default() });
            entries.len() - 1
        })
    }

    /// Notes that an endpoint received a request completely.
    pub fn received(&self, number: usize) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(number) {
                entry.received += 1;
            }
        });
    }

    /// Notes what the client got.
    pub fn ended(&self, number: usize, ended: Ended) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(number) {
                entry.ended = Some(ended);
            }
        });
    }

    /// The number of requests so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|entries| entries.len())
    }

    /// Whether no request was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What became of all of them.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.with(|entries| Totals::of(entries))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
