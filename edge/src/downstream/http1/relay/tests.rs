use std::{future::poll_fn, rc::Rc, task::Waker, time::Duration};

use http::Version;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};

use super::*;
use crate::{
    config,
    downstream::http1::{interim::Interim, request_body::RequestBody, testing},
    error::Retry,
    io::{
        buffer::{BLOCK_SIZE, Buffer},
        deadline::Deadline,
    },
    protocol::{
        h1::{framing::Framing, head::Target},
        headers::request::HeaderSummary,
    },
    proxy::request::RequestHead,
    worker::Worker,
};

/// The longest pause of the endpoint.
const PAUSE: Duration = Duration::from_secs(30);

/// A response over a stream in memory. The body of the request is read from the client and thrown away.
struct Response {
    stream: DuplexStream,
    incoming: Buffer,
    body: Reader,
    deadline: Deadline,
}

impl ResponseSource for Response {
    fn next_event(&mut self) -> Result<BodyEvent, Error> {
        self.body.next(&mut self.incoming).map_err(|_| Error::new(Kind::UpstreamClosed, Retry::Never))
    }

    fn data(&self) -> &[u8] {
        self.incoming.data()
    }

    fn consume(&mut self, count: usize, now: Instant) {
        self.body.consume(&mut self.incoming, count);
        self.note_progress(now);
    }

    fn poll_read_more(&mut self, cx: &mut Context<'_>, buffers: &BufferPool, now: Instant) -> Poll<Result<(), Error>> {
        match self.incoming.poll_fill(cx, &mut self.stream, buffers, BLOCK_SIZE) {
            Poll::Ready(Ok(0)) if self.body.end_of_stream() => Poll::Ready(Ok(())),
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(Error::new(Kind::UpstreamClosed, Retry::Never))),
            Poll::Ready(Ok(_)) => {
                self.note_progress(now);
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                ready!(self.deadline.poll(cx));
                Poll::Ready(Err(Error::new(Kind::ResponseTimeout, Retry::Never)))
            }
        }
    }

    fn poll_splice(&mut self, _cx: &mut Context<'_>, _pipe: &mut Pipe, _now: Instant) -> Poll<Result<(), Error>> {
        panic!("a stream in memory has no socket")
    }

    fn note_progress(&mut self, now: Instant) {
        self.deadline.set(now + PAUSE);
    }

    fn limit_pause(&mut self, _now: Instant) {}

    fn remaining(&self) -> Option<u64> {
        self.body.remaining()
    }

    fn body(&mut self) -> &mut Reader {
        &mut self.body
    }
}

struct Endpoint {
    response: Option<Response>,
    received: Vec<u8>,
}

impl Exchange for &mut Endpoint {
    type Response = Response;

    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        _now: Instant,
    ) -> Poll<Result<(), Kind>> {
        while let Some(data) = ready!(source.poll_data(cx)).map_err(|error| error.kind)? {
            self.received.extend_from_slice(data);
            let count = data.len();
            source.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    fn request_bytes(&self) -> u64 {
        self.received.len() as u64
    }

    fn response(&mut self) -> Option<&mut Response> {
        self.response.as_mut()
    }

    fn finish(&mut self, _now: Instant) {
        self.response = None;
    }
}

/// Everything that a relay borrows, and both peers.
struct Fixture {
    worker: Rc<Worker>,
    activity: Rc<ClientActivity>,
    client: DuplexStream,
    endpoint: DuplexStream,
    stream: DuplexStream,
    incoming: Buffer,
    body: RequestBody,
    out: WriteBuffer,
    record: RequestRecord,
    head: ResponseHead,
    exchange: Endpoint,
}

impl Fixture {
    /// A response with this framing to a request with a body of `request` bytes. `room` is what the client takes before
    /// it reads.
    fn new(framing: Framing, request: u64, room: usize) -> Self {
        let (worker, _log) = testing::worker(&config::AccessLog::Off);
        let activity = testing::activity(&worker);
        let head = RequestHead {
            method: "POST",
            target: Target { authority: None, path_and_query: "/" },
            version: Version::HTTP_11,
            fields: &[],
            summary: &HeaderSummary::default(),
            framing: Framing::Length(request),
        };
        let record = RequestRecord::begin(&worker, &activity, &head);
        let (client, stream) = duplex(room);
        let (endpoint, upstream) = duplex(1 << 16);
        let mut deadline = Deadline::new(Instant::now());
        deadline.set(Instant::now() + PAUSE);
        let response = Response { stream: upstream, incoming: Buffer::default(), body: Reader::new(framing), deadline };
        Self {
            worker,
            activity,
            client,
            endpoint,
            stream,
            incoming: Buffer::default(),
            body: RequestBody::new(Framing::Length(request), Interim::new(false, false)),
            out: WriteBuffer::default(),
            record,
            head: ResponseHead {
                status: 200,
                chunked: framing == Framing::Chunked,
                may_pipe: framing != Framing::Chunked,
                until_close: false,
                close: false,
            },
            exchange: Endpoint { response: Some(response), received: Vec::new() },
        }
    }

    fn relay(&mut self) -> Relay<'_, DuplexStream, &mut Endpoint> {
        self.worker.clock.tick();
        Relay {
            client: ClientBody {
                worker: &self.worker,
                activity: &self.activity,
                stream: &mut self.stream,
                incoming: &mut self.incoming,
                body: &mut self.body,
            },
            out: &mut self.out,
            record: &mut self.record,
            head: &mut self.head,
            exchange: &mut self.exchange,
            pipe: None,
        }
    }

    /// One step, without waiting.
    fn step(&mut self) -> Poll<Result<(), Kind>> {
        self.relay().step(&mut Context::from_waker(Waker::noop()))
    }

    /// Steps until the relay ends.
    async fn run(&mut self) -> Result<(), Kind> {
        let mut relay = self.relay();
        poll_fn(|cx| {
            relay.client.worker.clock.tick();
            relay.step(cx)
        })
        .await
    }

    /// Reads what the client has got so far.
    async fn client_reads(&mut self) -> String {
        let mut bytes = vec![0; 1 << 16];
        let read = timeout(Duration::from_millis(1), self.client.read(&mut bytes)).await;
        bytes.truncate(read.map_or(0, Result::unwrap));
        String::from_utf8(bytes).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_arrives_as_its_framing_says() {
    for (framing, sent) in
        [(Framing::Length(10), "0123456789"), (Framing::Chunked, "3\r\nabc\r\n0\r\n\r\n"), (Framing::Length(0), "")]
    {
        let mut fixture = Fixture::new(framing, 0, 1 << 16);
        fixture.endpoint.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(fixture.run().await, Ok(()), "{framing:?}");
        assert_eq!(fixture.client_reads().await, sent, "{framing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_until_close_ends_with_the_endpoints_connection() {
    let mut fixture = Fixture::new(Framing::Close, 0, 1 << 16);
    fixture.endpoint.write_all(b"all of it").await.unwrap();
    assert_eq!(fixture.step(), Poll::Pending);
    assert_eq!(fixture.client_reads().await, "all of it", "the client does not wait for the end");
    fixture.endpoint.shutdown().await.unwrap();
    assert_eq!(fixture.run().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_connection_is_given_back_before_the_client_has_the_last_byte() {
    let mut fixture = Fixture::new(Framing::Length(10), 0, 4);
    fixture.endpoint.write_all(b"0123456789").await.unwrap();
    assert_eq!(fixture.step(), Poll::Pending);
    assert!(fixture.exchange.response.is_none());
    assert!(fixture.activity.is_blocked());
    for expected in ["0123", "4567"] {
        assert_eq!(fixture.client_reads().await, expected);
        assert!(fixture.activity.is_blocked());
        let _ended = fixture.step();
    }
    assert_eq!(fixture.client_reads().await, "89");
    assert_eq!(fixture.step(), Poll::Ready(Ok(())));
    assert!(!fixture.activity.is_blocked());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_breaks_off_is_reported_after_the_client_has_what_came() {
    for (framing, sent, received) in
        [(Framing::Length(10), "abc", "abc"), (Framing::Chunked, "3\r\nabc\r\n4\r\nd", "3\r\nabc\r\n1\r\nd\r\n")]
    {
        let mut fixture = Fixture::new(framing, 0, 1 << 16);
        fixture.endpoint.write_all(sent.as_bytes()).await.unwrap();
        fixture.endpoint.shutdown().await.unwrap();
        assert_eq!(fixture.run().await, Err(Kind::UpstreamClosed), "{framing:?}");
        assert_eq!(fixture.client_reads().await, received, "{framing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_pauses_too_long_is_a_timeout_and_the_client_is_not_blamed() {
    let mut fixture = Fixture::new(Framing::Length(10), 0, 1 << 16);
    fixture.endpoint.write_all(b"abc").await.unwrap();
    let start = Instant::now();
    assert_eq!(fixture.step(), Poll::Pending);
    assert!(!fixture.activity.is_blocked());
    assert_eq!(fixture.run().await, Err(Kind::ResponseTimeout));
    assert_eq!(start.elapsed().as_secs(), PAUSE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_disconnects_ends_the_relay_with_the_next_write() {
    let mut fixture = Fixture::new(Framing::Length(10), 0, 1 << 16);
    fixture.endpoint.write_all(b"abc").await.unwrap();
    assert_eq!(fixture.step(), Poll::Pending);
    let (client, _) = duplex(1);
    drop(std::mem::replace(&mut fixture.client, client));
    // The end of its stream alone could be that of its sending direction.
    assert_eq!(fixture.step(), Poll::Pending);
    fixture.endpoint.write_all(b"def").await.unwrap();
    assert_eq!(fixture.run().await, Err(Kind::ClientGone));
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_request_is_sent_while_the_response_arrives() {
    let mut fixture = Fixture::new(Framing::Length(10), 6, 1 << 16);
    for (request, response) in [("ab", "012"), ("cd", "345"), ("ef", "6789")] {
        fixture.client.write_all(request.as_bytes()).await.unwrap();
        fixture.endpoint.write_all(response.as_bytes()).await.unwrap();
        let _step = fixture.step();
        assert_eq!(fixture.client_reads().await, response);
    }
    assert_eq!(fixture.exchange.received, b"abcdef");
    assert_eq!(fixture.step(), Poll::Ready(Ok(())));
}
