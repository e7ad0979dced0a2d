//! The threads of the workers, as the control thread sees them.

use std::{io, net::TcpListener, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    control::worker_thread::{self, WorkerCommand},
    downstream::listener::Listener,
    observe::access_log::AccessLog,
    worker::Shared,
};

/// All workers of an edge. Dropping it stops them immediately.
#[derive(Debug)]
pub struct WorkerThreads(Vec<Member>);

#[derive(Debug)]
struct Member {
    commands: mpsc::UnboundedSender<WorkerCommand>,
    /// Completes when the thread has ended, even by a panic.
    ended: oneshot::Receiver<()>,
}

impl WorkerThreads {
    /// Starts `workers` threads, which do not accept until [`listen`](Self::listen).
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(workers: usize, shared: &Arc<Shared>, log: &AccessLog) -> io::Result<Self> {
        let members = (0..workers).map(|index| {
            let (commands, inbox) = mpsc::unbounded_channel();
            let (alive, ended) = oneshot::channel();
            let (shared, sink) = (Arc::clone(shared), log.sink(index));
            let runtime = Builder::new_current_thread();
            let work = move || {
                let _alive: oneshot::Sender<()> = alive;
                let mut runtime = runtime;
                match runtime.enable_all().build_local(LocalOptions::default()) {
                    Ok(runtime) => runtime.block_on(worker_thread::run(index, shared, sink, inbox)),
                    Err(error) => tracing::error!(worker = index, %error, "a worker cannot start"),
                }
            };
            thread::Builder::new().name(format!("worker-{index}")).spawn(work)?;
            Ok(Member { commands, ended })
        });
        Ok(Self(members.collect::<io::Result<_>>()?))
    }

    /// The number of workers.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Makes each worker accept on one of `sockets`, or on several if there are more sockets than workers.
    pub fn listen(&self, sockets: Vec<TcpListener>, listener: &Arc<Listener>) {
        for (member, socket) in self.0.iter().cycle().zip(sockets) {
            member.command(WorkerCommand::Listen(socket, Arc::clone(listener)));
        }
    }

    /// Makes all workers stop accepting connections there.
    pub fn unlisten(&self, listener: &Arc<Listener>) {
        for member in &self.0 {
            member.command(WorkerCommand::Unlisten(Arc::clone(listener)));
        }
    }

    /// Makes all workers close their connections as soon as they can, while they accept further ones.
    pub fn wind_down(&self) {
        for member in &self.0 {
            member.command(WorkerCommand::WindDown);
        }
    }

    /// Makes all workers finish within `longest`, and waits until they have.
    pub async fn drain(self, longest: Duration) {
        for member in &self.0 {
            member.command(WorkerCommand::Drain(longest));
        }
        // Slightly longer than the workers' own limit, in case one is stuck.
        let end = Instant::now() + longest + Duration::from_secs(1);
        for (index, member) in self.0.into_iter().enumerate() {
            if timeout_at(end, member.ended).await.is_err() {
                tracing::error!(worker = index, "a worker did not end");
            }
        }
    }
}

impl Member {
    fn command(&self, command: WorkerCommand) {
        if self.commands.send(command).is_err() {
            tracing::error!("a worker ended too early");
        }
    }
}
