//! The server: accepts connections, bounds what each may take, and drains them at the end.
//!
//! hyper is used directly because `axum::serve` has no limits to set. The time-outs of a
//! connection are kept by `activity`, not by hyper: hyper has one time-out for an idle connection
//! and for a header that trickles in, and arms a timer for every request, which is dear on a page
//! this small.

mod activity;
mod crowd;

use std::{convert::Infallible, io, num::NonZeroUsize, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use self::{
    activity::Watched,
    crowd::{Crowd, Member},
};
use crate::{error::chain, routes::App};

/// The most a request's line and headers may take together, in bytes; more is answered 431.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The most that is buffered of one connection, in bytes. More than a header may have: a client whose
/// header is somewhat too large is told so, where unread bytes would have the kernel reset it.
const MAX_BUFFER_BYTES: usize = 2 * MAX_HEADER_BYTES;

/// The pause after a failure to accept, which doubles from the first to the second.
const MIN_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Bounds on connections, and how to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections open at once; one more makes the one leave that was idle for longest. Default
    /// 2048, about 30 MB when all are idle.
    pub max_connections: NonZeroUsize,
    /// The longest a request's header may take to arrive, within a factor of two. Default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests. Default 75 s: longer than a proxy in
    /// front keeps its idle connections, so that it is the proxy who closes, and never while we
    /// do.
    pub idle_timeout: Duration,
    /// How long to go on accepting after readiness has failed. Default zero: a swarm takes a task
    /// out of its DNS and mesh two seconds before it sends SIGTERM. Where traffic is steered by
    /// `/readyz` alone, use more than the prober needs to notice.
    pub drain_delay: Duration,
    /// How long open requests may take to finish after that. Default 10 s.
    pub grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::MIN.saturating_add(2047),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            drain_delay: Duration::ZERO,
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves `app` on `listener` until `shutdown` is done and the connections are drained.
///
/// Then readiness fails first; after [`Options::drain_delay`] the listener and all idle connections
/// are closed; requests under way are finished within [`Options::grace`].
///
/// # Errors
/// The listener is of no use any more. A failure to accept one connection is waited out.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    // In a box, so that it can be dropped, and the listener with it.
    let mut accept = Box::pin(accept(listener, app.clone(), stopped));
    tokio::select! {
        () = &mut shutdown => {}
        never = &mut accept => match never {},
    }
    app.drain();
    info!(%address, "draining");
    tokio::select! {
        () = sleep(app.options().drain_delay) => {}
        never = &mut accept => match never {},
    }
    drop(accept);
    stop.send_replace(());
    // Every connection holds a receiver until it has ended.
    stop.closed().await;
    info!(%address, "stopped");
    Ok(())
}

async fn accept(listener: TcpListener, app: App, stopped: watch::Receiver<()>) -> Infallible {
    let mut crowd = Crowd::new(app.options().max_connections.get());
    let mut pause = MIN_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, _address)) => {
                pause = MIN_PAUSE;
                let member = crowd.admit().await;
                tokio::spawn(connection(stream, member, app.clone(), stopped.clone()));
            }
            Err(error) if concerns_one_connection(&error) => debug!(%error, "accept"),
            Err(error) => {
                // Most likely out of file descriptors. The listener stays readable, so without
                // a pause this would spin until some connection closes.
                warn!(%error, ?pause, "cannot accept connections");
                sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(stream: TcpStream, member: Arc<Member>, app: App, mut stopped: watch::Receiver<()>) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the connection broke before it began");
        return;
    }
    let options = app.options();
    let activity = &member.activity;
    let service = service_fn(async |request: Request<Incoming>| {
        let _busy = activity.request();
        Ok::<_, Infallible>(app.respond(request).await)
    });
    let io = Watched::new(TokioIo::new(stream), activity);
    let mut http = pin!(
        http1::Builder::new()
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES)
            // A client may say that it has no more to ask and still read, as `nc -N` does. One that
            // has gone looks the same until we answer, which is soon.
            .half_close(true)
            // To copy forty bytes costs less than to have the kernel gather them.
            .writev(false)
            .serve_connection(io, service)
    );
    let end = tokio::select! {
        biased;
        end = http.as_mut() => Some(end),
        phase = activity::expire(activity, options) => {
            debug!(?phase, "the connection took too long");
            return;
        }
        // An error means that the server is gone, which asks for the same.
        _ = stopped.changed() => None,
        () = member.leave.notified() => {
            if !activity.is_busy() {
                debug!("the connection made room for another");
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
