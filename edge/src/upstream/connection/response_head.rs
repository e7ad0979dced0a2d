//! Reads the head of a response.

use std::{
    io,
    task::{Context, Poll, ready},
};

use http::Version;

use super::state::Connection;
use crate::{
    config::behind_mesh,
    error::{Error, Kind, Retry},
    io::buffer::BufferPool,
    protocol::{
        h1::{
            body::Reader,
            framing::Framing,
            head::{self, Field, is_complete},
        },
        headers::response::HeaderSummary,
    },
};

/// The most interim responses to one request.
const MAX_INTERIM: u8 = 32;

/// The head of a response. Borrows from the read buffer.
#[derive(Debug)]
pub struct ResponseHead<'a> {
    /// The whole head.
    pub bytes: &'a [u8],
    /// Its parts, which borrow from `bytes`.
    pub parts: &'a head::Response<'a>,
    /// What its fields mean to a proxy.
    pub summary: &'a HeaderSummary<'a>,
    /// How the body on this connection ends.
    pub framing: Framing,
    /// The request was HEAD, so no body follows, whatever the fields announce.
    pub to_head: bool,
}

impl ResponseHead<'_> {
    /// The framing that the head for the client declares. A length may be 0 here, and a response to HEAD declares the
    /// length of the body that it omits. A body that ends with this connection is chunked for the client, whose
    /// connection stays open.
    #[must_use]
    pub fn client_framing(&self) -> Framing {
        match self.framing {
            _ if is_bodiless(self.parts.status) => Framing::None,
            _ if self.to_head => self.summary.lengths.announced().map_or(Framing::None, Framing::Length),
            Framing::None => Framing::Length(0),
            Framing::Length(length) => Framing::Length(length),
            Framing::Chunked | Framing::Close => Framing::Chunked,
        }
    }
}

/// The outcome of parsing the bytes read so far.
enum Parsed<T> {
    Final(T),
    Interim,
    Incomplete,
}

impl Connection {
    /// Reads the head of the response and passes it to `on_head`. Passes interim responses to `on_interim`, except 101,
    /// which ends HTTP on this connection.
    ///
    /// # Errors
    /// [`Kind::UpstreamClosed`], after which another endpoint may be tried if not one byte came, or
    /// [`Kind::UpstreamInvalid`] or [`Kind::UpstreamHeadTooLarge`].
    pub fn poll_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &BufferPool,
        to_head: bool,
        on_interim: &mut impl FnMut(&head::Response<'_>),
        on_head: &mut impl FnMut(&ResponseHead<'_>) -> T,
    ) -> Poll<Result<T, Error>> {
        loop {
            // The first read is parsed at once; a head that arrives in parts is parsed when its end has arrived.
            let here = self.incoming.data();
            if !here.is_empty() && (self.scanned == 0 || is_complete(here, self.scanned)) {
                self.scanned = here.len();
                match self.parse_head(to_head, on_interim, on_head).map_err(|kind| Error::new(kind, Retry::Never))? {
                    Parsed::Final(value) => return Poll::Ready(Ok(value)),
                    Parsed::Interim if self.interim < MAX_INTERIM => {
                        self.interim += 1;
                        continue;
                    }
                    Parsed::Interim => {
                        let why = "too many interim responses";
                        return Poll::Ready(Err(Error::because(Kind::UpstreamInvalid, Retry::Never, why)));
                    }
                    Parsed::Incomplete => {}
                }
            }
            self.scanned = self.incoming.data().len();
            let max = self.pool.max_response_head;
            match ready!(self.incoming.poll_fill(cx, &mut self.stream, buffers, max)) {
                Ok(1..) => {}
                Ok(0) if self.incoming.is_empty() => {
                    return Poll::Ready(Err(Error::new(Kind::UpstreamClosed, Retry::IfIdempotent)));
                }
                Ok(0) => return Poll::Ready(Err(Error::new(Kind::UpstreamClosed, Retry::Never))),
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Poll::Ready(Err(Error::new(Kind::UpstreamHeadTooLarge, Retry::Never)));
                }
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                    return Poll::Ready(Err(Error::new(Kind::Overloaded, Retry::Never)));
                }
                Err(error) => {
                    let retry = if self.incoming.is_empty() { Retry::IfIdempotent } else { Retry::Never };
                    return Poll::Ready(Err(Error::because(Kind::UpstreamClosed, retry, error)));
                }
            }
        }
    }

    fn parse_head<T>(
        &mut self,
        to_head: bool,
        on_interim: &mut impl FnMut(&head::Response<'_>),
        on_head: &mut impl FnMut(&ResponseHead<'_>) -> T,
    ) -> Result<Parsed<T>, Kind> {
        let bytes = self.incoming.data();
        let drain = self.pool.drain.header.as_deref();
        let announces = |field: &Field<'_>| drain.is_some_and(|name| field.name.eq_ignore_ascii_case(name));
        let mut announced = false;
        let parsed = head::response(bytes, self.pool.max_response_headers, |parts| {
            announced = drain.is_some() && parts.fields.iter().any(announces);
            // It is for the edge and not for the client. Most responses have none, and are not copied.
            let (kept, without): (Vec<_>, _);
            let parts = if announced {
                kept = parts.fields.iter().filter(|field| !announces(field)).copied().collect();
                without = head::Response { fields: &kept, ..*parts };
                &without
            } else {
                parts
            };
            if matches!(parts.status, 100 | 102..=199) {
                on_interim(parts);
                return Ok(None);
            }
            let summary = HeaderSummary::of(parts.fields)?;
            let bodiless = to_head || is_bodiless(parts.status);
            let framing = summary.lengths.of_response(bodiless, parts.version == Version::HTTP_11)?;
            let keeps_alive = summary.keeps_alive(parts.version) && framing != Framing::Close && parts.status != 101;
            if let Some(link) = &mut self.link {
                let name = parts.fields.iter().find(|field| field.name.eq_ignore_ascii_case(&self.pool.replica_header));
                // A page of an error handler may lack it.
                if let Some(name) = name {
                    link.learn(name.value);
                }
            }
            let value = on_head(&ResponseHead { bytes, parts, summary: &summary, framing, to_head });
            Ok(Some((value, framing, keeps_alive)))
        })?;
        let Some((parsed, length)) = parsed else { return Ok(Parsed::Incomplete) };
        let parsed = parsed?;
        self.incoming.consume(length);
        self.scanned = 0;
        if announced {
            self.announced_drain = true;
            self.note_drain();
        }
        let Some((value, framing, keeps_alive)) = parsed else { return Ok(Parsed::Interim) };
        self.body = Reader::new(framing);
        let timeouts = &self.pool.timeouts;
        // A body whose end is not declared may be a stream of events, which has none for hours.
        let is_stream = matches!(framing, Framing::Chunked | Framing::Close);
        self.body_idle = if is_stream { timeouts.tunnel_idle.max(timeouts.body_idle) } else { timeouts.body_idle };
        // An endpoint that drains wants to get rid of its connections.
        self.keeps_alive = keeps_alive && !announced;
        Ok(Parsed::Final(value))
    }

    /// Notes that the response announced a drain. Behind a mesh, the node is not what drains, but the
    /// replica that this connection leads to.
    fn note_drain(&self) {
        if !self.pool.mesh && !behind_mesh(&self.pool.sources, self.pool.health.as_ref()) {
            self.endpoint().announce_drain();
        }
    }
}

/// Whether a response with this status never has a body (RFC 9110 sections 15.2, 15.3.5 and 15.4.5).
fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc, time::SystemTime};

    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::*;
    use crate::{
        config::{Drain, Pool},
        io::memory::{Budget, Memory},
        upstream::{Endpoint, connection::ConnectionPermit},
    };

    /// The names of the fields of an interim response and of the final one, as they are for the client.
    async fn fields(drain: Option<&str>) -> (Vec<String>, Vec<String>, Arc<Endpoint>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 103 Hints\r\nX-A: 1\r\nX-Drain: 1\r\n\r\n\
            HTTP/1.1 200 OK\r\nX-A: 1\r\nX-Drain: 1\r\nx-drain:\r\nX-Drained: 2\r\ncontent-length: 0\r\n\r\n";
        peer.write_all(head).await.unwrap();
        let endpoint = Arc::new(Endpoint::new(address, "s".into(), 1, SystemTime::UNIX_EPOCH));
        let permit = ConnectionPermit::take(&endpoint, &Arc::default(), 1).unwrap();
        let header = drain.map(str::to_owned);
        let pool = Pool { drain: Drain { header, ..Drain::default() }, health: None, ..Pool::new("p", Vec::new()) };
        let mut connection = Connection::new(stream, permit, Arc::new(pool), Instant::now());
        let buffers = BufferPool::new(Memory::new(Arc::new(Budget::new(None, 1))));
        let names = |fields: &[Field<'_>]| fields.iter().map(|field| field.name.to_lowercase()).collect::<Vec<_>>();
        let mut interim = Vec::new();
        let last = poll_fn(|cx| {
            let mut on_interim = |head: &head::Response<'_>| interim = names(head.fields);
            let mut on_head = |head: &ResponseHead<'_>| names(head.parts.fields);
            connection.poll_head(cx, &buffers, false, &mut on_interim, &mut on_head)
        });
        let last = last.await.unwrap();
        (interim, last, endpoint)
    }

    #[tokio::test]
    async fn field_that_announces_a_drain_is_not_passed_on() {
        let (interim, last, endpoint) = fields(Some("x-drain")).await;
        assert_eq!(
            (interim, last),
            (vec!["x-a".into()], ["x-a", "x-drained", "content-length"].map(str::to_owned).into())
        );
        endpoint.wait_for_drain().await;
        let (interim, last, _) = fields(None).await;
        assert_eq!((interim.len(), last.len()), (2, 5), "without the setting it is a field like others");
    }
}
