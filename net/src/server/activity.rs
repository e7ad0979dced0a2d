//! What a client's connection is doing, and whether it has been doing so for too long.
//!
//! The connection's task makes marks, which costs an atomic store each, and a watchdog looks at them
//! periodically. So time-outs are exact only to the watchdog's interval, the header time-out,
//! but a request arms no timer and reads no clock.

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

/// The marks of one connection.
#[derive(Debug, Default)]
pub struct Activity {
    /// The number of requests so far. It wraps, which could mislead only at an exact multiple of 2^32 requests
    /// between two looks.
    requests: AtomicU32,
    /// The number of requests being answered.
    busy: AtomicU32,
    /// Bytes arrived since the last request began: most likely those of the next header.
    bytes: AtomicBool,
}

/// A request being answered; dropping it ends the request. It holds a borrowed or a shared [`Activity`].
#[derive(Debug)]
pub struct Request<A: Deref<Target = Activity>>(A);

impl<A: Deref<Target = Activity>> Request<A> {
    /// Marks the beginning of a request.
    pub fn begin(activity: A) -> Self {
        // One task makes all marks, so this needs no read-modify-write instruction.
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

    /// Whether a request is being answered.
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

/// What a client's connection is doing, with the number of requests before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The client sends a header, or is about to send its first.
    Header(u32),
    /// The client waits for our answer, which has a deadline of its own.
    Busy,
    /// The connection is between requests, or the client does not read the last answer.
    Idle(u32),
}

/// How long a connection may stay in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The longest a header may take to arrive, within a factor of two.
    pub header: Duration,
    /// The longest a connection may be idle between requests.
    pub idle: Duration,
}

/// Completes when the connection has been in one phase for too long, and returns that phase.
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
    /// The phase seen last, and when it was first seen.
    phase: Phase,
    since: Instant,
}

impl Watchdog {
    /// When to look again, or `None` if it is time to close.
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

/// A stream that marks the arrival of bytes.
#[derive(Debug)]
pub struct ObservedStream<'a, T> {
    inner: T,
    activity: &'a Activity,
}

impl<'a, T> ObservedStream<'a, T> {
    /// Marks on `activity` what arrives on `inner`.
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
    async fn arriving_bytes_are_marked_and_sent_ones_are_not() {
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
    async fn a_header_that_trickles_in_after_a_request_is_cut_off() {
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
        // Seen at 30 s, closed at 40 s: within twice the time-out after the first byte at 25 s.
        assert_eq!(start.elapsed().as_secs(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_use_is_left_alone() {
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
