//! How long an endpoint keeps an idle connection, as far as the edge has seen it close some.
//!
//! A server that closes an idle connection does not announce it. If a request is on its way at that moment, nobody knows
//! whether the server has acted on it, so a POST is lost. HTTP has no cure for that but not to use a connection that may
//! be about to close (RFC 9112 section 9.6). So a request that cannot be sent again gets a connection that was idle for
//! at most half of the shortest life seen lately, or a new one. nginx and HAProxy leave that to the operator, who must
//! set a shorter timeout here than at each endpoint.
//!
//! The life of a connection that is found closed is at least the time after which it was last known to be open. That is
//! 0 if it was not looked at in between: such an endpoint gets a new connection for each of these requests. An endpoint
//! that ends, and with it all its connections, looks the same, so what was seen is forgotten after some minutes. Pure;
//! an atomic number, because all workers write it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// What was seen in this time is kept together, and forgotten after the next such time.
const WINDOW: Duration = Duration::from_secs(120);

/// A connection may have been idle for this part of the shortest life.
const MARGIN: u32 = 2;

/// The number of bits of a life in milliseconds.
const BITS: u32 = 20;

/// No life was seen.
const NONE: u64 = (1 << BITS) - 1;

/// The shortest lives of idle connections seen lately.
#[derive(Debug)]
pub struct IdleLife {
    began: Instant,
    /// The number of the window, the shortest life in the window before, and the shortest in this one.
    seen: AtomicU64,
}

impl IdleLife {
    /// Nothing was seen.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { began: now, seen: AtomicU64::new(pack(0, [NONE; 2])) }
    }

    /// Notes that the endpoint closed a connection without announcing it, which was idle for at least `life`.
    pub fn closed(&self, life: Duration, now: Instant) {
        let life = u64::try_from(life.as_millis()).unwrap_or(NONE).min(NONE - 1);
        let window = self.window(now);
        let add = |seen| {
            let (window, [before, current]) = advance(seen, window);
            Some(pack(window, [before, current.min(life)]))
        };
        // Never fails: the closure always returns a value.
        let _before = self.seen.fetch_update(Relaxed, Relaxed, add);
    }

    /// How long a connection may have been idle for a request that cannot be sent again; `None` if any time is fine.
    #[must_use]
    pub fn limit(&self, now: Instant) -> Option<Duration> {
        let (_, [before, current]) = advance(self.seen.load(Relaxed), self.window(now));
        let shortest = before.min(current);
        (shortest != NONE).then(|| Duration::from_millis(shortest) / MARGIN)
    }

    fn window(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs() / WINDOW.as_secs()
    }
}

fn pack(window: u64, [before, current]: [u64; 2]) -> u64 {
    window << (2 * BITS) | before << BITS | current
}

/// Returns the newer of both windows, with what is known in it.
fn advance(seen: u64, window: u64) -> (u64, [u64; 2]) {
    let (old, before, current) = (seen >> (2 * BITS), seen >> BITS & NONE, seen & NONE);
    match window.saturating_sub(old) {
        // Another worker's clock may be behind.
        0 => (old, [before, current]),
        1 => (window, [current, NONE]),
        _ => (window, [NONE; 2]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn any_idle_time_is_fine_until_the_endpoint_has_closed_a_connection() {
        let start = Instant::now();
        let life = IdleLife::new(start);
        assert_eq!(life.limit(start), None);
        life.closed(seconds(4), start);
        assert_eq!(life.limit(start), Some(seconds(2)));
        life.closed(seconds(9), start);
        assert_eq!(life.limit(start), Some(seconds(2)), "the shortest counts");
        life.closed(Duration::ZERO, start);
        assert_eq!(life.limit(start), Some(Duration::ZERO), "only new connections");
    }

    #[test]
    fn what_was_seen_is_forgotten_after_some_minutes() {
        let start = Instant::now();
        let life = IdleLife::new(start);
        life.closed(Duration::ZERO, start + seconds(100));
        life.closed(seconds(5), start + seconds(130));
        assert_eq!(life.limit(start + seconds(239)), Some(Duration::ZERO));
        assert_eq!(life.limit(start + seconds(240)), Some(seconds(5) / 2), "the end of a process is over");
        assert_eq!(life.limit(start + seconds(359)), Some(seconds(5) / 2));
        assert_eq!(life.limit(start + seconds(360)), None);
    }

    proptest! {
        #[test]
        fn limit_is_half_of_the_shortest_of_the_last_minutes(
            closed in prop::collection::vec((0_u64..2_000_000, 0_u64..100), 0..50), later in 0_u64..500,
        ) {
            let start = Instant::now();
            let (life, mut at, mut all) = (IdleLife::new(start), 0, Vec::new());
            for (millis, pause) in closed {
                at += pause;
                life.closed(Duration::from_millis(millis), start + seconds(at));
                all.push((at, millis.min(NONE - 1)));
            }
            let now = at + later;
            let limit = life.limit(start + seconds(now)).map(|limit| limit * MARGIN);
            let shortest = |within: u64| {
                let recent = all.iter().filter(|(at, _)| now - at <= within);
                recent.map(|(_, millis)| Duration::from_millis(*millis)).min()
            };
            // Between one window and two.
            prop_assert!(limit.is_none_or(|limit| Some(limit) >= shortest(2 * WINDOW.as_secs())));
            prop_assert!(shortest(WINDOW.as_secs()).is_none_or(|shortest| limit.is_some_and(|limit| limit <= shortest)));
        }
    }
}
