//! Whether a connection may carry another request.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::time::Instant;

use super::state::Connection;
use crate::{io::buffer::BufferPool, upstream::mesh::link::Link};

/// How many bytes that nobody asked for are looked at: the version and the status of a response.
const SEEN: usize = "HTTP/1.1 408".len();

impl Connection {
    /// Whether it has carried a request before this one.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Forbids another request, because the current one was not written completely.
    pub fn disable_reuse(&mut self) {
        self.reuse_disabled = true;
    }

    /// Whether the current request was not written completely.
    #[must_use]
    pub fn is_reuse_disabled(&self) -> bool {
        self.reuse_disabled
    }

    /// Whether another request can be sent on it once the response is complete.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        let is_complete = self.keeps_alive && !self.reuse_disabled && self.body.is_done();
        if is_complete && !self.incoming.is_empty() {
            // Bytes behind the response answer no request.
            self.endpoint().sent_surplus();
        }
        is_complete && self.endpoint().allows_reuse()
    }

    /// Whether the endpoint still holds it open and has sent nothing on it, as far as the runtime knows: it last asked
    /// the kernel when it last waited for events, so what arrived since then is unknown. Costs no system call unless
    /// bytes or an end have arrived.
    ///
    /// That suffices for a request that can be sent again. An end then becomes a failed attempt at an idle connection,
    /// which is repeated. Bytes that no request asked for would be read as its response, but no check excludes that:
    /// they may as well arrive between the check and the write, or while the request is on its way. What protects the
    /// visitors is that an endpoint caught sending such bytes, here or at the end of any exchange, never gets a second
    /// request on a connection.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let mut first = [0; SEEN];
        let read = self.stream.try_read(&mut first);
        self.is_quiet(read, &first)
    }

    /// Like [`is_open`](Self::is_open), but asks the kernel, which may know of bytes or of an end that the runtime has
    /// not seen yet. It costs a system call.
    #[must_use]
    pub fn is_open_in_kernel(&self) -> bool {
        let mut first = [0; SEEN];
        let read = recv(&self.stream, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        self.is_quiet(read.map(|(count, _)| count).map_err(io::Error::from), &first)
    }

    fn is_quiet(&self, read: io::Result<usize>, first: &[u8; SEEN]) -> bool {
        match read {
            Ok(0) => false,
            Ok(_) => {
                // Some servers announce that they close an idle connection.
                if !(first.starts_with(b"HTTP/1.") && first.ends_with(b" 408")) {
                    self.endpoint().sent_surplus();
                }
                false
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Whether it is younger than `max_age`, so that it may carry more requests.
    #[must_use]
    pub fn is_young(&self, now: Instant) -> bool {
        let max_age = self.pool.timeouts.max_age;
        now < self.opened + self.link.as_ref().map_or(max_age, |link| max_age.mul_f64(link.lifetime()))
    }

    /// Whether it has been idle for too long.
    #[must_use]
    pub fn is_idle_expired(&self, now: Instant) -> bool {
        now >= self.idle_since + self.pool.timeouts.idle
    }

    /// Notes that it is open while it is idle.
    pub(super) fn note_open(&mut self, now: Instant) {
        self.seen_open = now;
    }

    /// Notes that the endpoint closed it while it was idle.
    pub fn note_closed(&self, now: Instant) {
        self.endpoint().idle_life.closed(self.seen_open.saturating_duration_since(self.quiet_since), now);
    }

    /// Whether it may carry a request that cannot be sent again: it has not been idle for so long that the endpoint may
    /// be about to close it. See [`idle_life`](crate::upstream::idle_life).
    #[must_use]
    pub fn is_fresh(&self, now: Instant) -> bool {
        let limit = self.endpoint().idle_life.limit(now);
        limit.is_none_or(|limit| now.saturating_duration_since(self.quiet_since) < limit)
    }

    /// Makes it idle after a complete exchange.
    pub fn become_idle(&mut self, now: Instant, buffers: &BufferPool) {
        self.idle_since = now;
        // It must be asked all the same: a replica that should get no requests may answer them.
        if let Some(link) = &self.link {
            link.answered();
        }
        self.become_idle_without_request(now, buffers);
    }

    /// Makes it idle after it was opened or asked ahead of a request: that is no use of it.
    pub fn become_idle_without_request(&mut self, now: Instant, buffers: &BufferPool) {
        self.quiet_since = now;
        self.seen_open = now;
        self.reused = true;
        self.interim = 0;
        self.incoming.release(buffers);
    }

    /// Counts a response to a request, for its replica behind a mesh.
    pub fn note_response(&self, is_error: bool) {
        if let Some(link) = &self.link {
            link.responded(is_error);
        }
    }

    /// Whether a response announced that what it leads to drains.
    #[must_use]
    pub fn announced_drain(&self) -> bool {
        self.announced_drain
    }

    /// Whether it may no longer answer, as another connection of its mesh did not.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.link.as_ref().is_some_and(Link::is_suspect)
    }

    /// Whether it counts in the spread of a mesh.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.link.is_some()
    }

    /// Its entry in the spread of a mesh.
    pub fn link(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }
}
