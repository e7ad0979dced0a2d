//! The state of one client connection, with the instants from which its timeouts count, and when it times out.
//!
//! Pure: [`ClientActivity`](super::client_activity::ClientActivity) keeps one for each connection and passes the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::{config::Timeouts, io::patience::Patience};

/// How long a client may take to close its idle connection after the close was announced.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The state of one client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientState {
    /// What the connection is doing.
    pub phase: Phase,
    /// Since when the client accepts no bytes, in any phase: the end of a response may be unsent between two requests.
    pub blocked_since: Option<Instant>,
    /// How long the client accepted no bytes earlier, as far as the bytes that it accepted since do not pay for it; see
    /// [`Patience`].
    pub waited: Duration,
    /// Whether the edge is closing the connection.
    pub closing: Closing,
}

/// What a client connection is doing. `since` is when that began or when the client last accepted bytes, whichever is
/// later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No request is under way, and no byte of the next has arrived.
    Idle {
        /// See [`Phase`].
        since: Instant,
    },
    /// Part of a request head has arrived, or the connection is new and waits for its first head.
    Head {
        /// See [`Phase`].
        since: Instant,
    },
    /// Requests are under way.
    Busy {
        /// How many; at least one, and more only on HTTP/2.
        requests: usize,
        /// HTTP/2: the earliest time at which the first of the waiting responses may have begun to wait for the client.
        /// `None` while the edge waits only for endpoints.
        pending_since: Option<Instant>,
    },
}

/// Whether the edge is closing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It is not.
    No,
    /// It is, but the response under way had begun and could not announce it: the client may already have sent another
    /// request.
    Unannounced,
    /// It is, and the client knows or will know from the next response.
    Announced,
}

/// Returns when the connection times out, or `None` while the edge waits for an endpoint.
#[must_use]
pub fn due(state: &ClientState, timeouts: &Timeouts) -> Option<Instant> {
    if let Some(since) = state.blocked_since {
        return Some(since + timeouts.body_idle.saturating_sub(state.waited));
    }
    match state.phase {
        Phase::Idle { since } if state.closing != Closing::No => Some(since + CLOSE_TIMEOUT),
        Phase::Idle { since } => Some(since + timeouts.keep_alive),
        Phase::Head { since } => Some(since + timeouts.head),
        // The connection may have room while its streams have none: a client that opens streams and grants them no
        // window would hold an upstream connection for each.
        Phase::Busy { pending_since, .. } => pending_since.map(|since| since + timeouts.body_idle),
    }
}

/// Returns since when the client has made no progress; `None` while the edge waits for an endpoint.
#[must_use]
pub fn stalled_since(state: &ClientState) -> Option<Instant> {
    match state.phase {
        _ if state.blocked_since.is_some() => state.blocked_since,
        Phase::Idle { since } | Phase::Head { since } => Some(since),
        Phase::Busy { pending_since, .. } => pending_since,
    }
}

impl ClientState {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let phase = Phase::Head { since: now };
        Self { phase, blocked_since: None, waited: Duration::ZERO, closing: Closing::No }
    }

    /// Whether a request is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Busy { .. })
    }

    /// The first byte of a request head arrived.
    #[must_use]
    pub fn head_begun(self, now: Instant) -> Self {
        match self.phase {
            Phase::Idle { .. } => Self { phase: Phase::Head { since: now }, ..self },
            Phase::Head { .. } | Phase::Busy { .. } => self,
        }
    }

    /// A request begins.
    #[must_use]
    pub fn request_begun(self) -> Self {
        let phase = match self.phase {
            Phase::Busy { requests, pending_since } => Phase::Busy { requests: requests + 1, pending_since },
            Phase::Idle { .. } | Phase::Head { .. } => Phase::Busy { requests: 1, pending_since: None },
        };
        Self { phase, ..self }
    }

    /// A request ends.
    #[must_use]
    pub fn request_ended(self, now: Instant) -> Self {
        let phase = match self.phase {
            Phase::Busy { requests: requests @ 2.., pending_since } => {
                Phase::Busy { requests: requests - 1, pending_since }
            }
            _ => Phase::Idle { since: now },
        };
        Self { phase, ..self }
    }

    /// Sets the earliest time since which a response of the requests in progress may have waited for the client.
    #[must_use]
    pub fn pending(self, pending_since: Option<Instant>) -> Self {
        match self.phase {
            Phase::Busy { requests, .. } => Self { phase: Phase::Busy { requests, pending_since }, ..self },
            Phase::Idle { .. } | Phase::Head { .. } => self,
        }
    }

    /// The client accepts no more bytes for now.
    #[must_use]
    pub fn blocked(self, now: Instant) -> Self {
        Self { blocked_since: self.blocked_since.or(Some(now)), ..self }
    }

    /// The client accepted bytes, which pay for the time that it was waited for.
    #[must_use]
    pub fn accepted(self, now: Instant, bytes: usize, patience: Patience) -> Self {
        let waited = self.blocked_since.map_or(self.waited, |since| self.waited + now.saturating_duration_since(since));
        let waited = patience.pay(waited, bytes);
        let phase = match self.phase {
            Phase::Idle { .. } => Phase::Idle { since: now },
            Phase::Head { .. } => Phase::Head { since: now },
            Phase::Busy { .. } => self.phase,
        };
        Self { phase, blocked_since: None, waited, ..self }
    }

    /// The client accepts bytes again, or everything is sent: TLS may have held back some of it.
    #[must_use]
    pub fn unblocked(self, now: Instant, patience: Patience) -> Self {
        if self.blocked_since.is_some() { self.accepted(now, 0, patience) } else { self }
    }

    /// The edge closes the connection after the request under way.
    #[must_use]
    pub fn closing(self, now: Instant) -> Self {
        if self.is_busy() {
            Self { closing: Closing::Unannounced, ..self }
        } else {
            Self { closing: Closing::Announced, phase: Phase::Idle { since: now }, ..self }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const BODY_IDLE: Duration = Duration::from_secs(30);
    const KEEP_ALIVE: Duration = Duration::from_secs(60);

    const PATIENCE: Patience = Patience { idle: BODY_IDLE, min_rate: 500 };

    fn timeouts() -> Timeouts {
        Timeouts { head: HEAD, body_idle: BODY_IDLE, keep_alive: KEEP_ALIVE, ..Timeouts::default() }
    }

    #[test]
    fn each_state_is_due_after_its_own_timeout() {
        let start = Instant::now();
        let (one, two) = (start + Duration::from_secs(1), start + Duration::from_secs(2));
        let idle = Phase::Idle { since: one };
        let head = Phase::Head { since: one };
        let waiting = Phase::Busy { requests: 1, pending_since: None };
        let pending = Phase::Busy { requests: 3, pending_since: Some(one) };
        for (phase, blocked_since, closing, expected) in [
            (idle, None, Closing::No, Some(one + KEEP_ALIVE)),
            (idle, None, Closing::Announced, Some(one + CLOSE_TIMEOUT)),
            (idle, None, Closing::Unannounced, Some(one + CLOSE_TIMEOUT)),
            (head, None, Closing::No, Some(one + HEAD)),
            (head, None, Closing::Announced, Some(one + HEAD)),
            (waiting, None, Closing::No, None),
            (waiting, None, Closing::Unannounced, None),
            (pending, None, Closing::No, Some(one + BODY_IDLE)),
            (pending, None, Closing::Unannounced, Some(one + BODY_IDLE)),
            // A client that accepts nothing has the same time in every phase.
            (idle, Some(two), Closing::No, Some(two + BODY_IDLE)),
            (idle, Some(two), Closing::Announced, Some(two + BODY_IDLE)),
            (head, Some(two), Closing::No, Some(two + BODY_IDLE)),
            (waiting, Some(two), Closing::No, Some(two + BODY_IDLE)),
            (pending, Some(two), Closing::No, Some(two + BODY_IDLE)),
        ] {
            let state = ClientState { phase, blocked_since, waited: Duration::ZERO, closing };
            assert_eq!(due(&state, &timeouts()), expected, "{state:?}");
            // An earlier wait that is not paid for is subtracted only from the time of a client that accepts nothing.
            let waited = Duration::from_secs(7);
            let shorter = if blocked_since.is_some() { waited } else { Duration::ZERO };
            let state = ClientState { waited, ..state };
            assert_eq!(due(&state, &timeouts()), expected.map(|due| due - shorter), "{state:?}");
        }
    }

    #[test]
    fn a_client_that_reads_too_slowly_times_out_although_each_byte_moves() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let busy = ClientState::new(start).request_begun();
        // One byte just before each timeout.
        let slow = busy.blocked(at(0)).accepted(at(29), 1, PATIENCE).blocked(at(29));
        assert_eq!(due(&slow, &timeouts()).map(|due| due.saturating_duration_since(start).as_secs()), Some(30));
        // As many bytes as the rate asks for, or more.
        let fast = busy.blocked(at(0)).accepted(at(29), 29 * 500, PATIENCE).blocked(at(29));
        assert_eq!(due(&fast, &timeouts()), Some(at(59)));
        // Bytes that come later pay as well.
        let later = slow.accepted(at(29), 1 << 20, PATIENCE).blocked(at(40));
        assert_eq!(due(&later, &timeouts()), Some(at(70)));
    }

    #[test]
    fn a_client_stalls_while_its_bytes_are_awaited() {
        let start = Instant::now();
        let (one, two) = (start + Duration::from_secs(1), start + Duration::from_secs(2));
        let new = ClientState::new(start);
        let busy = new.request_begun();
        for (state, expected) in [
            (new, Some(start)),
            (busy, None),
            (busy.pending(Some(one)), Some(one)),
            (busy.pending(Some(one)).blocked(two), Some(two)),
            (busy.request_ended(two), Some(two)),
        ] {
            assert_eq!(stalled_since(&state), expected, "{state:?}");
        }
    }

    /// What can happen to a connection.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Head,
        Begin,
        End,
        Pending,
        NotPending,
        Blocked,
        Accepted,
        Unblocked,
        Close,
    }

    fn after(events: &[Event], start: Instant) -> (ClientState, Instant) {
        let mut now = start;
        let state = events.iter().fold(ClientState::new(start), |state, event| {
            now += Duration::from_secs(1);
            match event {
                Event::Head => state.head_begun(now),
                Event::Begin => state.request_begun(),
                Event::End => state.request_ended(now),
                Event::Pending => state.pending(Some(now)),
                Event::NotPending => state.pending(None),
                Event::Blocked => state.blocked(now),
                // Enough to pay for any wait of these tests.
                Event::Accepted => state.accepted(now, 1 << 20, PATIENCE),
                Event::Unblocked => state.unblocked(now, PATIENCE),
                Event::Close => state.closing(now),
            }
        });
        (state, now)
    }

    /// One event a second; the deadline is given by the second that it counts from.
    #[test]
    fn a_timeout_counts_from_the_event_that_began_the_wait() {
        use Event::*;
        let start = Instant::now();
        for (events, expected) in [
            (&[][..], Some((0, HEAD))),
            // The first byte starts the time for a head, and later bytes do not prolong it.
            (&[Begin, End, Head], Some((3, HEAD))),
            (&[Begin, End, Head, Head], Some((3, HEAD))),
            (&[Begin], None),
            (&[Begin, End], Some((2, KEEP_ALIVE))),
            // A client that accepts the end of a response late gets the full timeout from then on.
            (&[Begin, End, Accepted], Some((3, KEEP_ALIVE))),
            (&[Begin, Blocked, End, Unblocked], Some((4, KEEP_ALIVE))),
            (&[Begin, End, Unblocked], Some((2, KEEP_ALIVE))),
            // The timeout of a client that accepts nothing counts from the first refusal.
            (&[Begin, Blocked, Blocked], Some((2, BODY_IDLE))),
            (&[Begin, Blocked, End], Some((2, BODY_IDLE))),
            (&[Begin, Blocked, Accepted], None),
            (&[Begin, Blocked, Accepted, Blocked], Some((4, BODY_IDLE))),
            // HTTP/2: one stream's response waits, other streams come and go.
            (&[Begin, Begin, Pending, End], Some((3, BODY_IDLE))),
            (&[Begin, Pending, Begin], Some((2, BODY_IDLE))),
            (&[Begin, Pending, NotPending], None),
            (&[Begin, Pending, End, Begin], None),
            // Closing.
            (&[Begin, End, Close], Some((3, CLOSE_TIMEOUT))),
            (&[Close], Some((1, CLOSE_TIMEOUT))),
            (&[Begin, Close], None),
            (&[Begin, Close, End], Some((3, CLOSE_TIMEOUT))),
            (&[Begin, Close, End, Head], Some((4, HEAD))),
        ] {
            let (state, _) = after(events, start);
            let expected = expected.map(|(second, timeout)| start + Duration::from_secs(second) + timeout);
            assert_eq!(due(&state, &timeouts()), expected, "after {events:?}: {state:?}");
        }
    }

    #[test]
    fn a_close_during_a_request_is_unannounced() {
        use Event::*;
        let start = Instant::now();
        for (events, expected) in [
            (&[][..], Closing::No),
            (&[Close], Closing::Announced),
            (&[Begin, End, Close], Closing::Announced),
            (&[Begin, Close], Closing::Unannounced),
            (&[Begin, Close, End], Closing::Unannounced),
        ] {
            assert_eq!(after(events, start).0.closing, expected, "after {events:?}");
        }
    }
}
