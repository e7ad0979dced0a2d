//! An HTTP client without retries, redirects and connection pool, which returns every response unchanged.
//!
//! [`Connection`] is one connection, plain or TLS, HTTP/1.1 or HTTP/2. [`get`] sends one request on a new connection.
//! [`load`] runs many connections and records every outcome. [`raw`] sends bytes that no HTTP library would send.

pub mod load;
pub mod raw;
pub mod tls;

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use self::tls::Negotiated;

/// A request's body. See [`empty`], [`full`] and [`stream`].
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection was refused, reset or unreachable before a request was sent.
    #[error("connect: {0}")]
    Connect(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("TLS handshake: {0}")]
    Handshake(#[source] io::Error),
    /// The connection failed during the request or its response.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// The response was not complete within the time limit.
    #[error("no complete response in time")]
    Timeout,
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The HTTP version of the status line, or HTTP/2.
    pub version: Version,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The trailer fields.
    pub trailers: HeaderMap,
}

impl Reply {
    /// Returns the body as text, with invalid UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the value of a header field, or `None` if it is missing or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Parses the body as JSON, such as an upstream's echo.
    ///
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Reads a response to its end.
    ///
    /// # Errors
    /// If the connection fails first.
    pub async fn read(response: Response<Incoming>) -> Result<Self, Error> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?;
        Ok(Self {
            status: head.status,
            version: head.version,
            headers: head.headers,
            trailers: body.trailers().cloned().unwrap_or_default(),
            body: body.to_bytes(),
        })
    }
}

/// Creates an empty body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Creates a body of known length.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Creates a body of unknown length, which is sent as `chunks` yields it: chunked in HTTP/1.1.
pub fn stream(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

/// Creates a GET for `path` at `host`.
///
/// # Panics
/// If `path` or `host` is invalid.
#[must_use]
pub fn request(host: &str, path: &str) -> Request<Body> {
    let request = Request::get(path).header(HOST, host);
    request.body(empty()).expect("a valid request")
}

/// Gets `path` from `address` over a new plain HTTP/1.1 connection.
///
/// # Errors
/// If there is no complete response.
pub async fn get(address: SocketAddr, path: &str) -> Result<Reply, Error> {
    Connection::http1(address).await?.get(path).await
}

/// One connection. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    /// The host of requests by [`get`](Self::get).
    host: String,
    local: SocketAddr,
    tls: Option<Negotiated>,
    driver: JoinHandle<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    /// Connects over plain HTTP/1.1, keep-alive.
    ///
    /// # Errors
    /// If the connection is not accepted.
    pub async fn http1(address: SocketAddr) -> Result<Self, Error> {
        let (stream, local) = connect(address).await?;
        Self::over_http1(stream, address.to_string(), local, None).await
    }

    /// Connects over plain HTTP/2 with prior knowledge.
    ///
    /// # Errors
    /// If the connection is not accepted.
    pub async fn http2(address: SocketAddr) -> Result<Self, Error> {
        let (stream, local) = connect(address).await?;
        Self::over_http2(stream, address.to_string(), local, None).await
    }

    /// Connects over TLS with the server name (SNI) `name`. Speaks HTTP/2 if the server selects "h2" from the protocols
    /// (ALPN) of `offer`, else HTTP/1.1.
    ///
    /// # Errors
    /// If the connection is not accepted, or the handshake fails.
    pub async fn https(address: SocketAddr, name: &str, offer: tls::Offer) -> Result<Self, Error> {
        let (stream, local) = connect(address).await?;
        let (stream, tls) = offer.handshake(stream, name).await.map_err(Error::Handshake)?;
        if tls.alpn.as_deref() == Some("h2") {
            Self::over_http2(stream, name.to_owned(), local, Some(tls)).await
        } else {
            Self::over_http1(stream, name.to_owned(), local, Some(tls)).await
        }
    }

    async fn over_http1<S>(stream: S, host: String, local: SocketAddr, tls: Option<Negotiated>) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // A request on a failed connection returns the error.
        let driver = tokio::spawn(async { connection.with_upgrades().await.unwrap_or(()) });
        Ok(Self { sender: Sender::Http1(sender), host, local, tls, driver })
    }

    async fn over_http2<S>(stream: S, host: String, local: SocketAddr, tls: Option<Negotiated>) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async { connection.await.unwrap_or(()) });
        Ok(Self { sender: Sender::Http2(sender), host, local, tls, driver })
    }

    /// Returns the local address, which is the server's client address.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Returns what the TLS handshake negotiated, or `None` for a plain connection.
    #[must_use]
    pub fn tls(&self) -> Option<&Negotiated> {
        self.tls.as_ref()
    }

    /// Gets `path` and reads the response to its end.
    ///
    /// # Errors
    /// If there is no complete response.
    pub async fn get(&mut self, path: &str) -> Result<Reply, Error> {
        let request = request(&self.host, path);
        self.send(request).await
    }

    /// Sends `request` and reads the response to its end.
    ///
    /// # Errors
    /// If there is no complete response.
    pub async fn send(&mut self, request: Request<Body>) -> Result<Reply, Error> {
        Reply::read(self.start(request).await?).await
    }

    /// Sends `request` and returns when the response's head arrives, so that a test can read the body slowly, drop it,
    /// or upgrade.
    ///
    /// # Errors
    /// If the connection fails first.
    pub async fn start(&mut self, mut request: Request<Body>) -> Result<Response<Incoming>, Error> {
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                let scheme = if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
                make_absolute(&mut request, scheme);
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// Returns whether the server has closed the connection, or it failed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn connect(address: SocketAddr) -> Result<(TcpStream, SocketAddr), Error> {
    let stream = TcpStream::connect(address).await.map_err(Error::Connect)?;
    stream.set_nodelay(true).map_err(Error::Connect)?;
    let local = stream.local_addr().map_err(Error::Connect)?;
    Ok((stream, local))
}

/// Moves the host into the target's authority, where HTTP/2 has it (RFC 9113 section 8.3.1).
fn make_absolute(request: &mut Request<Body>, scheme: Scheme) {
    let Some(host) = request.headers_mut().remove(HOST) else {
        return;
    };
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(scheme);
    parts.authority = Some(Authority::try_from(host.as_bytes()).expect("a valid host"));
    *request.uri_mut() = Uri::from_parts(parts).expect("a valid target");
}
