//! What became of all requests of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// The totals of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// All requests.
    pub requests: usize,
    /// GETs whose client got no complete 200.
    pub failed_gets: usize,
    /// POSTs whose client got no complete 200.
    pub failed_posts: usize,
    /// POSTs that more than one endpoint, or one more than once, received completely.
    pub posts_twice: usize,
    /// The POSTs under way at the moments at which something happened to an endpoint.
    pub posts_under_way: usize,
    /// The longest time that a client waited, in milliseconds, whatever it got.
    pub slowest: u64,
    /// What the failed requests got, and how often.
    pub failures: BTreeMap<String, usize>,
}

impl Totals {
    /// Adds up the entries.
    #[must_use]
    pub fn of(entries: &[Entry], posts_under_way: usize) -> Self {
        let mut totals = Self { requests: entries.len(), posts_under_way, ..Self::default() };
        let mut slowest = Duration::ZERO;
        for entry in entries {
            totals.posts_twice += usize::from(entry.is_post && entry.received > 1);
            slowest = slowest.max(entry.ended.as_ref().map_or(Duration::ZERO, |ended| ended.took));
            if entry.ended.as_ref().is_some_and(|ended| ended.is_ok) {
                continue;
            }
            let text = entry.ended.as_ref().map_or("no outcome", |ended| &ended.text);
            let method = if entry.is_post { "POST" } else { "GET" };
            let version = if entry.is_http2 { "h2" } else { "h1" };
            *totals.failures.entry(format!("{method} {version}: {text}")).or_default() += 1;
            let failed = if entry.is_post { &mut totals.failed_posts } else { &mut totals.failed_gets };
            *failed += 1;
        }
        totals.slowest = u64::try_from(slowest.as_millis()).unwrap_or(u64::MAX);
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Ended;
    use super::*;

    fn entry(is_post: bool, received: usize, status: Option<u16>) -> Entry {
        let ended = status.map(|status| Ended {
            is_ok: status == 200,
            took: Duration::from_millis(status.into()),
            text: status.to_string(),
        });
        Entry { is_post, is_http2: is_post, received, ended }
    }

    #[test]
    fn failures_are_counted_by_method_and_a_post_received_twice_is_told() {
        let entries = [
            entry(false, 2, Some(200)),
            entry(false, 0, Some(503)),
            entry(true, 2, Some(200)),
            entry(true, 1, None),
            entry(true, 0, Some(503)),
        ];
        let totals = Totals::of(&entries, 2);
        assert_eq!((totals.requests, totals.failed_gets, totals.failed_posts, totals.posts_twice), (5, 1, 2, 1));
        assert_eq!((totals.posts_under_way, totals.slowest), (2, 503));
        let failures = [("GET h1: 503", 1), ("POST h2: 503", 1), ("POST h2: no outcome", 1)];
        assert_eq!(totals.failures, failures.map(|(text, count)| (text.to_owned(), count)).into());
    }
}
