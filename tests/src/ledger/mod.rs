//! A ledger of requests: each has a number, and its fate is recorded where it is sent and where it arrives.
//!
//! A load on a proxy sends numbered requests ([`load`]); its endpoints ([`endpoint`]), each a process of its own, tell
//! which they received completely, while a scenario ([`scenario`]) makes them fail. [`totals`] then tells what was
//! lost, and which POST was executed twice. The proxies ([`proxy`]) are the edge, HAProxy and nginx. [`results`] keeps
//! the totals of many runs, and [`table`] makes the table of docs/resilience.md from them.

pub mod endpoint;
mod entry;
mod event;
mod exchange;
mod load;
pub mod proxy;
pub mod replacement;
pub mod results;
pub mod scenario;
mod service;
pub mod table;
pub mod totals;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use self::entry::{Ended, Entry};
pub use self::load::Load;
use self::totals::Totals;

/// The header field that carries the number of a request.
pub const NUMBER: &str = "x-request-number";

/// All requests of one run.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    entries: Vec<Entry>,
    posts_under_way: usize,
}

impl Ledger {
    /// Enters a request that is about to be sent: a GET and a POST in turn. Returns its number, and whether it is a
    /// POST.
    pub fn begin(&self, is_http2: bool) -> (usize, bool) {
        let mut book = self.book();
        let number = book.entries.len();
        // In turn for each protocol, whose clients also take turns.
        let is_post = number / 2 % 2 == 1;
        book.entries.push(Entry { is_post, is_http2, ..Entry::default() });
        (number, is_post)
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.book().entries.len()
    }

    /// Notes that an endpoint received a request completely.
    pub fn received(&self, number: usize) {
        if let Some(entry) = self.book().entries.get_mut(number) {
            entry.received += 1;
        }
    }

    /// Notes what the client got.
    pub fn ended(&self, number: usize, ended: Ended) {
        if let Some(entry) = self.book().entries.get_mut(number) {
            entry.ended = Some(ended);
        }
    }

    /// Notes that something happens to an endpoint now: the POSTs under way may be lost.
    pub fn happens(&self) {
        let mut book = self.book();
        let under_way = book.entries.iter().filter(|entry| entry.is_post && entry.ended.is_none()).count();
        book.posts_under_way += under_way;
    }

    /// Notes that the last [`happens`](Self::happens) is over, before which there were `begun` requests: the POSTs that
    /// began since then were under way as well. A process that is killed needs some milliseconds to die.
    pub fn happened(&self, begun: usize) {
        let mut book = self.book();
        let under_way = book.entries.iter().skip(begun).filter(|entry| entry.is_post).count();
        book.posts_under_way += under_way;
    }

    /// What became of all of them.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let book = self.book();
        Totals::of(&book.entries, book.posts_under_way)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_posts_under_way_are_those_without_an_outcome() {
        let ledger = Ledger::default();
        let posts: Vec<usize> =
            (0..8).map(|_| ledger.begin(false)).filter_map(|(number, is_post)| is_post.then_some(number)).collect();
        assert_eq!(posts.len(), 4);
        ledger.ended(posts[0], Ended { is_ok: true, took: std::time::Duration::ZERO, text: "200".to_owned() });
        ledger.happens();
        assert_eq!(ledger.totals().posts_under_way, 3);
        let begun = ledger.requests();
        let more = (0..4).map(|_| ledger.begin(true)).filter(|(_, is_post)| *is_post);
        assert_eq!(more.count(), 2);
        ledger.happened(begun);
        assert_eq!(ledger.totals().posts_under_way, 5);
    }
}
