//! The thread of one worker: it accepts and serves connections, does the housekeeping, and drains when the control
//! thread says so.

use std::{collections::HashMap, convert::Infallible, net::TcpListener, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    downstream::listener::{self, Listener},
    observe::access_log,
    worker::{Shared, Worker, keeper},
};

/// The interval between two calls of [`Worker::housekeep`].
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// The pause after connections were shed.
const SHEDDING: Duration = Duration::from_millis(100);

/// A command from the control thread to a worker.
#[derive(Debug)]
pub enum WorkerCommand {
    /// Accept connections on this socket. Only this worker uses it, or an inherited one is shared.
    Listen(TcpListener, Arc<Listener>),
    /// Stop accepting connections there; open connections stay open.
    Unlisten(Arc<Listener>),
    /// Announce to all clients that their connections close, and go on accepting.
    WindDown,
    /// Stop accepting connections everywhere, and end when the last connection closes, or after this duration at the
    /// latest.
    Drain(Duration),
}

/// Runs a worker until it receives a command to drain, or until the control thread has ended.
pub async fn run(
    index: usize,
    shared: Arc<Shared>,
    log: access_log::Sink,
    mut commands: mpsc::UnboundedReceiver<WorkerCommand>,
) {
    let worker = Worker::new(index, shared, log);
    let housekeeper = tokio::task::spawn_local(housekeep(Rc::clone(&worker)));
    let own = Rc::clone(&worker);
    let queue_server = tokio::task::spawn_local(async move { own.serve_queues().await });
    let keeper = tokio::task::spawn_local(keeper::keep(Rc::clone(&worker)));
    let shedder = tokio::task::spawn_local(shed(Rc::clone(&worker)));
    // An accept loop runs until its sender is dropped.
    let mut accepting: HashMap<*const Listener, Vec<oneshot::Sender<Infallible>>> = HashMap::new();
    let mut loops = JoinSet::new();
    let longest = loop {
        match commands.recv().await {
            Some(WorkerCommand::Listen(socket, listener)) => {
                let (running, stop) = oneshot::channel();
                accepting.entry(Arc::as_ptr(&listener)).or_default().push(running);
                loops.spawn_local(listener::accept(Rc::clone(&worker), socket, listener, stop));
            }
            Some(WorkerCommand::Unlisten(listener)) => {
                accepting.remove(&Arc::as_ptr(&listener));
            }
            Some(WorkerCommand::WindDown) => worker.drain(),
            Some(WorkerCommand::Drain(longest)) => break longest,
            None => break Duration::ZERO,
        }
    };
    worker.drain();
    // An accept loop ends after it has accepted every waiting connection.
    drop(accepting);
    while loops.join_next().await.is_some() {}
    if timeout(longest, worker.emptied()).await.is_err() {
        tracing::warn!(worker = index, open = worker.open(), "connections were cut off at the end of the drain");
    }
    housekeeper.abort();
    queue_server.abort();
    shedder.abort();
    keeper.abort();
}

/// Closes the worst connections each time memory runs out.
async fn shed(worker: Rc<Worker>) {
    loop {
        worker.memory().shedding().await;
        worker.shed();
        // The tasks of those connections need a moment to end and to free what they hold.
        sleep(SHEDDING).await;
    }
}

async fn housekeep(worker: Rc<Worker>) {
    let mut tick = interval(HOUSEKEEPING);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        worker.housekeep();
    }
}
