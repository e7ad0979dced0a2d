//! The new edge's side: it gets the sockets of the edge that runs, and tells it when it can serve.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt::socket_acceptconn;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    ANSWER, TakeoverError,
    message::{MAX_LINE, MAX_MESSAGES, Message, PROTOCOL, Receiver, unexpected},
    socket_file::{self, Lock},
    successor::Channel,
};

/// The pause before another attempt, after the edge that runs ended in the middle of one.
const RETRY: Duration = Duration::from_millis(50);

/// The start of an edge that others may replace, and that may replace another.
#[derive(Debug)]
pub(in crate::control) struct Start {
    path: PathBuf,
    lock: Lock,
    channel: Option<UnixListener>,
    /// The connection to the edge that runs.
    predecessor: Option<UnixStream>,
}

impl Start {
    /// Gets the listening sockets of the edge that runs, if one does. Blocks for up to ten seconds, while another edge
    /// is starting or while the one that runs does not answer.
    ///
    /// # Errors
    /// The file at `path` cannot be used, or the edge that runs does not give its sockets.
    pub(in crate::control) fn begin(path: &Path) -> Result<(Self, Vec<TcpListener>), TakeoverError> {
        let lock = Lock::take(path)?;
        let end = Instant::now() + ANSWER;
        let start = |channel, predecessor| Self { path: path.to_owned(), lock, channel, predecessor };
        while let Some(stream) = socket_file::connect(path)? {
            match take(&stream).map_err(TakeoverError::Exchange)? {
                Outcome::Given(sockets, channel) => return Ok((start(Some(channel), Some(stream)), sockets)),
                Outcome::Refused(reason) => return Err(TakeoverError::Refused(reason)),
                // It is ending, and its file will be gone or nobody will listen there.
                Outcome::Gone if Instant::now() < end => thread::sleep(RETRY),
                Outcome::Gone => return Err(TakeoverError::Exchange(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        Ok((start(None, None), Vec::new()))
    }

    /// Whether another edge serves until this one does.
    pub(in crate::control) fn is_takeover(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Makes sure that the next edge will find this one. Call it when nothing else can fail.
    ///
    /// # Errors
    /// The socket cannot be created.
    pub(in crate::control) fn listen(&mut self) -> Result<(), TakeoverError> {
        if self.channel.is_none() {
            self.channel = Some(socket_file::listen(&self.path)?);
        }
        Ok(())
    }

    /// Tells the edge that runs that this one serves these addresses now. When it returns, the other accepts no more
    /// connections. Returns where the next edge will connect.
    ///
    /// # Errors
    /// This edge took too long, and the other one goes on.
    pub(in crate::control) async fn finish(self, addresses: &[SocketAddr]) -> Result<Option<Channel>, TakeoverError> {
        let Self { path, lock, channel, predecessor } = self;
        if let Some(stream) = predecessor {
            match timeout(ANSWER, replace(stream, addresses)).await {
                Ok(Ok(Message::Yours)) => tracing::info!("this edge has taken over from the one that ran"),
                Ok(Ok(Message::Expired)) => {
                    return Err(TakeoverError::Refused(format!(
                        "this edge was not ready within {}",
                        humantime::format_duration(super::READY)
                    )));
                }
                Ok(Ok(other)) => return Err(TakeoverError::Exchange(unexpected(&other))),
                // It cannot serve any more, and the sockets are here.
                Ok(Err(error)) => tracing::warn!(%error, "the edge that ran ended before this one took over"),
                Err(_) => tracing::warn!("the edge that ran does not answer; this one serves as well"),
            }
        }
        drop(lock);
        Ok(channel.map(|listener| Channel { path, listener }))
    }
}

enum Outcome {
    Given(Vec<TcpListener>, UnixListener),
    Refused(String),
    Gone,
}

/// Asks for the sockets.
fn take(stream: &UnixStream) -> io::Result<Outcome> {
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    match exchange(stream) {
        Err(error) if is_gone(&error) => Ok(Outcome::Gone),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it does not answer within {}", humantime::format_duration(ANSWER)),
        )),
        outcome => outcome,
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn exchange(mut stream: &UnixStream) -> io::Result<Outcome> {
    stream.write_all(&Message::Hello(PROTOCOL).line())?;
    let mut messages = Receiver::new(stream);
    let (mut sockets, mut channel) = (Vec::new(), None);
    for _ in 0..MAX_MESSAGES {
        let Some(message) = messages.next()? else { return Ok(Outcome::Gone) };
        match (message, channel.take()) {
            (Message::Socket(address), None) => {
                let Some(file) = messages.file() else { break };
                let socket = TcpListener::from(file);
                if !socket_acceptconn(&socket)? || socket.local_addr()? != address {
                    return Err(unexpected(&format!("a file that is not the socket of {address}")));
                }
                sockets.push(socket);
            }
            (Message::Channel, None) => channel = messages.file().map(UnixListener::from),
            (Message::End, Some(channel)) => return Ok(Outcome::Given(sockets, channel)),
            (Message::Refused(reason), _) => return Ok(Outcome::Refused(reason)),
            (other, _) => return Err(unexpected(&other)),
        }
    }
    Err(unexpected(&"too many messages, or one without a file"))
}

/// Sends what this edge serves, and returns the answer.
async fn replace(stream: UnixStream, addresses: &[SocketAddr]) -> io::Result<Message> {
    stream.set_nonblocking(true)?;
    let mut stream = tokio::net::UnixStream::from_std(stream)?;
    for address in addresses {
        stream.write_all(&Message::Serves(*address).line()).await?;
    }
    stream.write_all(&Message::Ready.line()).await?;
    let mut line = Vec::new();
    while line.len() < MAX_LINE {
        match stream.read_u8().await? {
            b'\n' => return Message::parse(&line),
            byte => line.push(byte),
        }
    }
    Err(unexpected(&"a long line"))
}
