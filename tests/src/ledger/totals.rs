//! What became of all requests of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::entry::Entry;

/// The totals of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All requests.
    pub requests: usize,
    /// GETs whose client got no complete 200.
    pub failed_gets: usize,
    /// POSTs whose client got no complete 200.
    pub failed_posts: usize,
    /// POSTs that more than one endpoint, or one more than once, received completely.
    pub posts_twice: usize,
    /// The longest time that a client waited for a 200.
    pub longest: Duration,
    /// What the failed requests got, and how often.
    pub failures: BTreeMap<String, usize>,
}

impl Totals {
    /// Adds up the entries.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut totals = Self { requests: entries.len(), ..Self::default() };
        for entry in entries {
            totals.posts_twice += usize::from(entry.is_post && entry.received > 1);
            match &entry.ended {
                Some(ended) if ended.is_ok => totals.longest = totals.longest.max(ended.took),
                ended => {
                    let text = ended.as_ref().map_or("no outcome", |ended| &ended.text);
                    *totals.failures.entry(text.to_owned()).or_default() += 1;
                    let failed = if entry.is_post { &mut totals.failed_posts } else { &mut totals.failed_gets };
                    *failed += 1;
                }
            }
        }
        totals
    }
}

/// As a cell of a table: failed GETs and POSTs, POSTs received twice, and the longest wait.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failed_gets, failed_posts, posts_twice, longest, .. } = self;
        write!(f, "{failed_gets} / {failed_posts}")?;
        if *posts_twice > 0 {
            write!(f, ", {posts_twice} twice")?;
        }
        write!(f, ", {:.1} s", longest.as_secs_f64())
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
        Entry { is_post, received, ended }
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
        let totals = Totals::of(&entries);
        assert_eq!((totals.requests, totals.failed_gets, totals.failed_posts, totals.posts_twice), (5, 1, 2, 1));
        assert_eq!(totals.failures, BTreeMap::from([("503".to_owned(), 2), ("no outcome".to_owned(), 1)]));
        assert_eq!(totals.to_string(), "1 / 2, 1 twice, 0.2 s");
    }
}
