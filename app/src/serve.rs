//! The server: reads requests within limits, and drains connections at the end.
//!
//! hyper is used directly because `axum::serve` has no limits to set. `net::server::expire` keeps the
//! timeouts of a connection, not hyper: hyper has one timeout for an idle connection and for a header that
//! trickles in, and arms a timer for every request, which is expensive on a page this small.

use std::{convert::Infallible, io, pin::pin, sync::Arc};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use net::server::{Connection, ConnectionLimiter, ObservedStream, Request, Stop, Timeouts, WhenBusy, expire};
use process::chain;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use crate::routes::App;

/// The maximum size of a request's line and headers together, in bytes; a larger one is answered 431.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The maximum size of a connection's buffer, in bytes. Larger than a header may be: a client whose header is
/// somewhat too large gets its 431, where unread bytes would make the kernel reset the connection.
const MAX_BUFFER_BYTES: usize = 2 * MAX_HEADER_BYTES;

/// Serves `app` on `listener` until `shutdown` completes and the connections are drained.
///
/// Then readiness fails first; after [`Options::drain_delay`](crate::Options::drain_delay) the listener and all
/// idle connections close; requests under way may finish within [`Options::grace`](crate::Options::grace).
///
/// # Errors
/// The listener is unusable. If a connection cannot be accepted, it waits and continues.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let address = listener.local_addr()?;
    let limiter = ConnectionLimiter::new(app.options().max_connections.get(), WhenBusy::Wait);
    let stop = async {
        shutdown.await;
        app.drain();
        info!(%address, "draining");
        sleep(app.options().drain_delay).await;
    };
    let handle = |stream, connection, stop| serve_connection(stream, connection, app.clone(), stop);
    // Each connection bounds its own drain.
    net::server::serve(listener, limiter, stop, handle).await.finished().await;
    info!(%address, "stopped");
    Ok(())
}

async fn serve_connection(stream: TcpStream, connection: Arc<Connection>, app: App, mut stop: Stop) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the connection broke before its first request");
        return;
    }
    let options = app.options();
    let activity = &*connection.activity;
    let timeouts = Timeouts { header: options.header_timeout, idle: options.idle_timeout };
    let service = service_fn(async |request: http::Request<Incoming>| {
        let _request = Request::begin(activity);
        Ok::<_, Infallible>(app.respond(request).await)
    });
    let io = TokioIo::new(ObservedStream::new(stream, activity));
    let mut http = pin!(
        http1::Builder::new()
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            // A client may close its sending side and still read, as `nc -N` does. A client that has left looks the
            // same until the response is written, which is soon.
            .half_close(true)
            // Copying forty bytes costs less than making the kernel gather them.
            .writev(false)
            .serve_connection(io, service)
    );
    let end = tokio::select! {
        biased;
        end = http.as_mut() => Some(end),
        phase = expire(activity, timeouts) => {
            debug!(?phase, "the connection timed out");
            return;
        }
        () = stop.requested() => None,
        () = connection.close_requested() => {
            if !activity.is_busy() {
                debug!("closed an idle connection to make room for a new one");
                return;
            }
            None
        }
    };
    let end = match end {
        Some(end) => end,
        None => {
            http.as_mut().graceful_shutdown();
            match timeout(options.grace, http).await {
                Ok(end) => end,
                Err(_elapsed) => {
                    warn!("a request did not finish within the grace period");
                    return;
                }
            }
        }
    };
    if let Err(error) = end {
        debug!(error = %chain(&error), "the connection broke");
    }
}
