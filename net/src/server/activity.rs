//! The activity of a client's connection, and its timeouts.
//!
//! The connection's task marks events, each with an atomic store, and a watchdog checks the marks periodically. So a
//! timeout is exact only to the watchdog's interval, which is the header timeout, but a request arms no timer and reads
//! no clock.

use std::{
    io,
    ops::Deref,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

/// The events of one connection, as marked by its task.
#[derive(Debug, Default)]
pub struct Activity {
    /// The number of requests so far. It wraps, which the watchdog would miss only after an exact multiple of 2^32
    /// requests between two checks.
    requests: AtomicU32,
    /// The number of requests in progress.
    busy: AtomicU32,
    /// Whether bytes arrived since the last request began, most likely of the next header.
    bytes: AtomicBool,
}

/// A request in progress; dropping it ends the request. It holds a borrowed or a shared [`Activity`].
#[derive(Debug)]
pub struct Request<A: Deref<Target = Activity>>(A);

impl<A: Deref<Target = Activity>> Request<A> {
    /// Marks the start of a request.
    pub fn begin(activity: A) -> Self {
        // Only one task marks events, so this needs no read-modify-write instruction.
        activity.requests.store(activity.requests.load(Relaxed).wrapping_add(1), Relaxed);
        activity.bytes.store(false, Relaxed);
        activity.busy.store(activity.busy.load(Relaxed).saturating_add(1), Relaxed);
        Self(activity)
    }
}

impl<A: Deref<Target = Activity>> Drop for Request<A> {
    fn drop(&mut self) {
        self.0.busy.store(self.0.busy.load(Relaxed).saturating_sub(1), Relaxed);
    }
}

impl Activity {
    /// The number of requests so far, modulo 2^32.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// Whether a request is in progress.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    fn phase(&self) -> Phase {
        let requests = self.requests();
        if self.is_busy() {
            Phase::Busy
        } else if self.bytes.load(Relaxed) || requests == 0 {
            Phase::Header(requests)
        } else {
            Phase::Idle(requests)
        }
    }
}

/// The phase of a client's connection, with the number of earlier requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The client is sending a header, or has not sent its first one yet.
    Header(u32),
    /// A request is in progress; its response has a deadline of its own.
    Busy,
    /// The connection is between requests, or the client is not reading the last response.
    Idle(u32),
}

/// How long a connection may stay in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest time for a complete header to arrive; enforced within twice this time.
    pub header: Duration,
    /// The longest idle time between requests.
    pub idle: Duration,
}

/// Completes when the connection has exceeded the timeout of a phase, and returns that phase.
pub async fn expire(activity: &Activity, timeouts: Timeouts) -> Phase {
    let mut watchdog = Watchdog { phase: activity.phase(), since: Instant::now() };
    let mut next = watchdog.since + timeouts.header;
    loop {
        sleep_until(next).await;
        match watchdog.check(activity.phase(), Instant::now(), timeouts) {
            Some(later) => next = later,
            None => return watchdog.phase,
        }
    }
}

#[derive(Debug)]
struct Watchdog {
    /// The last observed phase, and when it was first observed.
    phase: Phase,
    since: Instant,
}

impl Watchdog {
    /// Returns the time of the next check, or `None` if the phase has timed out.
    fn check(&mut self, phase: Phase, now: Instant, timeouts: Timeouts) -> Option<Instant> {
        if phase != self.phase {
            *self = Self { phase, since: now };
        }
        let soon = now + timeouts.header;
        let end = match phase {
            Phase::Busy => return Some(soon),
            Phase::Header(_) => self.since + timeouts.header,
            Phase::Idle(_) => self.since + timeouts.idle,
        };
        (now < end).then(|| end.min(soon))
    }
}

/// A stream that marks when bytes arrive.
#[derive(Debug)]
pub struct ObservedStream<'a, T> {
    inner: T,
    activity: &'a Activity,
}

impl<'a, T> ObservedStream<'a, T> {
    /// Marks on `activity` when bytes arrive on `inner`.
    pub fn new(inner: T, activity: &'a Activity) -> Self {
        Self { inner, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ObservedStream<'_, T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if poll.is_ready() {
            self.activity.bytes.store(true, Relaxed);
        }
        poll
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ObservedStream<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const TIMEOUTS: Timeouts = Timeouts { header: Duration::from_secs(10), idle: Duration::from_secs(75) };

    fn bytes(activity: &Activity) {
        activity.bytes.store(true, Relaxed);
    }

    #[test]
    fn a_connection_goes_from_header_to_busy_to_idle() {
        let activity = Activity::default();
        assert_eq!(activity.phase(), Phase::Header(0), "before the first byte");
        bytes(&activity);
        assert_eq!(activity.phase(), Phase::Header(0));
        let request = Request::begin(&activity);
        assert_eq!(activity.phase(), Phase::Busy);
        drop(request);
        assert_eq!(activity.phase(), Phase::Idle(1));
        bytes(&activity);
        assert_eq!(activity.phase(), Phase::Header(1));
    }

    #[test]
    fn a_connection_is_busy_until_its_last_request_ends() {
        let activity = std::sync::Arc::new(Activity::default());
        let first = Request::begin(activity.clone());
        let second = Request::begin(activity.clone());
        drop(first);
        assert!(activity.is_busy());
        drop(second);
        assert!(!activity.is_busy());
        assert_eq!(activity.requests(), 2);
    }

    #[tokio::test]
    async fn received_bytes_are_marked_and_sent_bytes_are_not() {
        let activity = Activity::default();
        drop(Request::begin(&activity));
        let (near, mut far) = duplex(16);
        let mut stream = ObservedStream::new(near, &activity);
        stream.write_all(b"answer").await.unwrap();
        assert_eq!(activity.phase(), Phase::Idle(1));
        far.write_all(b"GET").await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(activity.phase(), Phase::Header(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_sends_nothing_is_closed_after_the_header_timeout() {
        let start = Instant::now();
        let phase = expire(&Activity::default(), TIMEOUTS).await;
        assert_eq!(phase, Phase::Header(0));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_after_the_idle_timeout() {
        let activity = Activity::default();
        drop(Request::begin(&activity));
        let start = Instant::now();
        assert_eq!(expire(&activity, TIMEOUTS).await, Phase::Idle(1));
        assert_eq!(start.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_header_after_a_request_times_out() {
        let activity = Activity::default();
        drop(Request::begin(&activity));
        let start = Instant::now();
        let trickle = async {
            sleep_until(start + Duration::from_secs(25)).await;
            loop {
                bytes(&activity);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            phase = expire(&activity, TIMEOUTS) => assert_eq!(phase, Phase::Header(1)),
            () = trickle => {}
        }
        // Observed at 30 s, closed at 40 s: within twice the timeout after the first byte at 25 s.
        assert_eq!(start.elapsed().as_secs(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_use_does_not_time_out() {
        let activity = Activity::default();
        let start = Instant::now();
        let use_it = async {
            for _ in 0..100 {
                bytes(&activity);
                let request = Request::begin(&activity);
                tokio::time::sleep(Duration::from_secs(4)).await;
                drop(request);
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        };
        tokio::select! {
            phase = expire(&activity, TIMEOUTS) => panic!("closed while {phase:?}"),
            () = use_it => {}
        }
        assert_eq!(start.elapsed().as_secs(), 800);
    }
}
