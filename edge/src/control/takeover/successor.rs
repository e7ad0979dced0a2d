//! The side of the edge that runs: it gives its sockets to a new edge, and learns when that one serves.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{fd::AsFd, unix::net::UnixListener as StdListener},
    path::PathBuf,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    ANSWER, READY,
    message::{self, MAX_LINE, MAX_MESSAGES, Message, PROTOCOL, unexpected},
    socket_file::{self, Lock},
};

/// The pause after `accept` failed, most likely for lack of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// The Unix socket on which takeovers are offered.
#[derive(Debug)]
pub(in crate::control) struct Channel {
    pub(super) path: PathBuf,
    pub(super) listener: StdListener,
}

/// What happens while sockets are offered.
#[derive(Debug)]
pub(in crate::control) enum Event {
    /// A new edge asks for the listening sockets.
    Asked(oneshot::Sender<Vec<(SocketAddr, TcpListener)>>),
    /// It failed before it was ready, and has closed the sockets.
    Failed,
    /// It serves these addresses, and this edge must stop accepting.
    Serves(Vec<SocketAddr>),
}

/// The offer to hand the sockets over, in a task of its own.
#[derive(Debug)]
pub(in crate::control) struct Offer {
    path: PathBuf,
    task: JoinHandle<()>,
    events: mpsc::Receiver<Event>,
}

impl Offer {
    /// Begins to wait for new edges. Needs a local runtime.
    ///
    /// # Errors
    /// The runtime refuses the socket.
    pub(in crate::control) fn start(channel: Channel) -> io::Result<Self> {
        let Channel { path, listener } = channel;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let (sender, events) = mpsc::channel(1);
        let task = tokio::task::spawn_local(serve(listener, sender));
        Ok(Self { path, task, events })
    }

    /// Waits for the next event. Nothing more happens after [`Event::Serves`].
    pub(in crate::control) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// Waits for the next event until `end`. One that has already happened counts even if that time is over: after
    /// [`Event::Serves`] the socket belongs to the new edge, and [`withdraw`](Self::withdraw) would remove it.
    pub(in crate::control) async fn next_until(&mut self, end: Instant) -> Option<Event> {
        // Polls the event before the time.
        timeout_at(end, self.next()).await.ok()
    }

    /// Ends the offer and removes the socket, unless a new edge that is starting needs it.
    pub(in crate::control) fn withdraw(self) {
        self.task.abort();
        let removed = Lock::try_take(&self.path).and_then(|lock| match lock {
            Some(_lock) => socket_file::remove(&self.path),
            None => Ok(()),
        });
        if let Err(error) = removed {
            tracing::warn!(%error, "cannot remove the socket for takeovers");
        }
    }
}

/// Serves one new edge after the other, until one has taken over.
async fn serve(listener: UnixListener, events: mpsc::Sender<Event>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept the connection of a new edge");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let mut successor = Successor { stream: BufReader::new(stream), was_asked: false };
        match successor.replace(&listener, &events).await {
            Ok(addresses) => {
                tracing::info!(pid, "a new edge has taken over");
                // The control thread ends only after this task.
                events.send(Event::Serves(addresses)).await.ok();
                return;
            }
            Err(error) if successor.was_asked => {
                tracing::error!(pid, %error, "a new edge failed before it took over; this one goes on");
                events.send(Event::Failed).await.ok();
            }
            Err(error) => tracing::warn!(pid, %error, "a process connected for a takeover, but did not ask for one"),
        }
    }
}

/// The connection of a new edge.
struct Successor {
    stream: BufReader<UnixStream>,
    /// Whether the sockets were given.
    was_asked: bool,
}

impl Successor {
    /// Gives the sockets, and waits until the new edge is ready. Returns the addresses that it serves.
    async fn replace(&mut self, channel: &UnixListener, events: &mpsc::Sender<Event>) -> io::Result<Vec<SocketAddr>> {
        self.greet().await?;
        let (sender, sockets) = oneshot::channel();
        let ended = |_| io::Error::other("this edge is ending");
        self.was_asked = true;
        events.send(Event::Asked(sender)).await.map_err(|_| io::Error::other("this edge is ending"))?;
        let sockets = sockets.await.map_err(ended)?;
        timeout(ANSWER, self.give(&sockets, channel)).await.map_err(|_| timed_out("its sockets were not read"))??;
        // Copies that nobody needs any more; the workers have theirs.
        drop(sockets);
        let Ok(addresses) = timeout(READY, self.ready()).await else {
            self.send(&Message::Expired).await?;
            return Err(timed_out("it was not ready"));
        };
        let addresses = addresses?;
        // Even if it cannot be sent: a successor without an answer serves.
        self.send(&Message::Yours).await.ok();
        Ok(addresses)
    }

    /// Checks who is there.
    async fn greet(&mut self) -> io::Result<()> {
        let refuse = if socket_file::is_same_user(self.stream.get_ref()) {
            match timeout(ANSWER, self.receive()).await.map_err(|_| timed_out("it sent nothing"))?? {
                Message::Hello(PROTOCOL) => return Ok(()),
                Message::Hello(other) => format!(
                    "it has version {PROTOCOL} of the protocol, and the new one version {other}: stop it before you \
                     start the new one"
                ),
                other => return Err(unexpected(&other)),
            }
        } else {
            "the new edge runs as another user".to_owned()
        };
        self.send(&Message::Refused(refuse.clone())).await.ok();
        Err(io::Error::other(refuse))
    }

    async fn give(&mut self, sockets: &[(SocketAddr, TcpListener)], channel: &UnixListener) -> io::Result<()> {
        for (address, socket) in sockets {
            self.send_with(&Message::Socket(*address), socket).await?;
        }
        self.send_with(&Message::Channel, channel).await?;
        self.send(&Message::End).await
    }

    /// Waits until the new edge can serve. Returns the addresses that it serves.
    async fn ready(&mut self) -> io::Result<Vec<SocketAddr>> {
        let mut addresses = Vec::new();
        while addresses.len() < MAX_MESSAGES {
            match self.receive().await? {
                Message::Serves(address) => addresses.push(address),
                Message::Ready => return Ok(addresses),
                other => return Err(unexpected(&other)),
            }
        }
        Err(unexpected(&"too many messages"))
    }

    async fn receive(&mut self) -> io::Result<Message> {
        let mut line = Vec::new();
        let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        (&mut self.stream).take(most).read_until(b'\n', &mut line).await?;
        match line.strip_suffix(b"\n") {
            Some(line) => Message::parse(line),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn send(&mut self, message: &Message) -> io::Result<()> {
        self.stream.get_mut().write_all(&message.line()).await
    }

    async fn send_with(&mut self, message: &Message, file: &impl AsFd) -> io::Result<()> {
        let line = message.line();
        let stream = self.stream.get_mut();
        let sent = stream.async_io(Interest::WRITABLE, || message::send(stream.as_fd(), &line, file.as_fd())).await?;
        stream.write_all(line.get(sent..).unwrap_or_default()).await
    }
}

fn timed_out(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} in time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_event_that_has_happened_counts_although_the_time_is_over() {
        let (sender, events) = mpsc::channel(1);
        let mut offer = Offer { path: PathBuf::new(), task: tokio::spawn(async {}), events };
        // Often, because a choice at random would be right half of the time.
        for _ in 0..100 {
            sender.send(Event::Serves(Vec::new())).await.unwrap();
            let now = Instant::now();
            assert!(matches!(offer.next_until(now).await, Some(Event::Serves(_))));
            assert!(offer.next_until(now).await.is_none());
        }
    }
}
