//! Binds addresses, accepts connections, limits their number, and drains them at the end.
//!
//! The caller implements the protocol. [`serve`] passes it each stream with a [`Connection`] and a [`Stop`]. The caller
//! marks requests on the connection, and closes it when either of the two requests that.

mod activity;
mod bind;
mod limiter;
mod write_timeout;

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::sleep,
};
use tracing::{debug, warn};

pub use self::{
    activity::{Activity, ObservedStream, Phase, Request, Timeouts, expire},
    bind::bind,
    limiter::{Connection, ConnectionLimiter, WhenBusy},
    write_timeout::WriteTimeout,
};
use crate::backoff::Backoff;

/// The delay after a failed `accept`, most likely for lack of file descriptors.
const ACCEPT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

/// A source of connections: a [`TcpListener`], or a test.
pub trait Listener {
    /// The type of its connections.
    type Stream: Send + 'static;

    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        TcpListener::accept(self).await.map(|(stream, _address)| stream)
    }
}

/// Tells a connection to finish.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<()>);

impl Stop {
    /// Completes when the connection must finish.
    pub async fn requested(&mut self) {
        // An error means that the server was dropped, so the connection must finish as well.
        drop(self.0.changed().await);
    }
}

/// The connections that are still open after [`serve`].
#[derive(Debug)]
#[must_use = "connections are still open"]
pub struct Draining(watch::Sender<()>);

impl Draining {
    /// Completes when every connection has ended.
    pub async fn finished(self) {
        // Every connection holds a receiver until it has ended.
        self.0.closed().await;
    }
}

/// Serves each connection of `listener` in a task that runs `handle`, until `stop` completes. Then it closes the
/// listener, signals every connection's [`Stop`], and returns a value that waits for the connections.
///
/// After a failed `accept` it logs a warning and continues after a delay.
pub async fn serve<L, H, F>(
    listener: L,
    limiter: ConnectionLimiter,
    stop: impl Future<Output = ()>,
    handle: H,
) -> Draining
where
    L: Listener,
    H: Fn(L::Stream, Arc<Connection>, Stop) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = watch::channel(());
    {
        // Dropped at the end of the block, with the listener, before the connections are told to finish.
        let mut accept = pin!(accept(listener, limiter, Stop(receiver), handle));
        tokio::select! {
            () = stop => {}
            never = &mut accept => match never {},
        }
    }
    sender.send_replace(());
    Draining(sender)
}

async fn accept<L, H, F>(mut listener: L, mut limiter: ConnectionLimiter, stop: Stop, handle: H) -> Infallible
where
    L: Listener,
    H: Fn(L::Stream, Arc<Connection>, Stop) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut failures = 0_u32;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                failures = 0;
                match limiter.admit().await {
                    Some(connection) => drop(tokio::spawn(handle(stream, connection, stop.clone()))),
                    None => debug!("refused a connection: the maximum number of connections is open, and all are busy"),
                }
            }
            Err(error) if concerns_one_connection(&error) => {
                debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                // The listener stays readable, so without a delay this would spin until a connection closes.
                failures = failures.saturating_add(1);
                let pause = ACCEPT_BACKOFF.after(failures, 0.0);
                warn!(%error, ?pause, "cannot accept connections");
                sleep(pause).await;
            }
        }
    }
}

/// Whether an error of `accept` concerns only the connection, which had ended already; the next one may succeed.
#[must_use]
pub fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::{
        sync::{mpsc, oneshot},
        time::{Instant, timeout},
    };

    use super::*;

    /// Accepts the connections that the test sends. Dropping it closes the channel.
    struct Scripted(mpsc::Receiver<io::Result<u32>>);

    impl Listener for Scripted {
        type Stream = u32;

        async fn accept(&mut self) -> io::Result<u32> {
            match self.0.recv().await {
                Some(accepted) => accepted,
                None => std::future::pending().await,
            }
        }
    }

    fn limiter() -> ConnectionLimiter {
        ConnectionLimiter::new(10, WhenBusy::Refuse)
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_after_failed_accepts_doubles_and_a_success_resets_it() {
        let (script, listener) = mpsc::channel(10);
        let exhausted = || io::Error::from_raw_os_error(24);
        for accepted in [
            Ok(1),
            Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(2),
            Err(exhausted()),
            Err(exhausted()),
            Ok(3),
            Err(exhausted()),
            Ok(4),
        ] {
            script.send(accepted).await.unwrap();
        }
        let start = Instant::now();
        let served = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&served);
        let stop = sleep(Duration::from_secs(1));
        let draining = serve(Scripted(listener), limiter(), stop, |stream, _connection, _stop| {
            notes.lock().unwrap().push((stream, start.elapsed().as_millis()));
            std::future::ready(())
        });
        draining.await.finished().await;
        assert_eq!(*served.lock().unwrap(), [(1, 0), (2, 0), (3, 30), (4, 40)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_listener_closes_before_connections_are_told_to_finish_and_the_drain_waits_for_them() {
        let (script, listener) = mpsc::channel(1);
        script.send(Ok(1)).await.unwrap();
        let (asked, was_asked) = oneshot::channel();
        let asked = Mutex::new(Some((asked, script.clone())));
        let stop = sleep(Duration::from_secs(1));
        let start = Instant::now();
        let draining = serve(Scripted(listener), limiter(), stop, |_stream, connection, mut stop| {
            let (asked, script) = asked.lock().unwrap().take().unwrap();
            async move {
                stop.requested().await;
                asked.send((start.elapsed().as_secs(), script.is_closed())).unwrap();
                sleep(Duration::from_secs(5)).await;
                drop(connection);
            }
        })
        .await;
        assert!(script.is_closed());
        draining.finished().await;
        assert_eq!(was_asked.await.unwrap(), (1, true));
        assert_eq!(start.elapsed().as_secs(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_can_be_abandoned() {
        let (script, listener) = mpsc::channel(1);
        script.send(Ok(1)).await.unwrap();
        let stop = sleep(Duration::from_secs(1));
        let draining = serve(Scripted(listener), limiter(), stop, |_stream, connection, stop| async move {
            std::future::pending::<()>().await;
            drop((connection, stop));
        })
        .await;
        assert!(timeout(Duration::from_secs(5), draining.finished()).await.is_err());
    }
}
