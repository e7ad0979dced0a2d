//! Connections: how many there may be, how long each may take, and how they end.
//!
//! The counter has a server of its own that arms no timers; there a request is a few microseconds. Here
//! answers are streams that last for hours, which that server takes for idle connections, so this one is
//! made for them: a connection counts as busy until its answer's body has ended.

mod crowd;
mod patience;

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::{
    body::{Body as HttpBody, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use self::{
    crowd::{Busy, Crowd, Member},
    patience::Patient,
};
use crate::{
    error::chain,
    http::{Body, Web},
};

/// From connecting, or from the last answer, to the end of a request's head.
const HEAD: Duration = Duration::from_secs(20);

/// How long a client may leave what it is sent unread.
const UNREAD: Duration = Duration::from_secs(10);

/// How long a client may leave what it is sent unacknowledged, while there is room for more: one whose machine is
/// gone without a word, and whose stream would go into the kernel's buffer for minutes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// The most that a head may take.
const HEAD_BYTES: usize = 16 << 10;

/// The pause after a failure to accept: what makes it fail does not pass in no time.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers on `listener` until `shutdown`; then streams end, and answers under way have `grace`.
pub async fn serve(
    listener: TcpListener,
    web: Arc<Web>,
    max_connections: usize,
    grace: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopped) = watch::channel(());
    // In a box, so that it can be dropped, and the listener with it.
    let accept = Box::pin(accept(listener, web.clone(), max_connections, stopped));
    tokio::select! {
        () = shutdown => {}
        never = accept => match never {},
    }
    web.stop();
    stop.send_replace(());
    // Every connection holds a receiver until it has ended.
    if timeout(grace, stop.closed()).await.is_err() {
        warn!("answers did not end within the grace period");
    }
    info!("stopped");
}

async fn accept(listener: TcpListener, web: Arc<Web>, max: usize, stopped: watch::Receiver<()>) -> Infallible {
    let mut crowd = Crowd::new(max);
    loop {
        match listener.accept().await {
            Ok((stream, _address)) => match crowd.admit().await {
                Some(member) => drop(tokio::spawn(connection(stream, member, web.clone(), stopped.clone()))),
                None => debug!("a connection is closed at once: as many are busy as may be open"),
            },
            Err(error) => {
                debug!(%error, "cannot accept");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, member: Arc<Member>, web: Arc<Web>, mut stopped: watch::Receiver<()>) {
    if let Err(error) = set_options(&stream) {
        debug!(%error, "the connection broke before it began");
        return;
    }
    let service = service_fn(|request: Request<Incoming>| {
        let (web, busy) = (web.clone(), Member::busy(&member));
        async move {
            let answer = web.respond(&request).await;
            Ok::<_, Infallible>(answer.map(|body| Counted { body, _busy: busy }))
        }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_header_size(HEAD_BYTES)
            .max_buf_size(2 * HEAD_BYTES)
            .serve_connection(TokioIo::new(Patient::new(stream, UNREAD)), service)
    );
    let end = tokio::select! {
        end = http.as_mut() => end,
        // An error means that the server is gone, which asks for the same.
        _ = stopped.changed() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
        () = member.leaves() => Ok(()),
    };
    if let Err(error) = end {
        debug!(error = chain(&error), "the connection broke");
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let bound = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, bound).map_err(io::Error::from)
}

/// A body that keeps its connection busy.
struct Counted {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Counted {
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
    async fn who_acknowledges_nothing_is_left_by_the_kernel() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream), Ok(0), "the system's own, which is many minutes");
        set_options(&stream).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream), Ok(20_000));
    }
}
