//! The pure part of group commit: which waiters are in a batch, how many hits they are, and which number each gets.
//!
//! Hits that arrive while a round trip to the store is under way are counted together by the next
//! one, as a database joins the transactions that wait for the same flush (DeWitt et al.,
//! "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984). The load determines the
//! size of a batch: no hit waits for a batch to fill.
//!
//! A batch is first open, for hits to join, and later sealed and sent.

use std::collections::VecDeque;

use tokio::time::Instant;

/// What a waiter asks the store to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Count one, and return its number.
    Hit,
    /// Count nothing: only check that the store answers.
    Probe,
}

impl Kind {
    /// The amount that it adds to the count.
    fn amount(self) -> u64 {
        u64::from(self == Self::Hit)
    }
}

struct Entry<W> {
    waiter: W,
    kind: Kind,
    /// When this waiter gets an error if it has not been answered by then.
    expires: Instant,
}

/// The waiters of one round trip, in order of arrival.
///
/// All of them have the same timeout, so they also expire in this order.
pub(super) struct Batch<W> {
    entries: VecDeque<Entry<W>>,
    /// The number of entries that are hits.
    hits: u64,
}

impl<W> Batch<W> {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), hits: 0 }
    }

    pub(super) fn push(&mut self, waiter: W, kind: Kind, expires: Instant) {
        self.hits += kind.amount();
        self.entries.push_back(Entry { waiter, kind, expires });
    }

    /// The number of hits and probes that wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes the waiters that no longer listen and returns the number of remaining hits: the amount to add.
    ///
    /// From here on every hit of the batch is counted, whether its waiter still listens or not.
    pub(super) fn seal(&mut self, listens: impl Fn(&W) -> bool) -> u64 {
        let mut hits = 0;
        self.entries.retain(|entry| {
            let listens = listens(&entry.waiter);
            hits += if listens { entry.kind.amount() } else { 0 };
            listens
        });
        self.hits = hits;
        hits
    }

    /// When the next waiter expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.entries.front().map(|entry| entry.expires)
    }

    /// When the last waiter expires.
    pub(super) fn last_expiry(&self) -> Option<Instant> {
        self.entries.back().map(|entry| entry.expires)
    }

    /// Removes and returns the waiters that have expired at `now`. No other waiter of a sealed batch gets their
    /// numbers.
    pub(super) fn expire(&mut self, now: Instant) -> impl Iterator<Item = W> + '_ {
        let due = self.entries.partition_point(|entry| entry.expires <= now);
        self.entries.drain(..due).map(|entry| {
            self.hits -= entry.kind.amount();
            entry.waiter
        })
    }

    /// Gives every waiter of a sealed batch its number, where `count` is the store's count after
    /// the addition. A probe gets the count itself.
    ///
    /// The last hit gets `count`, the one before it `count - 1`, and so on. Waiters that expired while the batch was in
    /// flight were first in line, so the numbers of the rest are unchanged.
    pub(super) fn number(&mut self, count: u64) -> impl Iterator<Item = (W, Kind, u64)> + '_ {
        let mut number = count.saturating_sub(std::mem::take(&mut self.hits));
        self.entries.drain(..).map(move |entry| match entry.kind {
            Kind::Hit => {
                number += 1;
                (entry.waiter, entry.kind, number)
            }
            Kind::Probe => (entry.waiter, entry.kind, count),
        })
    }

    /// Removes and returns every waiter, to be answered with an error.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = W> + '_ {
        self.hits = 0;
        self.entries.drain(..).map(|entry| entry.waiter)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// What may happen to a counter, as far as batches are concerned.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Join(Kind),
        /// The client of the n-th waiter disconnects.
        Leave(usize),
        /// The store answers the sent batch, and the next one is sent.
        Answer,
        /// The store fails the sent batch.
        Fail,
        /// Time passes, in units of a tenth of the deadline.
        Pass(u8),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = prop_oneof![
            6 => Just(Event::Join(Kind::Hit)),
            1 => Just(Event::Join(Kind::Probe)),
            1 => (0..20_usize).prop_map(Event::Leave),
            2 => Just(Event::Answer),
            1 => Just(Event::Fail),
            1 => (1..6_u8).prop_map(Event::Pass),
        ];
        proptest::collection::vec(event, 0..200)
    }

    const TIMEOUT: Duration = Duration::from_secs(10);

    struct Client {
        kind: Kind,
        listens: bool,
        answer: Option<Result<u64, ()>>,
    }

    impl Client {
        /// Panics if this client was answered before.
        fn answer(&mut self, answer: Result<u64, ()>) {
            assert_eq!(self.answer.replace(answer), None);
        }
    }

    /// A store that adds, and the batches in front of it.
    struct Model {
        now: Instant,
        open: Batch<usize>,
        sent: Batch<usize>,
        sent_hits: u64,
        count: u64,
        waiters: Vec<Client>,
        /// Hits that the store has counted.
        counted: u64,
    }

    impl Model {
        fn send(&mut self) {
            std::mem::swap(&mut self.open, &mut self.sent);
            let waiters = &self.waiters;
            self.sent_hits = self.sent.seal(|id| waiters[*id].listens);
        }

        fn step(&mut self, event: Event) {
            match event {
                Event::Join(kind) => {
                    self.waiters.push(Client { kind, listens: true, answer: None });
                    let id = self.waiters.len() - 1;
                    self.open.push(id, kind, self.now + TIMEOUT);
                }
                Event::Leave(id) => {
                    if let Some(waiter) = self.waiters.get_mut(id) {
                        waiter.listens = false;
                    }
                }
                Event::Answer => {
                    self.count += self.sent_hits;
                    self.counted += self.sent_hits;
                    for (id, kind, number) in self.sent.number(self.count) {
                        assert_eq!(self.waiters[id].kind, kind);
                        self.waiters[id].answer(Ok(number));
                    }
                    self.send();
                }
                Event::Fail => {
                    for id in self.sent.drain() {
                        self.waiters[id].answer(Err(()));
                    }
                    self.send();
                }
                Event::Pass(tenths) => {
                    self.now += TIMEOUT / 10 * u32::from(tenths);
                    for batch in [&mut self.sent, &mut self.open] {
                        for id in batch.expire(self.now) {
                            self.waiters[id].answer(Err(()));
                        }
                    }
                }
            }
        }

        fn numbers(&self) -> Vec<u64> {
            let hits = self.waiters.iter().filter(|w| w.kind == Kind::Hit);
            hits.filter_map(|w| w.answer.and_then(Result::ok)).collect()
        }
    }

    fn run(start: u64, events: Vec<Event>) -> Model {
        let mut model = Model {
            now: Instant::now(),
            open: Batch::new(),
            sent: Batch::new(),
            sent_hits: 0,
            count: start,
            waiters: Vec::new(),
            counted: 0,
        };
        for event in events {
            model.step(event);
        }
        // Twice: for the sent batch, then for the open one.
        model.step(Event::Answer);
        model.step(Event::Answer);
        model
    }

    proptest! {
        #[test]
        fn no_number_is_returned_twice_and_later_hits_get_larger_ones(
            start in 0..1000_u64, events in events()
        ) {
            let numbers = run(start, events).numbers();
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        }

        #[test]
        fn every_number_lies_within_what_the_store_counted(start in 0..1000_u64, events in events()) {
            let model = run(start, events);
            for number in model.numbers() {
                prop_assert!(start < number && number <= start + model.counted);
            }
        }

        #[test]
        fn without_failures_no_number_is_skipped(
            start in 0..1000_u64,
            events in events().prop_map(|events| events
                .into_iter()
                .filter(|e| matches!(e, Event::Join(_) | Event::Answer))
                .collect::<Vec<_>>())
        ) {
            let model = run(start, events);
            let expected: Vec<u64> = (start + 1..=start + model.counted).collect();
            prop_assert_eq!(model.numbers(), expected);
        }

        #[test]
        fn every_waiter_that_listens_is_answered_once(start in 0..1000_u64, events in events()) {
            let model = run(start, events);
            for client in &model.waiters {
                prop_assert!(!client.listens || client.answer.is_some());
            }
        }

        #[test]
        fn a_client_that_left_before_the_batch_was_sent_is_not_counted(joins in 0..50_usize, left in 0..50_usize) {
            let mut batch = Batch::new();
            for id in 0..joins {
                batch.push(id, Kind::Hit, Instant::now());
            }
            let hits = batch.seal(|id| *id >= left);
            prop_assert_eq!(hits, joins.saturating_sub(left) as u64);
        }
    }

    #[test]
    fn a_hit_that_expired_after_the_batch_was_sent_keeps_its_number() {
        let now = Instant::now();
        let mut batch = Batch::new();
        batch.push("late", Kind::Hit, now);
        batch.push("probe", Kind::Probe, now + TIMEOUT);
        batch.push("in time", Kind::Hit, now + TIMEOUT);
        assert_eq!(batch.seal(|_| true), 2);
        assert_eq!(batch.expire(now).collect::<Vec<_>>(), ["late"]);
        assert_eq!(batch.number(7).collect::<Vec<_>>(), [("probe", Kind::Probe, 7), ("in time", Kind::Hit, 7)]);
    }
}
