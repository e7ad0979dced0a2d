//! How much the request bodies of one HTTP/2 connection make the edge hold.
//!
//! Their bytes wait in h2, which does not say how many. They are no more than those that arrived and were not taken
//! yet, and no more than the windows allow. The windows alone would be too much: a client could use up the budget with
//! bodies of which it sends nothing. Bytes count whether or not a body is known, because many may arrive together with
//! the head of theirs.

/// The request bodies under way on one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uploads {
    /// How much a client may send ahead on a stream, in bytes.
    stream_window: usize,
    /// How much it may send ahead on all streams, in bytes.
    connection_window: usize,
    /// How many bodies.
    count: usize,
    /// The most bytes that may wait.
    waiting: usize,
}

impl Uploads {
    /// No bodies, on a connection with these windows in bytes.
    #[must_use]
    pub fn new(stream_window: u32, connection_window: u32) -> Self {
        let [stream_window, connection_window] =
            [stream_window, connection_window].map(|window| usize::try_from(window).unwrap_or(usize::MAX));
        Self { stream_window, connection_window, count: 0, waiting: 0 }
    }

    /// A body begins. Bytes of it may have arrived already.
    #[must_use]
    pub fn begun(self) -> Self {
        Self { count: self.count.saturating_add(1), ..self }
    }

    /// A body ends, or its request does.
    #[must_use]
    pub fn ended(self) -> Self {
        let count = self.count.saturating_sub(1);
        // What was not taken of a request that ended early is gone when no other one is left.
        let waiting = if count == 0 { 0 } else { self.waiting };
        Self { count, waiting, ..self }
    }

    /// Bytes arrived on the connection.
    #[must_use]
    pub fn arrived(self, bytes: usize) -> Self {
        // Heads and frames are among them, but no more data can wait than this.
        Self { waiting: self.waiting.saturating_add(bytes).min(self.connection_window), ..self }
    }

    /// Bytes of a body were taken.
    #[must_use]
    pub fn taken(self, bytes: usize) -> Self {
        Self { waiting: self.waiting.saturating_sub(bytes), ..self }
    }

    /// The bytes that the bodies make the edge hold at most.
    #[must_use]
    pub fn held(self) -> usize {
        self.count.saturating_mul(self.stream_window).min(self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploads(count: usize) -> Uploads {
        (0..count).fold(Uploads::new(100, 300), |uploads, _| uploads.begun())
    }

    #[test]
    fn a_body_of_which_nothing_arrived_holds_nothing() {
        assert_eq!(uploads(50).held(), 0);
        assert_eq!(uploads(0).arrived(1000).held(), 0, "nor do bytes without a body");
    }

    #[test]
    fn bytes_that_arrive_with_the_head_of_their_body_are_held() {
        let one = uploads(0).arrived(80).begun();
        assert_eq!((one.held(), one.taken(50).held()), (80, 30));
        assert_eq!(uploads(0).arrived(1000).begun().begun().ended().held(), 100, "the other one may have them all");
    }

    #[test]
    fn bytes_are_held_until_they_are_taken_and_no_more_than_the_windows_allow() {
        let some = uploads(2).arrived(80);
        assert_eq!((some.held(), some.taken(50).held(), some.taken(1000).held()), (80, 30, 0));
        assert_eq!(uploads(1).arrived(150).held(), 100);
        assert_eq!(uploads(9).arrived(usize::MAX).arrived(1).held(), 300);
        // What frames add is not counted for ever.
        let long = (0..1000).fold(uploads(3), |uploads, _| uploads.arrived(59).taken(50));
        assert_eq!(long.taken(300).held(), 0);
    }

    #[test]
    fn the_end_of_the_last_body_releases_what_was_not_taken() {
        let two = uploads(2).arrived(150);
        assert_eq!(two.ended().held(), 100);
        assert_eq!(two.ended().ended(), Uploads::new(100, 300));
    }
}
