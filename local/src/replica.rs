//! A replica of the counter on its own thread.

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

/// A running replica. Dropping it stops it at once, without waiting for its thread.
#[derive(Debug)]
pub(crate) struct Replica {
    end: Sender<End>,
    thread: JoinHandle<()>,
}

/// How a replica ends. A dropped sender means [`End::Crash`].
#[derive(Debug)]
enum End {
    /// Finishes requests in progress.
    Drain,
    /// Breaks all connections.
    Crash,
}

impl Replica {
    /// Starts a replica on a bound socket. `name` is the value of its `x-served-by`.
    pub(crate) fn start(name: &str, listener: TcpListener, counter: Counter) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let app = App::new(counter, name, Options::default());
        let (end, mut command) = oneshot::channel();
        let serve = move || {
            let (drain, drained) = oneshot::channel::<()>();
            runtime.block_on(async {
                let served = app::serve(listener, app, async { drop(drained.await) });
                tokio::pin!(served);
                tokio::select! {
                    outcome = &mut served => return report(outcome),
                    end = &mut command => if !matches!(end, Ok(End::Drain)) { return },
                }
                drop(drain);
                report(served.await);
            });
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(serve)?;
        Ok(Self { end, thread })
    }

    /// Breaks all connections. When this returns, the port is closed.
    pub(crate) fn kill(self) {
        self.end(End::Crash).wait();
    }

    /// Makes the replica finish requests in progress, within its own time limit.
    pub(crate) fn drain(self) -> Ending {
        self.end(End::Drain)
    }

    fn end(self, how: End) -> Ending {
        // Fails if the replica has already ended.
        drop(self.end.send(how));
        Ending(self.thread)
    }
}

/// A replica that is ending.
#[derive(Debug)]
pub(crate) struct Ending(JoinHandle<()>);

impl Ending {
    /// Blocks until the replica has ended.
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
