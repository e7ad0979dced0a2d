//! One client connection, from accept to close: TLS, protocol, requests, timeouts, drain.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    downstream::{
        drive::{DRAIN_GRACE, Ended, drive, shed},
        handshake::{self, Cause, Failure},
        http1, http2,
        observed_stream::ObservedStream,
        tunnel,
    },
    io::{memory::Held, splice::Transport},
    observe::refusals::Refusal,
    protocol::headers::Client,
    worker::{
        Admission, View, Worker,
        client_activity::{ClientActivity, Phase},
        client_limits::Permit,
    },
};

/// What every HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long, and up to how many bytes, the edge reads the rest of a request body before it closes a connection, so that
/// the client can read the response.
const LINGERING_CLOSE: (Duration, usize) = (Duration::from_secs(2), 1 << 20);
/// How much of it is read at a time, in bytes.
const LINGERING_READ: usize = 16 * 1024;
/// The timeout for writing 408 and for shutting a connection down.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The response to HTTP without TLS on a TLS port.
const HTTP_ON_TLS_PORT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 36\r\nconnection: close\r\n\r\n400: this port speaks TLS: use https";

/// Serves one connection without TLS until it ends.
///
/// The futures spawned here and in [`secure`] determine the memory of a connection, even while it is idle. So
/// everything that only some connections need, or need only temporarily, is boxed.
pub async fn plain(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, _admission: Admission) {
    let view = worker.view();
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let client = Client::new(peer, false, &view.config().trusted_proxies);
    let activity = Rc::new(ClientActivity::new(client, &worker, Instant::now()));
    let mut connection = http1::Connection::new(&worker, &activity, stream);
    match Box::pin(sniff(&worker, &view, &activity, &mut connection)).await {
        Some(Protocol::Http1) => http1(&worker, &view, &activity, &mut connection).await,
        Some(Protocol::Http2) => {
            // HTTP/2 has buffers of its own.
            let ahead = connection.incoming.take(&worker.connections.buffers);
            Box::pin(http2(&worker, &view, &activity, connection.stream, ahead)).await;
        }
        None => {}
    }
}

/// Serves one connection with TLS until it ends. The client chooses the protocol in its handshake (ALPN, RFC 7301),
/// which holds `unfinished` until it ends.
pub async fn secure(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Arc<rustls::ServerConfig>,
    _admission: Admission,
    unfinished: Option<Permit>,
) {
    let view = worker.view();
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let handshake = Box::pin(handshake::accept(&worker, stream, tls, view.config().timeouts.handshake)).await;
    drop(unfinished);
    let stream = match handshake {
        Ok(stream) => stream,
        Err(failure) => return Box::pin(refuse(&worker, peer, failure)).await,
    };
    worker.stats().handshakes.add(1);
    let mut client = Client::new(peer, true, &view.config().trusted_proxies);
    client.server_name = stream.server_name().map(Box::from);
    let activity = Rc::new(ClientActivity::new(client, &worker, Instant::now()));
    let stream = Box::new(stream);
    if stream.alpn_protocol() == Some(b"h2") {
        Box::pin(http2(&worker, &view, &activity, stream, Bytes::new())).await;
    } else {
        http1(&worker, &view, &activity, &mut http1::Connection::new(&worker, &activity, stream)).await;
    }
}

/// Reports why a client has no TLS connection, and answers one that speaks HTTP without it.
async fn refuse(worker: &Worker, peer: SocketAddr, failure: Failure) {
    worker.stats().handshake_failures.add(1);
    let Failure { cause, server_name } = failure;
    let server_name = server_name.as_deref();
    match cause {
        Cause::TimedOut => worker.refuse(peer, Refusal::HandshakeTimeout, server_name, None),
        Cause::Closed => {}
        Cause::Shed => {
            worker.stats().shed.add(1);
            worker.refuse(peer, Refusal::Shed, server_name, None);
        }
        Cause::Tls(error) => worker.refuse(peer, Refusal::HandshakeFailed, server_name, Some(&error)),
        Cause::Http(mut stream) => {
            worker.refuse(peer, Refusal::HttpOnTlsPort, server_name, None);
            // Best effort: the client may be gone.
            if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, stream.write_all(HTTP_ON_TLS_PORT)).await {
                linger(worker, &mut stream).await;
            }
        }
    }
}

/// The protocol of a client connection.
enum Protocol {
    Http1,
    Http2,
}

/// Detects the protocol without TLS by the first bytes: h2c by prior knowledge, or HTTP/1. `None` if they do not
/// arrive, or not in time.
async fn sniff(
    worker: &Worker,
    view: &View,
    activity: &Rc<ClientActivity>,
    connection: &mut http1::Connection<'_, TcpStream>,
) -> Option<Protocol> {
    let sniffed = async {
        loop {
            let ahead = connection.incoming.data();
            if ahead.starts_with(PREFACE) {
                return Some(Protocol::Http2);
            }
            if !PREFACE.starts_with(ahead) {
                return Some(Protocol::Http1);
            }
            connection.read().await.ok().filter(|count| *count > 0)?;
        }
    };
    let sniffed = tokio::select! {
        biased;
        sniffed = timeout(view.config().timeouts.head, sniffed) => sniffed,
        () = shed(worker, activity) => Ok(None),
        () = async {
            worker.drained().await;
            sleep(DRAIN_GRACE).await;
        } => Ok(None),
    };
    if sniffed.is_err() {
        activity.refuse(Refusal::HeadTimeout);
        // A client that opened a connection in advance and sent nothing expects no response.
        if !connection.incoming.is_empty() {
            respond_with_timeout(&mut connection.stream).await;
        }
    }
    sniffed.ok().flatten()
}

/// Responds to a request whose head did not arrive in time.
async fn respond_with_timeout<S: AsyncWrite + Unpin>(stream: &mut S) {
    let response = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    // Best effort: a client that sends its head slowly may not read either.
    let _outcome = timeout(CLOSE_TIMEOUT, stream.write_all(response)).await;
}

async fn http1<S: Transport>(
    worker: &Rc<Worker>,
    view: &View,
    activity: &Rc<ClientActivity>,
    connection: &mut http1::Connection<'_, S>,
) {
    let ended = drive(worker, view, activity, &mut pin!(connection.serve()), |_| {}).await;
    let http1::Connection { stream, incoming, .. } = connection;
    match ended {
        Ended::Closed(http1::ConnectionEnd::Upgraded(upgraded)) => {
            worker.stats().tunnels.add(1);
            let stream = ObservedStream::new(stream, Bytes::new(), Rc::clone(activity));
            let ahead = incoming.take(&worker.connections.buffers);
            let outcome = Box::pin(tunnel::tunnel(stream, ahead, *upgraded, activity, shed(worker, activity))).await;
            tracing::debug!(?outcome, "upgraded connection ended");
            worker.stats().tunnels.sub(1);
        }
        Ended::Closed(http1::ConnectionEnd::Close) if incoming.is_empty() => {
            // Best effort: the client may be gone.
            let _outcome = Box::pin(timeout(CLOSE_TIMEOUT, stream.shutdown())).await;
        }
        Ended::Closed(http1::ConnectionEnd::Close | http1::ConnectionEnd::Linger) => {
            Box::pin(linger(worker, stream)).await;
        }
        Ended::Closed(http1::ConnectionEnd::Abort) => {}
        Ended::Shed if !activity.is_blocked() => {
            // Best effort: the client may be gone.
            let _outcome = Box::pin(timeout(CLOSE_TIMEOUT, stream.shutdown())).await;
        }
        // The kernel must not keep what the client of a shed connection did not read.
        Ended::Shed => stream.reset_on_close(),
        // TLS shows the cut by its missing end.
        Ended::Closed(http1::ConnectionEnd::Reset) => {
            if let Some(socket) = stream.socket() {
                socket.reset_on_close();
            }
        }
        // Not into the middle of a response that is still being sent.
        Ended::TimedOut(Phase::Head { .. }) if !activity.is_blocked() => {
            activity.refuse(Refusal::HeadTimeout);
            Box::pin(respond_with_timeout(stream)).await;
        }
        Ended::TimedOut(_) => {}
    }
}

async fn http2<S: Transport + 'static>(
    worker: &Rc<Worker>,
    view: &View,
    activity: &Rc<ClientActivity>,
    stream: S,
    ahead: Bytes,
) {
    let stream = ObservedStream::new(stream, ahead, Rc::clone(activity));
    let mut connection = http2::Connection::new(worker, activity, &view.config().limits, stream);
    let shut_down = |connection: Pin<&mut http2::Connection<_>>| connection.get_mut().graceful_shutdown();
    let mut ended = drive(worker, view, activity, &mut connection, shut_down).await;
    if let Ended::TimedOut(phase) = ended {
        if matches!(phase, Phase::Head { .. }) && !activity.is_blocked() {
            activity.refuse(Refusal::HeadTimeout);
        }
        // GOAWAY may race a new stream, which is then served.
        connection.graceful_shutdown();
        activity.start_closing();
        ended = drive(worker, view, activity, &mut connection, shut_down).await;
    }
    if let Ended::Closed(Err(error)) = ended
        && http2::is_flood(&error)
    {
        activity.refuse(Refusal::Http2Flood);
    }
}

/// Reads and discards the rest of a request that was answered early: closing with unread bytes would reset the
/// connection, and the reset may overtake the response (RFC 9112 section 9.6).
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(worker: &Worker, stream: &mut S) {
    let (longest, max) = LINGERING_CLOSE;
    let _held = Held::new(worker.connections.buffers.memory(), LINGERING_READ);
    let mut buffer = vec![0; LINGERING_READ];
    let drain = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut discarded = 0;
        while discarded < max {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => discarded += count,
            }
        }
    };
    let _outcome = timeout(longest, drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the size of the future that a function returns.
    fn size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand idle connections hold ten thousand of these.
    #[test]
    fn a_connection_is_small() {
        let plain = size(plain);
        assert!(plain <= 768, "{plain} bytes");
    }
}
