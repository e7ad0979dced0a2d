//! The connections of the admin listener.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use http::{HeaderValue, header::CONNECTION};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use net::server::{Connection, ConnectionLimiter, Request, Stop, WhenBusy};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    orders::{self, Target},
    respond::respond,
    state::AdminState,
    status::Status,
};

/// The maximum number of open connections; a further one is closed at once.
const MAX_CONNECTIONS: usize = 64;

/// The longest wait for a complete request head, from the connect or the previous response.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that a connection may stay open, so that a client that does not read cannot hold one for long.
const LIFETIME: Duration = Duration::from_secs(120);

/// How long a connection may take to finish after the listener ended.
const LAST_RESPONSE: Duration = Duration::from_secs(1);

/// Serves HTTP/1.1 on `listener` until `shutdown` completes, then closes the open connections.
pub async fn serve(listener: TcpListener, admin: Arc<AdminState>, shutdown: impl Future<Output = ()>) {
    let limiter = ConnectionLimiter::new(MAX_CONNECTIONS, WhenBusy::Refuse);
    let handle = |stream, connection, stop| serve_connection(stream, connection, Arc::clone(&admin), stop);
    net::server::serve(listener, limiter, shutdown, handle).await.finished().await;
}

/// Returns the future of one connection. The connection counts as busy from now until its end: the limiter closes idle
/// connections for new ones, and here the new one is refused, so that no client can disconnect another.
fn serve_connection(
    stream: TcpStream,
    connection: Arc<Connection>,
    admin: Arc<AdminState>,
    mut stop: Stop,
) -> impl Future<Output = ()> + Send + 'static {
    let busy = Request::begin(Arc::clone(&connection.activity));
    let client = stream.peer_addr().ok();
    async move {
        let (was_asked, is_last) = (AtomicBool::new(false), AtomicBool::new(false));
        let service = service_fn(async |request: http::Request<Incoming>| {
            was_asked.store(true, Relaxed);
            let mut response = if Target::of(request.uri().path()).is_some() {
                orders::respond(request, &admin, client).await
            } else {
                respond(&request, &Status::collect(&admin, SystemTime::now()))
            };
            if is_last.load(Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        });
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            // A client may close its sending side and still read, as `nc -N` does.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut http = pin!(http);
        tokio::select! {
            end = timeout(LIFETIME, http.as_mut()) => if let Ok(Err(error)) = end {
                tracing::debug!(%error, "an admin connection broke");
            },
            () = stop.requested() => {
                // A connection without a request yet gets its first response: a health check must not fail because an
                // edge is replaced. hyper would close it.
                is_last.store(true, Relaxed);
                if was_asked.load(Relaxed) {
                    http.as_mut().graceful_shutdown();
                }
                drop(timeout(LAST_RESPONSE, http).await);
            }
        }
        drop((busy, connection));
    }
}
