//! Limits frames that make the edge work and carry no request or body: SETTINGS, PING, PRIORITY, `RST_STREAM`,
//! `WINDOW_UPDATE`, unknown types, and DATA that is empty and ends nothing (CVE-2019-9511 to 9518).
//!
//! Honest clients send some of them in proportion to what they get: up to two `WINDOW_UPDATE` for a DATA frame, a PING
//! to measure the bandwidth (gRPC), and priorities for a request. So a frame is free if the edge has sent
//! [`BYTES_PER_FRAME`] bytes for it, or as one of [`FRAMES_PER_REQUEST`]. Only the others use up a token bucket, of
//! which an honest client needs a few tokens: for settings, keep-alive pings, and window sizes at the beginning.
//! nginx also limits the proportion of such frames instead of their rate.

use std::time::Duration;

use tokio::time::Instant;

use super::frame::{FrameHead, flag, kind};

/// The frames that a client may send at once without getting anything.
pub const BURST: u32 = 2_000;
/// The frames for which the bucket gets tokens in a second.
pub const RATE: u32 = 200;
/// The bytes that the edge has sent for each free frame. A DATA frame with one byte has 10.
pub const BYTES_PER_FRAME: u64 = 8;
/// The free frames for each request or trailers.
pub const FRAMES_PER_REQUEST: u64 = 10;
/// The maximum number of free frames that a client can accumulate.
const MAX_FREE: u64 = 65_536;
/// The time after which the bucket gets one token.
const INTERVAL: Duration = Duration::from_micros(1_000_000 / RATE as u64);

/// The frames that one client may still send.
#[derive(Debug)]
pub struct Flood {
    /// Tokens in the bucket.
    tokens: u32,
    /// Until when the bucket has got its tokens.
    filled: Instant,
    /// The bytes for free frames.
    bytes: u64,
    /// The bytes that the edge will send as answers to PING and SETTINGS. They make no frame free.
    owed: u64,
}

impl Flood {
    /// For a connection that begins.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { tokens: BURST, filled: now, bytes: 0, owed: 0 }
    }

    /// Notes that the edge has sent bytes.
    pub fn sent(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let answers = self.owed.min(bytes);
        self.owed -= answers;
        self.earn(bytes - answers);
    }

    /// Notes a frame of the client, and returns whether it is one too many.
    pub fn is_exceeded_by(&mut self, head: &FrameHead, now: Instant) -> bool {
        let answer = match head.kind {
            kind::HEADERS => {
                self.earn(FRAMES_PER_REQUEST * BYTES_PER_FRAME);
                return false;
            }
            // The parts of a header block have a limit of their own.
            kind::CONTINUATION => return false,
            kind::DATA if head.length > 0 || head.has(flag::END_STREAM) => return false,
            kind::SETTINGS if !head.has(flag::ACK) => 9,
            kind::PING if !head.has(flag::ACK) => 17,
            _ => 0,
        };
        self.owed += answer;
        if self.bytes >= BYTES_PER_FRAME {
            self.bytes -= BYTES_PER_FRAME;
            return false;
        }
        self.fill(now);
        match self.tokens.checked_sub(1) {
            Some(tokens) => self.tokens = tokens,
            None => return true,
        }
        false
    }

    fn earn(&mut self, bytes: u64) {
        self.bytes = (self.bytes + bytes).min(MAX_FREE * BYTES_PER_FRAME);
    }

    fn fill(&mut self, now: Instant) {
        let intervals = now.saturating_duration_since(self.filled).as_micros() / INTERVAL.as_micros();
        let new = u32::try_from(intervals).unwrap_or(BURST).min(BURST);
        if new > 0 {
            self.tokens = (self.tokens + new).min(BURST);
            // The rest of an interval counts for the next token, unless the bucket is full.
            self.filled = if self.tokens == BURST { now } else { self.filled + INTERVAL * new };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize, flags: u8) -> FrameHead {
        FrameHead { length, kind, flags, stream: 0 }
    }

    /// Sends frames at once and returns how many pass.
    fn passing(flood: &mut Flood, head: &FrameHead, now: Instant) -> u32 {
        (0..1_000_000).take_while(|_| !flood.is_exceeded_by(head, now)).count().try_into().unwrap()
    }

    #[test]
    fn frames_without_use_are_limited() {
        let start = Instant::now();
        for head in [
            frame(kind::SETTINGS, 0, 0),
            frame(kind::SETTINGS, 0, flag::ACK),
            frame(kind::PING, 8, 0),
            frame(kind::PING, 8, flag::ACK),
            frame(kind::DATA, 0, 0),
            // PRIORITY, RST_STREAM, GOAWAY, WINDOW_UPDATE, PRIORITY_UPDATE, unknown.
            frame(2, 5, 0),
            frame(3, 4, 0),
            frame(7, 8, 0),
            frame(8, 4, 0),
            frame(16, 5, 0),
            frame(0xff, 16_384, 0),
        ] {
            let mut flood = Flood::new(start);
            assert_eq!(passing(&mut flood, &head, start), BURST, "{head:?}");
            assert_eq!(passing(&mut flood, &head, start + Duration::from_secs(1)), RATE, "{head:?}");
            assert_eq!(passing(&mut flood, &head, start + Duration::from_secs(3600)), BURST, "{head:?}");
        }
    }

    #[test]
    fn requests_and_bodies_are_not_limited() {
        let start = Instant::now();
        for head in [frame(kind::HEADERS, 10, 4), frame(kind::DATA, 1, 0), frame(kind::DATA, 0, flag::END_STREAM)] {
            assert_eq!(passing(&mut Flood::new(start), &head, start), 1_000_000, "{head:?}");
        }
    }

    #[test]
    fn a_client_may_answer_each_data_frame_with_two_window_updates_and_a_ping() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        for _ in 0..100_000 {
            // A DATA frame with a short message, and the answer to the last ping.
            flood.sent(9 + 15 + 17);
            for head in [frame(8, 4, 0), frame(8, 4, 0), frame(kind::PING, 8, 0)] {
                assert!(!flood.is_exceeded_by(&head, start));
            }
        }
    }

    #[test]
    fn answers_to_pings_and_settings_allow_no_more_of_them() {
        let start = Instant::now();
        for (head, answer) in [(frame(kind::PING, 8, 0), 17), (frame(kind::SETTINGS, 0, 0), 9)] {
            let mut flood = Flood::new(start);
            let mut passed = 0;
            while passed < 10_000 && !flood.is_exceeded_by(&head, start) {
                flood.sent(answer);
                passed += 1;
            }
            assert_eq!(passed, BURST, "{head:?}");
        }
    }

    #[test]
    fn what_a_client_can_save_is_bounded() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        flood.sent(1 << 30);
        let saved = u32::try_from(MAX_FREE).unwrap();
        assert_eq!(passing(&mut flood, &frame(kind::PING, 8, 0), start), saved + BURST);
    }
}
