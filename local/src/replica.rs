//! One replica of the counter on a thread of its own.

use std::{
    io,
    net::TcpListener,
    thread::{self, JoinHandle},
};

use app::{App, Counter, Options};
use tokio::{
    runtime::Builder,
    sync::{oneshot, oneshot::Sender},
};

/// A replica that serves. Dropping it ends it at once, without waiting for its thread.
#[derive(Debug)]
pub(crate) struct Replica {
    end: Sender<End>,
    thread: JoinHandle<()>,
}

/// How a replica is to end. A dropped sender means [`End::Crash`].
#[derive(Debug)]
enum End {
    /// Finish what is under way.
    Drain,
    /// Break off.
    Crash,
}

impl Replica {
    /// Starts it on a bound socket. `name` is what it answers as `x-served-by`.
    pub(crate) fn start(name: &str, listener: TcpListener, counter: Counter) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let app = App::new(counter, name, Options::default());
        let (end, mut told) = oneshot::channel();
        let serve = move || {
            let (drain, drained) = oneshot::channel::<()>();
            runtime.block_on(async {
                let served = app::serve(listener, app, async { drop(drained.await) });
                tokio::pin!(served);
                tokio::select! {
                    outcome = &mut served => return report(outcome),
                    end = &mut told => if !matches!(end, Ok(End::Drain)) { return },
                }
                drop(drain);
                report(served.await);
            });
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(serve)?;
        Ok(Self { end, thread })
    }

    /// Breaks off everything; the port is closed when this returns.
    pub(crate) fn kill(self) {
        self.end(End::Crash).wait();
    }

    /// Tells it to finish what is under way, within the replica's own bound.
    pub(crate) fn drain(self) -> Ending {
        self.end(End::Drain)
    }

    fn end(self, how: End) -> Ending {
        // A replica that has ended by itself needs not be told.
        drop(self.end.send(how));
        Ending(self.thread)
    }
}

/// A replica that was told to end.
#[derive(Debug)]
pub(crate) struct Ending(JoinHandle<()>);

impl Ending {
    /// Blocks until it has ended.
    pub(crate) fn wait(self) {
        if self.0.join().is_err() {
            tracing::error!("a replica panicked");
        }
    }
}

fn report(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "a replica stopped serving");
    }
}
