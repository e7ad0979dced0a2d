//! One GET over a connection of its own, with bounds on time and size: how the engine, the edges and the
//! other instances are asked.
//!
//! A connection each time costs little at one question a second, and nothing that hung once is used again.

use std::{error::Error as StdError, fmt, io, path::PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine.
    Unix(PathBuf),
    /// A host, by name or address, and a port.
    Tcp(String, u16),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there, or this process may not ask.
    #[error("cannot connect to {0}")]
    Connect(Place, #[source] io::Error),
    /// The connection broke, or what came is not HTTP.
    #[error("the connection to {0} broke")]
    Http(Place, #[source] hyper::Error),
    /// More than is taken.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The connection broke within the answer.
    #[error("the answer is cut off")]
    Body(#[source] Box<dyn StdError + Send + Sync>),
    /// The question cannot be asked.
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Asks for `target`, a path with or without a query, and reads the whole answer of at most `limit` bytes.
/// Dropping the future ends the connection; the caller has the deadline.
///
/// # Errors
/// There is no answer, or too much of it.
pub async fn get(place: &Place, target: &str, login: Option<&HeaderValue>, limit: usize) -> Result<Answer, Error> {
    let (head, body) = send(place, target, login).await?.into_parts();
    let body = Limited::new(body, limit)
        .collect()
        .await
        .map_err(|error| if error.is::<LengthLimitError>() { Error::TooLarge(limit) } else { Error::Body(error) })?;
    Ok(Answer { status: head.status, body: body.to_bytes() })
}

/// Asks, and leaves the body to the caller. Dropping the answer ends the connection.
///
/// # Errors
/// There is no answer.
pub async fn send(place: &Place, target: &str, login: Option<&HeaderValue>) -> Result<Response<Incoming>, Error> {
    let connect = |error| Error::Connect(place.clone(), error);
    match place {
        Place::Unix(path) => exchange(place, UnixStream::connect(path).await.map_err(connect)?, target, login).await,
        Place::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(connect)?;
            stream.set_nodelay(true).map_err(connect)?;
            exchange(place, stream, target, login).await
        }
    }
}

async fn exchange(
    place: &Place,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    target: &str,
    login: Option<&HeaderValue>,
) -> Result<Response<Incoming>, Error> {
    let broke = |error| Error::Http(place.clone(), error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
    let request = request(place, target, login).map_err(Error::Request)?;
    // It ends when the sender and the answer's body have been dropped. Its errors are the sender's, too.
    tokio::spawn(async { drop(connection.await) });
    sender.send_request(request).await.map_err(broke)
}

fn request(place: &Place, target: &str, login: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, http::Error> {
    let host = match place {
        Place::Unix(_) => "localhost".to_owned(),
        Place::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
        Place::Tcp(host, port) => format!("{host}:{port}"),
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

    /// A server that answers once with these bytes; also what it was asked.
    async fn server(answer: &'static str) -> (Place, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap()
        });
        (Place::Tcp("127.0.0.1".to_owned(), port), asked)
    }

    #[tokio::test]
    async fn an_answer_comes_whole_and_the_login_goes_along() {
        let (place, asked) = server("HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno").await;
        let answer = get(&place, "/a?b=c", Some(&HeaderValue::from_static("Bearer x")), 2).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (503, &b"no"[..]));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer x\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn an_answer_beyond_the_limit_is_refused_with_and_without_a_length() {
        let (place, _asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
        assert!(matches!(get(&place, "/", None, 2).await, Err(Error::TooLarge(2))));
        let (place, _asked) = server("HTTP/1.1 200 OK\r\n\r\nabc").await;
        assert!(matches!(get(&place, "/", None, 2).await, Err(Error::TooLarge(2))));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error() {
        let (place, _asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na").await;
        assert!(matches!(get(&place, "/", None, 9).await, Err(Error::Body(_))));
    }
}
