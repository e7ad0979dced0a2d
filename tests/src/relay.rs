//! A TCP relay in front of a server. Its connections take a [`Wire`], which can be slow, silent or cut, and can lose
//! the server's replies.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::wait::pause;

/// How the connections between two places are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// As usual.
    Open,
    /// Everything takes at least this long in each direction.
    Slow(Duration),
    /// Nothing passes, and neither side is told.
    Silent,
    /// Open connections are reset, and so are new ones.
    Reset,
}

/// What connections go through. Clones are the same wire.
#[derive(Clone, Debug)]
pub struct Wire {
    link: watch::Sender<State>,
    replies: watch::Sender<Replies>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    link: Link,
    /// How many resets there were: even a short one is noticed.
    resets: u64,
}

/// What happens to what the server sends.
#[derive(Clone, Copy, Debug, Default)]
struct Replies {
    fate: Fate,
    /// How many were lost by [`Wire::lose_next_reply`].
    lost: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Delivered,
    /// Until something else is set. Then the connections that lost something are reset.
    Lost,
    /// The next one is lost, and its connection ends at once.
    NextLost,
}

impl Wire {
    /// A wire that is open and delivers replies.
    #[must_use]
    pub fn new() -> Self {
        let open = State { link: Link::Open, resets: 0 };
        Self { link: watch::Sender::new(open), replies: watch::Sender::default() }
    }

    /// This link with another one's replies.
    #[must_use]
    pub fn with_replies_of(&self, other: &Self) -> Self {
        Self { link: self.link.clone(), replies: other.replies.clone() }
    }

    /// Changes the link, for open connections too.
    pub fn set(&self, link: Link) {
        self.link.send_modify(|state| {
            state.link = link;
            state.resets += u64::from(link == Link::Reset);
        });
    }

    /// Loses all replies from now on.
    pub fn lose_replies(&self) {
        self.replies.send_modify(|replies| replies.fate = Fate::Lost);
    }

    /// Delivers replies again, and resets the connections that lost some.
    pub fn deliver_replies(&self) {
        self.replies.send_modify(|replies| replies.fate = Fate::Delivered);
    }

    /// Loses the next reply, and its connection with it.
    pub fn lose_next_reply(&self) {
        self.replies.send_modify(|replies| replies.fate = Fate::NextLost);
    }

    /// How many replies [`lose_next_reply`](Self::lose_next_reply) has lost.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.replies.borrow().lost
    }

    /// Takes the loss of one reply, if the next one must be lost.
    fn loses_this_reply(&self) -> bool {
        self.replies.send_if_modified(|replies| {
            let loses = replies.fate == Fate::NextLost;
            if loses {
                *replies = Replies { fate: Fate::Delivered, lost: replies.lost + 1 };
            }
            loses
        })
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self::new()
    }
}

/// A relay. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts one on a free port of 127.0.0.1. All its connections to `server` take `wire`.
    ///
    /// # Panics
    /// No port can be bound.
    pub async fn start(server: SocketAddr, wire: &Wire) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let wire = wire.clone();
        Self::on(listener, server, move |_client, _relay| std::future::ready(Some(wire.clone())))
    }

    /// Starts one on `listener`. `choose` is given a connection's two addresses, the client's and the relay's, and
    /// returns its wire; a connection without one is reset.
    ///
    /// # Panics
    /// The listener has no address.
    pub fn on<F>(
        listener: TcpListener,
        server: SocketAddr,
        choose: impl Fn(SocketAddr, SocketAddr) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Wire>> + Send + 'static,
    {
        let address = listener.local_addr().expect("a bound socket");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((client, peer)) => {
                            let wire = choose(peer, client.local_addr().unwrap_or(address));
                            connections.spawn(carry(client, server, wire));
                        }
                        // Out of files: open connections will end.
                        Err(_) => pause(Duration::from_millis(10)).await,
                    },
                    Some(_ended) = connections.join_next() => {}
                }
            }
        });
        Self { address, task }
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, wire: impl Future<Output = Option<Wire>>) {
    let Some(wire) = wire.await else {
        reset(&client);
        return;
    };
    let connected = tokio::select! {
        () = until_reset(&wire) => None,
        connected = async {
            passes(&wire).await;
            TcpStream::connect(server).await
        } => connected.ok(),
    };
    let Some(mut server) = connected else {
        // The server does not listen, or the link was cut: the relay has accepted already and cannot refuse any more.
        reset(&client);
        return;
    };
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = until_reset(&wire) => End::Reset,
            end = pump(from_client, to_server, &wire, Direction::Request) => end,
            end = pump(from_server, to_client, &wire, Direction::Reply) => end,
        }
    };
    // Neither Redis nor its clients use half a connection: when one direction ends, both do.
    if end == End::Reset {
        reset(&client);
        reset(&server);
    }
}

#[derive(PartialEq, Eq)]
enum End {
    Closed,
    Reset,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

/// Carries bytes in one direction until that ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    wire: &Wire,
    direction: Direction,
) -> End {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        let is_reply = direction == Direction::Reply && matches!(read, Ok(1..));
        if is_reply && wire.loses_this_reply() {
            return End::Closed;
        }
        if is_reply && wire.replies.borrow().fate == Fate::Lost {
            // What comes after it would be out of order.
            until_delivered(wire).await;
            return End::Reset;
        }
        // A silent link hides the end of a connection, too.
        passes(wire).await;
        match read {
            Ok(0) => return End::Closed,
            Ok(size) if to.write_all(&buffer[..size]).await.is_ok() => {}
            Ok(_) | Err(_) => return End::Reset,
        }
    }
}

/// Returns when the link lets pass what waits, after its delay.
async fn passes(wire: &Wire) {
    let passes = |state: &State| matches!(state.link, Link::Open | Link::Slow(_));
    let delay = match wire.link.subscribe().wait_for(passes).await.as_deref() {
        Ok(State { link: Link::Slow(delay), .. }) => *delay,
        _ => return,
    };
    pause(delay).await;
}

async fn until_reset(wire: &Wire) {
    let mut link = wire.link.subscribe();
    let before = link.borrow().resets;
    changes(link.wait_for(|state| state.link == Link::Reset || state.resets != before).await);
}

async fn until_delivered(wire: &Wire) {
    changes(wire.replies.subscribe().wait_for(|replies| replies.fate != Fate::Lost).await);
}

/// A wire that is waited on exists, so the wait cannot fail.
fn changes<T>(_waited: Result<T, watch::error::RecvError>) {}

/// Makes the close that follows a reset.
fn reset(stream: &TcpStream) {
    // Fails for a stream that is closed already.
    stream.set_zero_linger().unwrap_or(());
}
