//! The admin listener's sockets.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{answer::answer, state::Admin, status::Status};

/// Connections at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 64;

/// From connecting, or from the last answer, to the end of a request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest a connection may last, so that whoever reads nothing holds none for long.
const LIFETIME: Duration = Duration::from_secs(120);

/// Pause after a failed `accept`: what makes it fail (no file descriptors) does not pass in no time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers on `listener` until `shutdown`; then open connections are closed. HTTP/1.1 only.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(connection(stream, admin.clone()));
                }
                Ok(_) => tracing::debug!("admin connection closed: {MAX_CONNECTIONS} are open"),
                Err(error) => {
                    tracing::warn!(%error, "admin listener cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, admin: Arc<Admin>) {
    let service = service_fn(async |request| {
        let status = Status::collect(&admin, SystemTime::now());
        Ok::<_, Infallible>(answer(&request, &status))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(LIFETIME, served).await {
        tracing::debug!(%error, "admin connection");
    }
}
