//! What a connection is doing, and whether it has done so for too long.
//!
//! The connection leaves marks as it goes, which costs an atomic store each; a watchdog looks at
//! them now and then. So time-outs are exact only to the watchdog's interval, the header time-out,
//! but a request arms no timer and reads no clock.

use std::{
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    task::{Context, Poll},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, sleep_until};

use super::Options;

/// The marks that one connection leaves.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests so far. Wraps, which only needs two equal values in a row to mislead.
    requests: AtomicU32,
    /// A request is being answered.
    busy: AtomicBool,
    /// Bytes came since the last request began: those of the next header, most likely.
    bytes: AtomicBool,
}

impl Activity {
    /// Marks the begin of a request, and its end when the returned guard is dropped.
    pub(super) fn request(&self) -> impl Drop + '_ {
        struct Busy<'a>(&'a Activity);
        impl Drop for Busy<'_> {
            fn drop(&mut self) {
                self.0.busy.store(false, Relaxed);
            }
        }
        // One task makes all marks, so this needs no read-modify-write instruction.
        self.requests.store(self.requests.load(Relaxed).wrapping_add(1), Relaxed);
        self.bytes.store(false, Relaxed);
        self.busy.store(true, Relaxed);
        Busy(self)
    }

    /// Requests so far, modulo 2^32.
    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed)
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

/// What a connection is doing, and after how many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Sending a header, or about to send the first.
    Header(u32),
    /// Waiting for our answer, which has a deadline of its own.
    Busy,
    /// Between requests, or not reading the last answer.
    Idle(u32),
}

/// Returns when the connection has been in one phase for too long.
pub(super) async fn expire(activity: &Activity, options: &Options) -> Phase {
    let mut watchdog = Watchdog { phase: activity.phase(), since: Instant::now() };
    let mut next = watchdog.since + options.header_timeout;
    loop {
        sleep_until(next).await;
        match watchdog.check(activity.phase(), Instant::now(), options) {
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
    fn check(&mut self, phase: Phase, now: Instant, options: &Options) -> Option<Instant> {
        if phase != self.phase {
            *self = Self { phase, since: now };
        }
        let soon = now + options.header_timeout;
        let end = match phase {
            Phase::Busy => return Some(soon),
            Phase::Header(_) => self.since + options.header_timeout,
            Phase::Idle(_) => self.since + options.idle_timeout,
        };
        (now < end).then(|| end.min(soon))
    }
}

/// A connection that marks when bytes come.
#[derive(Debug)]
pub(super) struct Watched<'a, T> {
    inner: T,
    activity: &'a Activity,
}

impl<'a, T> Watched<'a, T> {
    pub(super) fn new(inner: T, activity: &'a Activity) -> Self {
        Self { inner, activity }
    }
}

impl<T: Read + Unpin> Read for Watched<'_, T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if poll.is_ready() {
            self.activity.bytes.store(true, Relaxed);
        }
        poll
    }
}

impl<T: Write + Unpin> Write for Watched<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OPTIONS: Options = Options {
        max_connections: std::num::NonZeroUsize::MIN,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        drain_delay: Duration::ZERO,
        grace: Duration::ZERO,
    };

    fn bytes(activity: &Activity) {
        activity.bytes.store(true, Relaxed);
    }

    #[test]
    fn a_connection_goes_from_header_to_busy_to_idle() {
        let activity = Activity::default();
        assert_eq!(activity.phase(), Phase::Header(0), "before the first byte");
        bytes(&activity);
        assert_eq!(activity.phase(), Phase::Header(0));
        let request = activity.request();
        assert_eq!(activity.phase(), Phase::Busy);
        drop(request);
        assert_eq!(activity.phase(), Phase::Idle(1));
        bytes(&activity);
        assert_eq!(activity.phase(), Phase::Header(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_sends_nothing_is_closed_after_the_header_timeout() {
        let start = Instant::now();
        let phase = expire(&Activity::default(), &OPTIONS).await;
        assert_eq!(phase, Phase::Header(0));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_after_the_idle_timeout() {
        let activity = Activity::default();
        drop(activity.request());
        let start = Instant::now();
        assert_eq!(expire(&activity, &OPTIONS).await, Phase::Idle(1));
        assert_eq!(start.elapsed().as_secs(), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_trickles_in_after_a_request_is_cut_off() {
        let activity = Activity::default();
        drop(activity.request());
        let start = Instant::now();
        let trickle = async {
            sleep_until(start + Duration::from_secs(25)).await;
            loop {
                bytes(&activity);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            phase = expire(&activity, &OPTIONS) => assert_eq!(phase, Phase::Header(1)),
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
                let request = activity.request();
                tokio::time::sleep(Duration::from_secs(4)).await;
                drop(request);
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        };
        tokio::select! {
            phase = expire(&activity, &OPTIONS) => panic!("closed while {phase:?}"),
            () = use_it => {}
        }
        assert_eq!(start.elapsed().as_secs(), 800);
    }
}
