//! The server: how many connections there may be, how long each may take, and how they end.
//!
//! The counter's server lets a watchdog time out idle connections and arms no timers, because a request there takes a
//! few microseconds. Here responses are streams that last for hours, which that watchdog would mistake for idle
//! connections. So this server limits the time of the header and of writes instead: a connection counts as busy until
//! the body of its response has ended.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::{
    body::{Body as HttpBody, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use net::server::{Activity, Connection, ConnectionLimiter, Request, Stop, WhenBusy, WriteTimeout};
use process::chain;
use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tracing::{debug, info, warn};

use crate::http::{Body, Web};

/// The longest time from connecting, or from the last response, to the end of a request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may not read what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long sent data may remain unacknowledged while the client's window has room. Without this limit, the stream to a
/// machine that lost power would fill the kernel's buffer for minutes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// The maximum size of a request's header, in bytes.
const MAX_HEADER_BYTES: usize = 16 << 10;

/// Serves `web` on `listener` until `shutdown` completes. Then streams end, and responses in progress may take `grace`.
pub async fn serve(
    listener: TcpListener,
    web: Arc<Web>,
    max_connections: usize,
    grace: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let limiter = ConnectionLimiter::new(max_connections, WhenBusy::Refuse);
    let stop = async {
        shutdown.await;
        web.stop();
    };
    let handle = |stream, connection, stop| serve_connection(stream, connection, Arc::clone(&web), stop);
    let draining = net::server::serve(listener, limiter, stop, handle).await;
    if timeout(grace, draining.finished()).await.is_err() {
        warn!("responses did not end within the grace period");
    }
    info!("stopped");
}

async fn serve_connection(stream: TcpStream, connection: Arc<Connection>, web: Arc<Web>, mut stop: Stop) {
    let client = match set_options(&stream).and_then(|()| stream.peer_addr()) {
        Ok(address) => address.ip(),
        Err(error) => {
            debug!(%error, "the connection broke before its first request");
            return;
        }
    };
    let service = service_fn(|request: http::Request<Incoming>| {
        let (web, busy) = (Arc::clone(&web), Request::begin(Arc::clone(&connection.activity)));
        async move {
            let answer = web.respond(&request, client).await;
            Ok::<_, Infallible>(answer.map(|body| BusyBody { body, _request: busy }))
        }
    });
    // Without `half_close`: a stream of events to a browser that has left would keep one of its address's few places
    // until a write fails. Clients must therefore keep their sending side open until they have the response.
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_header_size(MAX_HEADER_BYTES)
            .max_buf_size(2 * MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(WriteTimeout::new(stream, WRITE_TIMEOUT)), service)
    );
    let end = tokio::select! {
        end = http.as_mut() => end,
        () = stop.requested() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
        () = connection.close_requested() => Ok(()),
    };
    if let Err(error) = end {
        debug!(error = %chain(&error), "the connection broke");
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let bound = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, bound).map_err(io::Error::from)
}

/// A body whose request lasts until the body has ended.
struct BusyBody {
    body: Body,
    _request: Request<Arc<Activity>>,
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_closes_the_connection_of_a_client_that_acknowledges_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream), Ok(0), "the system's default, which is many minutes");
        set_options(&stream).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream), Ok(20_000));
    }
}
