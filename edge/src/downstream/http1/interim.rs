//! Interim responses (RFC 9110 section 15.2) on their way to the client: the edge's own `100 Continue`, and those that
//! an endpoint sends before its response, such as `103 Early Hints`.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

use crate::{
    protocol::{
        h1::{head, write_buffer::WriteBuffer},
        headers::response::write_interim,
    },
    worker::client_activity::ClientActivity,
};

/// The response that tells a client to send its body (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// The maximum number of bytes that wait for a client that does not read. Interim responses are only hints, so further
/// ones are dropped.
const MAX_WAITING: usize = 64 * 1024;

/// The interim responses to one request.
#[derive(Debug, Default)]
pub(super) struct Interim {
    /// The client waits for `100 Continue` before it sends its body.
    awaits_continue: bool,
    /// The client supports interim responses, and the response has not begun.
    open: bool,
    out: WriteBuffer,
}

impl Interim {
    /// Creates the state for one request. HTTP/1.0 has no interim responses.
    pub(super) fn new(is_http10: bool, awaits_continue: bool) -> Self {
        Self { awaits_continue: awaits_continue && !is_http10, open: !is_http10, out: WriteBuffer::default() }
    }

    /// Whether the client waits for `100 Continue`, so that it has sent nothing of its body.
    pub(super) fn awaits_continue(&self) -> bool {
        self.awaits_continue
    }

    /// Notes that the client has sent some of its body, so it no longer waits.
    pub(super) fn body_began(&mut self) {
        self.awaits_continue = false;
    }

    /// Sends `100 Continue` if the client waits for it, because the edge waits for the body.
    pub(super) fn invite_body(&mut self) {
        if std::mem::take(&mut self.awaits_continue) {
            self.out.bytes_mut().extend_from_slice(CONTINUE);
        }
    }

    /// Passes on an interim response of the endpoint, except `100 Continue`, which concerns only the edge and the
    /// endpoint.
    pub(super) fn pass_on(&mut self, head: &head::Response<'_>) {
        if self.open && head.status != 100 && self.out.bytes_mut().len() < MAX_WAITING {
            write_interim(self.out.bytes_mut(), head);
        }
    }

    /// Writes the waiting bytes.
    ///
    /// # Errors
    /// The stream's.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut S,
        activity: &ClientActivity,
    ) -> Poll<io::Result<()>> {
        // What is written may still wait in the TLS session.
        if self.out.is_empty() && !self.out.has_begun() {
            return Poll::Ready(Ok(()));
        }
        let flushed = self.out.poll_flush(cx, to);
        activity.wrote(self.out.take_written());
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.out = WriteBuffer::default();
        }
        flushed
    }

    /// Notes that the response begins, after which no interim response may follow. Returns the bytes that must precede
    /// the response. They do not include a `100 Continue` that was not begun: it would invite a body that nobody reads.
    pub(super) fn close(&mut self) -> Vec<u8> {
        (self.awaits_continue, self.open) = (false, false);
        let out = std::mem::take(&mut self.out);
        let has_begun = out.has_begun();
        let mut rest = out.into_rest();
        if !has_begun && rest.starts_with(CONTINUE) {
            rest.drain(..CONTINUE.len());
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::{config, downstream::http1::testing};

    fn hint(interim: &mut Interim, status: u16, value: &str) {
        let text = format!("HTTP/1.1 {status} Some\r\nLink: {value}\r\nConnection: x-a\r\nX-A: 1\r\n\r\n");
        head::response(text.as_bytes(), 100, |head| interim.pass_on(head)).unwrap().unwrap();
    }

    /// Writes what `interim` has, into a stream that takes `room` bytes, and returns what the client reads first and
    /// what must precede the response.
    async fn written(mut interim: Interim, room: usize) -> (String, String) {
        let (worker, _log) = testing::worker(&config::AccessLog::Off);
        let activity = testing::activity(&worker);
        let (mut client, mut stream) = duplex(room);
        let _full = interim.poll_flush(&mut Context::from_waker(Waker::noop()), &mut stream, &activity);
        let rest = interim.close();
        drop(stream);
        let mut seen = String::new();
        client.read_to_string(&mut seen).await.unwrap();
        (seen, String::from_utf8(rest).unwrap())
    }

    #[tokio::test]
    async fn interim_responses_are_passed_on_in_order_without_their_hop_by_hop_fields() {
        let mut interim = Interim::new(false, true);
        interim.invite_body();
        interim.invite_body();
        hint(&mut interim, 100, "never");
        hint(&mut interim, 103, "</a.css>");
        hint(&mut interim, 199, "b");
        let (seen, rest) = written(interim, 1000).await;
        let expected = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Some\r\nLink: </a.css>\r\n\r\n\
            HTTP/1.1 199 Some\r\nLink: b\r\n\r\n";
        assert_eq!((seen.as_str(), rest.as_str()), (expected, ""));
    }

    #[tokio::test]
    async fn an_interim_response_that_is_written_in_part_is_completed_before_the_response() {
        let mut interim = Interim::new(false, true);
        interim.invite_body();
        let (seen, rest) = written(interim, 10).await;
        assert_eq!((seen.as_str(), rest.as_str()), ("HTTP/1.1 1", "00 Continue\r\n\r\n"));
    }

    #[test]
    fn hints_precede_the_response_and_a_late_invitation_is_left_out() {
        let mut interim = Interim::new(false, true);
        interim.invite_body();
        hint(&mut interim, 103, "a");
        assert_eq!(interim.close(), b"HTTP/1.1 103 Some\r\nLink: a\r\n\r\n");
        hint(&mut interim, 103, "late");
        interim.invite_body();
        assert_eq!(interim.close(), b"");
    }

    #[test]
    fn a_client_of_http_10_gets_none() {
        let mut interim = Interim::new(true, true);
        interim.invite_body();
        hint(&mut interim, 103, "a");
        assert!(interim.out.is_empty());
    }

    #[test]
    fn a_client_that_does_not_read_cannot_fill_the_memory() {
        let mut interim = Interim::new(false, false);
        for _ in 0..10_000 {
            hint(&mut interim, 103, "a");
        }
        assert!(interim.out.bytes_mut().len() < MAX_WAITING + 100);
    }
}
