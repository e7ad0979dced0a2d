//! Sends one HTTP/1.1 request on a connection of its own.
//!
//! At a few requests per second, a connection for each request costs little, and a connection that hung once is never
//! used again. The caller connects, so that it decides how, and sets a timeout for the whole exchange: dropping the
//! future closes the connection.

use std::{io, net::SocketAddr, pin::pin};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// The maximum size of a response's head in [`exchange`], in bytes; hyper's smallest buffer.
const MAX_HEAD: usize = 8 * 1024;

/// Connects to `address`, but never to itself: if no process listens on a port of this host, the kernel may choose that
/// same port as the local one, and the socket connects to itself (RFC 9293 section 3.5, simultaneous open). This
/// function reports such a connection as refused.
///
/// # Errors
/// The connection is refused, or fails.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    if stream.local_addr()? == address {
        // A reset frees the port for its owner at once.
        stream.set_zero_linger()?;
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Sends `request` on `stream` and passes the response to `read`, which may ignore its body. Spawns no task, and
/// accepts a head of at most 8 KiB.
///
/// # Errors
/// The connection broke before the head of the response was complete, or the response is not HTTP.
pub async fn exchange<S, T>(
    stream: S,
    request: Request<Empty<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> T,
) -> Result<T, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = handshake(&builder, stream).await?;
    let mut exchange = pin!(async move { Ok(read(sender.send_request(request).await?).await) });
    tokio::select! {
        result = &mut exchange => result,
        // The sender and the body report an error of the connection as well.
        _ = connection => exchange.await,
    }
}

/// Sends `request` on `stream` and returns the response, whose body the caller reads. A task drives the connection;
/// dropping the response ends the task.
///
/// # Errors
/// The connection broke before the head of the response was complete, or the response is not HTTP.
pub async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = handshake(&Builder::new(), stream).await?;
    // The connection ends when the sender and the body have been dropped. Both report its errors.
    tokio::spawn(async { drop(connection.await) });
    sender.send_request(request).await
}

type Sender = SendRequest<Empty<Bytes>>;

async fn handshake<S>(
    builder: &Builder,
    stream: S,
) -> Result<(Sender, Connection<TokioIo<S>, Empty<Bytes>>), hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    builder.handshake(TokioIo::new(stream)).await
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// The body is larger, or incomplete.
pub async fn read_body(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(limit)),
        Err(error) => Err(BodyError::Incomplete(error)),
    }
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is larger than the limit, in bytes.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke within the body.
    #[error("the response is incomplete")]
    Incomplete(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn request() -> Request<Empty<Bytes>> {
        Request::get("/path").header("host", "test").body(Empty::new()).unwrap()
    }

    /// A stream whose other end reads one request, sends `response` and closes.
    fn server(response: impl Into<Vec<u8>>) -> DuplexStream {
        let (near, mut far) = duplex(1024);
        let response = response.into();
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(far.read_u8().await.unwrap());
            }
            assert!(head.starts_with(b"GET /path HTTP/1.1\r\n"));
            // The client may have closed already.
            drop(far.write_all(&response).await);
        });
        near
    }

    async fn body(stream: DuplexStream, limit: usize) -> Result<Bytes, BodyError> {
        exchange(stream, request(), async |response| read_body(response.into_body(), limit).await).await.unwrap()
    }

    const TWO_BYTES: &str = "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno";

    #[tokio::test]
    async fn a_response_is_read_completely_with_and_without_a_task() {
        let read = async |response: Response<Incoming>| {
            let status = response.status().as_u16();
            (status, read_body(response.into_body(), 2).await.unwrap())
        };
        let exchanged = exchange(server(TWO_BYTES), request(), read).await.unwrap();
        assert_eq!(exchanged, (503, Bytes::from("no")));
        let sent = read(send(server(TWO_BYTES), request()).await.unwrap()).await;
        assert_eq!(sent, exchanged);
    }

    #[tokio::test]
    async fn a_body_above_the_limit_is_rejected_with_and_without_a_length() {
        for response in [TWO_BYTES, "HTTP/1.1 200 OK\r\n\r\nno"] {
            assert!(matches!(body(server(response), 1).await, Err(BodyError::TooLarge(1))));
            assert_eq!(body(server(response), 2).await.unwrap(), "no");
        }
    }

    #[tokio::test]
    async fn a_truncated_body_is_incomplete() {
        let response = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nno";
        assert!(matches!(body(server(response), 9).await, Err(BodyError::Incomplete(_))));
    }

    #[tokio::test]
    async fn an_error_distinguishes_a_response_that_is_not_http_from_a_closed_connection() {
        let status = async |response: Response<Incoming>| response.status();
        assert!(exchange(server("SSH-2.0-x\r\n"), request(), status).await.unwrap_err().is_parse());
        let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(MAX_HEAD));
        assert!(exchange(server(large), request(), status).await.unwrap_err().is_parse_too_large());
        assert!(!exchange(server(""), request(), status).await.unwrap_err().is_parse());
        assert!(!send(server(""), request()).await.unwrap_err().is_parse());
    }
}
