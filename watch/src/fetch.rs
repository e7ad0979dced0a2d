//! One GET on a connection of its own, with a limit on the response: for requests to the engine, the edges and the
//! other instances.

use std::{fmt, io, path::PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use net::{
    HostPort,
    client::{self, BodyError},
};
use tokio::net::{TcpStream, UnixStream};

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A host, by name or address, and a port.
    Tcp(HostPort),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not accept the connection, or this process may not use its socket.
    #[error("cannot connect to {0}")]
    Connect(Place, #[source] io::Error),
    /// The connection broke, or the response is not HTTP.
    #[error("the connection to {0} broke")]
    Http(Place, #[source] hyper::Error),
    /// The response's body is too large or incomplete.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The request is malformed.
    #[error("the request is malformed")]
    Request(#[source] http::Error),
}

/// A complete response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Requests `target`, a path with or without a query, and reads the whole response of at most `limit` bytes.
/// Dropping the future ends the connection; the caller bounds the time.
///
/// # Errors
/// There is no response, or it is too large.
pub async fn get(place: &Place, target: &str, login: Option<&HeaderValue>, limit: usize) -> Result<Answer, Error> {
    let (head, body) = send(place, target, login).await?.into_parts();
    Ok(Answer { status: head.status, body: client::read_body(body, limit).await? })
}

/// Requests `target`, and leaves the body to the caller. Dropping the response ends the connection.
///
/// # Errors
/// There is no response.
pub async fn send(place: &Place, target: &str, login: Option<&HeaderValue>) -> Result<Response<Incoming>, Error> {
    let connect = |error| Error::Connect(place.clone(), error);
    let request = request(place, target, login).map_err(Error::Request)?;
    let sent = match place {
        Place::Unix(path) => client::send(UnixStream::connect(path).await.map_err(connect)?, request).await,
        Place::Tcp(HostPort { host, port }) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(connect)?;
            stream.set_nodelay(true).map_err(connect)?;
            client::send(stream, request).await
        }
    };
    sent.map_err(|error| Error::Http(place.clone(), error))
}

fn request(place: &Place, target: &str, login: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, http::Error> {
    let host = match place {
        Place::Unix(_) => "localhost".to_owned(),
        Place::Tcp(host) => host.to_string(),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::try_from(host)?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("watch/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(login) = login {
        headers.insert(header::AUTHORIZATION, login.clone());
    }
    let mut request = Request::get(target).body(Empty::new())?;
    *request.headers_mut() = headers;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A server that answers once with `answer`; also the request that it got.
    async fn server(answer: &'static str) -> (Place, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let place = Place::Tcp(listener.local_addr().unwrap().into());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        (place, asked)
    }

    #[tokio::test]
    async fn a_response_is_read_completely_and_the_login_is_sent() {
        let (place, asked) = server("HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno").await;
        let answer = get(&place, "/a?b=c", Some(&HeaderValue::from_static("Bearer x")), 2).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (503, &b"no"[..]));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer x\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn a_response_beyond_the_limit_is_refused_with_and_without_a_length() {
        let (place, _asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
        assert!(matches!(get(&place, "/", None, 2).await, Err(Error::Body(BodyError::TooLarge(2)))));
        let (place, _asked) = server("HTTP/1.1 200 OK\r\n\r\nabc").await;
        assert!(matches!(get(&place, "/", None, 2).await, Err(Error::Body(BodyError::TooLarge(2)))));
    }

    #[tokio::test]
    async fn a_response_that_breaks_off_is_an_error() {
        let (place, _asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na").await;
        assert!(matches!(get(&place, "/", None, 9).await, Err(Error::Body(BodyError::Incomplete(_)))));
    }
}
