//! Answers a request according to the behaviour of its path.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt, stream};
use http::header::{CONNECTION, CONTENT_LENGTH, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::behaviour::Behaviour;
use super::state::{Connection, lock};
use crate::client::{Body, empty, full, stream as stream_body};
use crate::wait::pause;

const CHUNK: usize = 1000;

/// Answers `request`, or fails, upon which hyper closes the connection.
pub(super) async fn answer(request: Request<Incoming>, connection: Arc<Connection>) -> io::Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    let behaviour = lock(&connection.state.behaviours).get(&path).cloned();
    *lock(&connection.state.requests).entry(path).or_default() += 1;
    resumed(&connection).await;
    match behaviour.unwrap_or(Behaviour::Echo) {
        Behaviour::Echo if is_websocket(&request) => Ok(websocket(request, &connection)),
        Behaviour::Echo => echo(request, &connection).await,
        Behaviour::Status(status) => Ok(with_status(status)),
        Behaviour::Drain => Ok(draining()),
        Behaviour::Headers(headers) => Ok(with_headers(&headers)),
        Behaviour::Body(size) => Ok(Response::new(full(vec![b'x'; size]))),
        Behaviour::SlowBody { chunks, every } => Ok(slow_body(chunks, every)),
        Behaviour::SlowHead(time) => {
            pause(time).await;
            echo(request, &connection).await
        }
        Behaviour::Silence => std::future::pending().await,
        Behaviour::EarlyResponse(status) => Ok(with_status(status)),
        Behaviour::CloseBeforeResponse => Err(closed()),
        Behaviour::ResetBeforeResponse => {
            connection.reset_when_closed();
            Err(closed())
        }
        Behaviour::CloseMidBody => Ok(half_a_body()),
        Behaviour::EchoAndClose => {
            let mut response = echo(request, &connection).await?;
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
            Ok(response)
        }
    }
}

/// Waits while the server hangs.
async fn resumed(connection: &Connection) {
    let mut hung = connection.state.hung.subscribe();
    // The connection holds the state, which holds the sender.
    hung.wait_for(|hung| !hung).await.expect("a sender");
}

async fn echo(request: Request<Incoming>, connection: &Connection) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let headers: Vec<_> =
        head.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    let text = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "version": format!("{:?}", head.version),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "body_bytes": body.len(),
        "client": connection.client.to_string(),
        "connection": connection.number,
        "upstream": connection.state.address.to_string(),
    });
    Ok(Response::new(full(text.to_string())))
}

fn with_status(status: u16) -> Response<Body> {
    let mut response = Response::new(full(format!("status {status}")));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn draining() -> Response<Body> {
    let mut response = with_status(503);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn with_headers(headers: &[(String, String)]) -> Response<Body> {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(full("ok")).expect("valid headers")
}

fn slow_body(chunks: usize, every: Duration) -> Response<Body> {
    let chunks = stream::iter(0..chunks).then(move |_| async move {
        pause(every).await;
        Ok(Bytes::from_static(&[b'x'; CHUNK]))
    });
    Response::new(stream_body(chunks))
}

fn half_a_body() -> Response<Body> {
    let half = Bytes::from_static(&[b'x'; CHUNK / 2]);
    // hyper sends the half when the body is pending, and closes the connection when the body fails.
    let failure = async {
        tokio::task::yield_now().await;
        Err(closed())
    };
    let parts = stream::iter([Ok(half)]).chain(stream::once(failure));
    let mut response = Response::new(stream_body(parts));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(CHUNK));
    response
}

fn closed() -> io::Error {
    io::Error::other("closed on purpose")
}

fn is_websocket(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(UPGRADE);
    upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Accepts a WebSocket (RFC 6455) that echoes every message.
fn websocket(mut request: Request<Incoming>, connection: &Arc<Connection>) -> Response<Body> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return with_status(400);
    };
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .body(empty())
        .expect("valid headers");
    let upgrade = hyper::upgrade::on(&mut request);
    lock(&connection.state.tasks).spawn(echo_messages(upgrade, connection.clone()));
    response
}

async fn echo_messages(upgrade: OnUpgrade, _open: Arc<Connection>) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let io = TokioIo::<Upgraded>::new(upgraded);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let is_data = message.is_text() || message.is_binary();
        // The library answers pings and the close when it is polled or flushed.
        let sent = if is_data { socket.send(message).await } else { socket.flush().await };
        if sent.is_err() {
            return;
        }
    }
}
